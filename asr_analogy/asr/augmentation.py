"""What training does to the sound: rooms, noise without words, SpecAugment.

Rooms and noise are drawn per utterance and visit from the seed, whatever the length of the clip: both paired arms hear the
same channel for the same sentence, and a run that goes on from a checkpoint hears what it would have heard. SpecAugment
(Park et al. 2019) is transformers' own and draws from numpy's generator, which checkpoints hold.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from asr_analogy.asr.family import Recogniser
from asr_analogy.asr.packing import Passages
from asr_analogy.errors import RecipeError
from asr_analogy.recipe import Augment
from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.speech.corpus import Utterance
from asr_analogy.speech.rooms import ROOMS, Room
from asr_analogy.workspace import hash_of

QUIETEST = -30.0
"""Decibels by which noise without words is at most turned down from the level of speech."""


@dataclass(frozen=True)
class Recorded(Utterance):
    """An utterance as a room's microphone hears it."""

    room: Room
    draw: int

    def samples(self) -> np.ndarray:
        return self.room.record(super().samples(), np.random.default_rng(self.draw))


@dataclass(frozen=True)
class Wordless(Utterance):
    """Noise of the colour of a room, as long as the utterance it replaces; its transcript is empty."""

    room: Room
    draw: int

    def samples(self) -> np.ndarray:
        random = np.random.default_rng(self.draw)
        source = random.standard_normal(max(1, round(self.duration * SAMPLE_RATE))).astype(np.float32)
        gain = 10 ** (random.uniform(QUIETEST, 0.0) / 20)
        return (gain * self.room.record(source, random)).astype(np.float32)


class Visits(Sequence[Utterance]):
    """Utterances by visit: number v * len(utterances) + i is utterance i as it is heard the v-th time."""

    def __init__(self, utterances: Sequence[Utterance], options: Augment, visits: int, seed: int) -> None:
        self.utterances, self.options, self.visits, self.seed = utterances, options, visits, seed
        self.room = ROOMS[options.room] if options.room else None

    def __len__(self) -> int:
        return self.visits * len(self.utterances)

    def __getitem__(self, number: Any) -> Any:
        visit, index = divmod(number, len(self.utterances))
        utterance = self.utterances[index]
        draw = int(hash_of([str(self.seed), utterance.id, str(visit)])[:16], 16)
        random = np.random.default_rng(draw)
        wordless, recorded = random.random(2)
        plain = {field.name: getattr(utterance, field.name) for field in fields(Utterance)}
        if wordless < self.options.noise_share:
            plain |= {"text": "", "tts_text": ""}
            return Wordless(**plain, room=_one(self.room or ROOMS["office"], random), draw=draw)
        if self.room is not None and recorded < self.options.room_share:
            return Recorded(**plain, room=_one(self.room, random), draw=draw)
        return utterance


def heard(
    recogniser: Recogniser, utterances: Sequence[Utterance], batches: Sequence[Any], options: Augment | None, seed: int
) -> tuple[Sequence[Utterance], Sequence[Any]]:
    """The utterances and batches (indices, or nested lists of them) of a run with rooms and noise put in.

    Of windows that utterances share, each utterance has a room or noise of its own, and stays as long as it is.
    Raises RecipeError for a room that is not known, or noise without words for a model that does not make words up.
    """
    if options is None or (options.room is None and options.noise_share == 0.0):
        return utterances, batches
    if options.room is not None and options.room not in ROOMS:
        raise RecipeError(f"train.augment.room: {options.room}: no such room; known: {', '.join(ROOMS)}")
    if options.noise_share and recogniser.model.config.model_type != "whisper":
        raise RecipeError("train.augment.noise_share: goes with Whisper; a CTC model makes up no words; leave it out")
    if isinstance(utterances, Passages):
        shared = [list(window.indices) for window in utterances.windows]
        visits, numbers = heard(recogniser, utterances.utterances, shared, options, seed)
        windows = zip(utterances.windows, numbers, strict=True)
        return Passages(visits, [replace(window, indices=tuple(own)) for window, own in windows]), batches
    seen = [0] * len(utterances)

    def number(item: Any) -> Any:
        if not isinstance(item, int | np.integer):
            return [number(part) for part in item]
        seen[item] += 1
        return int(item) + (seen[item] - 1) * len(utterances)

    numbered = [number(batch) for batch in batches]
    return Visits(utterances, options, max(seen), seed), numbered


def _one(room: Room, random: np.random.Generator) -> Room:
    """One channel of the room's family: every range drawn, so that it does not hang on the length of a clip."""
    names = ("reverberation", "direct", "low", "high", "noise")
    values = {name: float(random.uniform(*getattr(room, name))) for name in names}
    return replace(room, babble=None, **{name: (value, value) for name, value in values.items()})


@contextmanager
def spec_augment(model: Any, options: Augment | None) -> Iterator[None]:
    """While entered, `model` masks what it hears as `options` say; its config afterwards is as it was before."""
    given = (
        {}
        if options is None
        else {"mask_time_prob": options.mask_time_prob, "mask_feature_prob": options.mask_feature_prob}
    )
    if options is None or all(value is None for value in given.values()):
        yield
        return
    wanted: dict[str, Any] = {name: value or 0.0 for name, value in given.items()}
    wanted |= {"mask_time_length": options.mask_time_length, "mask_feature_length": options.mask_feature_length}
    wanted["apply_spec_augment"] = True
    before = {name: getattr(model.config, name) for name in wanted}
    inner = model.base_model
    lent = model.config.model_type != "whisper" and not hasattr(inner, "masked_spec_embed")
    if lent:  # a base that was never masked has no vector to put in place of what is hidden
        inner.masked_spec_embed = torch.zeros(model.config.hidden_size, device=model.device)
    try:
        for name, value in wanted.items():
            setattr(model.config, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(model.config, name, value)
        if lent:
            del inner.masked_spec_embed
