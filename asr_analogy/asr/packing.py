"""Several short utterances in one window of the base, so that a clip of 3 s does not pay for an encoder of 30 s.

A forward pass still hears `train.batch` utterances; they only share windows. Padding stays the base's own. The plan is
drawn from the seed alone and holds everything random, so that it is the same for both arms of a pair and after a resume.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, overload

import numpy as np

from asr_analogy.asr.batching import epochs, plan
from asr_analogy.asr.family import Recogniser
from asr_analogy.errors import RecipeError
from asr_analogy.recipe import Train
from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.speech.corpus import Utterance

log = logging.getLogger("asr_analogy")

PAUSES = (0.3, 0.8)
"""Seconds between two utterances of a window, shortest and longest."""

ALONE = 0.15
"""Share of the windows that keep one utterance of less than half their length: short clips stay in distribution."""

PASSAGES = 20.0
"""Seconds; bases with a shorter window (our micro ones: 10 s) grew up on single utterances: `auto` does not pack them."""

SWAPS = 16
"""Exchanges for every utterance of a batch that are tried to make it fit one window less."""


@dataclass(frozen=True)
class Window:
    """Utterances, by number, that are heard one after another; a pause in seconds follows each but the last."""

    indices: tuple[int, ...]
    pauses: tuple[float, ...] = ()
    timed: bool = False
    """Whether the times of its utterances stand in its label."""


@dataclass(frozen=True)
class Room:
    """What a window holds."""

    seconds: float
    tokens: int
    """Of text, without prompt and end."""


@dataclass(frozen=True)
class Passage(Utterance):
    """The utterances of one window, which sounds and reads like one utterance."""

    parts: tuple[Utterance, ...] = ()
    window: Window = Window(())

    def samples(self) -> np.ndarray:
        """Every part and, between two, noise as loud as the quietest 20 ms of the part before."""
        return np.concatenate(self._sounds())

    def _sounds(self) -> list[np.ndarray]:
        random = np.random.default_rng(self.window.indices)
        sounds = [self.parts[0].samples()]
        for part, pause in zip(self.parts[1:], self.window.pauses, strict=True):
            noise = random.standard_normal(int(pause * SAMPLE_RATE), dtype=np.float32)
            sounds += [noise * _floor(sounds[-1]), part.samples()]
        return sounds

    def timed(self) -> list[tuple[str, float, float]]:
        """Text, start and end in seconds of every part, as long as they were planned to be."""
        found, start = [], 0.0
        for part, pause in zip(self.parts, (*self.window.pauses, 0.0), strict=True):
            found.append((part.text, start, start + part.duration))
            start += part.duration + pause
        return [part for part in found if part[0].strip()]  # noise without words has no times


class Passages(Sequence[Utterance]):
    """The windows of a plan as if each were one utterance, put together when it is asked for."""

    def __init__(self, utterances: Sequence[Utterance], windows: Sequence[Window]) -> None:
        self.utterances, self.windows = utterances, windows

    def __len__(self) -> int:
        return len(self.windows)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> list[Utterance]: ...
    def __getitem__(self, index: int | slice) -> Utterance | list[Utterance]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        window = self.windows[index]
        parts = tuple(self.utterances[number] for number in window.indices)
        ids = ", ".join(part.id for part in parts)
        text = " ".join(part.text.strip() for part in parts if part.text.strip())  # noise has no words
        return Passage(ids, b"", text, "", "", sum(part.duration for part in parts), "", 0, parts, window)


def planned(
    recogniser: Recogniser, utterances: Sequence[Utterance], texts: Sequence[str], durations: Sequence[float],
    options: Train, seed: int,
) -> tuple[Sequence[Utterance], list[list[int]]]:  # fmt: skip
    """What a run of `options` hears, and its batches of numbers of it: windows where they pack, else `utterances`.

    `durations` are those to plan by: of a pair the longer, so that both arms get the same windows. Raises RecipeError
    for options that the base cannot follow, DataError when there is no utterance.
    """
    count = options.steps * options.accumulate
    if packs(options.pack, recogniser.window, durations):
        room, tokens = measured(recogniser, texts, options)
        windows, batches = pack(durations, tokens, options.clips, count, seed, room)
        heard = sum(len(window.indices) for window in windows)
        log.info("train: %d utterances, %.1f of them in a window", len(durations), heard / len(windows))
    else:
        batches = plan(durations, options.clips, count, seed)
        if not options.timestamps:
            return utterances, batches
        windows, batches = singly(batches)
    if options.timestamps:
        recogniser.timed_label([])  # refuses at once where there are no such tokens
        windows = half_timed(windows, seed)
    return Passages(utterances, windows), batches


def measured(recogniser: Recogniser, texts: Sequence[str], options: Train) -> tuple[Room, list[int]]:
    """What a window of this base holds, and the most tokens that each text takes there."""
    assert recogniser.window is not None and recogniser.positions is not None
    around = len(recogniser.label(""))
    between = 2 if options.timestamps else 1  # its times, or the space before it
    tokens = [len(recogniser.label(text)) - around + between for text in texts]
    return Room(recogniser.window, recogniser.positions - around), tokens


def packs(option: bool | Literal["auto"], window: float | None, durations: Sequence[float]) -> bool:
    """Whether utterances are to share windows; `auto`: where PASSAGES allows it and two typical ones and a pause fit.

    Raises RecipeError when `option` asks for it and the base has no window.
    """
    if window is None:
        if option is True:
            raise RecipeError(
                "train.pack: this base pads no clip to a window, so there is nothing to pack; leave it out"
            )
        return False
    if option != "auto":
        return option
    return window >= PASSAGES and 2 * float(np.median(durations or [window])) + PAUSES[1] <= window


def pack(
    durations: Sequence[float], tokens: Sequence[int], batch: int, count: int, seed: int, room: Room,
) -> tuple[list[Window], list[list[int]]]:  # fmt: skip
    """Windows, and `count` batches of numbers of windows that hold `batch` utterances each, epoch after epoch.

    As in batching.plan, an epoch visits each utterance at most once. In a pool, short utterances meet until they fill
    whole windows, then first-fit decreasing puts them there. An utterance that is too long has a window of its own.
    Source of the fit: Johnson, "Near-optimal bin packing algorithms", 1973.
    """
    size = min(batch, len(durations))
    windows: list[Window] = []
    batches: list[list[int]] = []
    alone = 0
    for random, pools in epochs(len(durations), size, seed):
        for pool in map(np.ndarray.tolist, pools):
            found = []
            while pool:
                single = alone < ALONE * len(windows)
                chosen, pool = _batch(pool, durations, size, room.seconds, single, random)
                made, lonely = _windows(chosen, durations, tokens, room, single, random)
                found.append(list(range(len(windows), len(windows) + len(made))))
                windows += made
                alone += lonely
            batches += [found[index] for index in random.permutation(len(found))]
            if len(batches) >= count:
                return windows, batches[:count]
    raise AssertionError("epochs never end")


def windows_of(recogniser: Recogniser, utterances: Sequence[Utterance], options: Train) -> int:
    """The windows that one batch of all these utterances takes, one of them perhaps alone."""
    room, tokens = measured(recogniser, [row.text for row in utterances], options)
    windows, _ = pack([row.duration for row in utterances], tokens, len(utterances), 1, 0, room)
    return len(windows) + 1


def fullest(recogniser: Recogniser, utterances: Sequence[Utterance], options: Train) -> str:
    """About the longest text that a window can have: of the utterances that say most in their time."""
    room, tokens = measured(recogniser, [row.text for row in utterances], options)
    took = [row.duration + PAUSES[0] for row in utterances]
    chosen: list[int] = []
    seconds, count = -PAUSES[0], 0
    for number in sorted(range(len(took)), key=lambda number: -tokens[number] / took[number]):
        fits = seconds + took[number] <= room.seconds and count + tokens[number] <= room.tokens
        if fits or not chosen:
            chosen.append(number)
            seconds, count = seconds + took[number], count + tokens[number]
    return " ".join(utterances[number].text for number in chosen)


def singly(batches: Sequence[Sequence[int]]) -> tuple[list[Window], list[list[int]]]:
    """A plan of batching.plan as one of `pack`, with one utterance in each window."""
    windows: list[Window] = []
    found = []
    for batch in batches:
        found.append(list(range(len(windows), len(windows) + len(batch))))
        windows += [Window((index,)) for index in batch]
    return windows, found


def half_timed(windows: Sequence[Window], seed: int) -> list[Window]:
    """`windows`, a random half of them with times in their labels: Whisper learnt both kinds, and both are decoded."""
    timed = np.random.default_rng(seed).random(len(windows)) < 0.5
    return [replace(window, timed=bool(one)) for window, one in zip(windows, timed, strict=True)]


def share(window: float, typical: float) -> float:
    """Windows for one utterance of `typical` seconds, about."""
    return min(1.0, (typical + sum(PAUSES) / 2) / window / (1 - ALONE))


def _floor(clip: np.ndarray) -> np.float32:
    """RMS of the quietest 20 ms."""
    frames = clip[: len(clip) // 320 * 320].reshape(-1, 320)
    return np.sqrt(np.square(frames).mean(axis=1).min(initial=1.0))


def _batch(
    pool: list[int], durations: Sequence[float], size: int, seconds: float, single: bool, random: np.random.Generator
) -> tuple[list[int], list[int]]:
    """The next `size` of `pool` and the rest; with `single` the first of them, short if one is, stands alone.

    A batch that needs 2.4 windows would take 3: some of its long utterances change places with short ones until it fits
    2. What is left is longer then, so that later batches fill their 3.
    """
    chosen, rest = pool[:size], pool[size:]
    first = 0
    if single:
        lone = next((place for place, index in enumerate(chosen) if durations[index] < seconds / 2), None)
        if lone is not None:
            chosen[0], chosen[lone], first = chosen[lone], chosen[0], 1
    pause = sum(PAUSES) / 2
    mean = sum(durations[index] for index in pool) / len(pool) + pause
    goal = max(1, int(mean * (size - first) / seconds)) * seconds * 0.98  # first-fit leaves gaps
    total = sum(durations[index] + pause for index in chosen[first:])
    for _ in range(SWAPS * size if rest and size > first else 0):
        if total <= goal:
            break
        own, other = int(random.integers(first, size)), int(random.integers(len(rest)))
        gain = durations[chosen[own]] - durations[rest[other]]
        if gain > 0:
            chosen[own], rest[other] = rest[other], chosen[own]
            total -= gain
    return chosen, rest


def _windows(
    chosen: Sequence[int], durations: Sequence[float], tokens: Sequence[int], room: Room, single: bool,
    random: np.random.Generator,
) -> tuple[list[Window], int]:  # fmt: skip
    """The windows of one batch, and how many of them keep one short utterance; with `single` the first does, if short."""
    pauses = dict(zip(chosen, random.uniform(*PAUSES, len(chosen)).round(2).tolist(), strict=True))
    closed = int(single and durations[chosen[0]] < room.seconds / 2)
    bins = [[index] for index in chosen[:closed]]
    for index in sorted(chosen[closed:], key=lambda index: (-durations[index], index)):
        for held in bins[closed:]:
            more = [*held, index]  # the one with the longest pause comes last, where it has none
            longer = sum(durations[other] + pauses[other] for other in more) - max(pauses[other] for other in more)
            if longer <= room.seconds and sum(tokens[other] for other in more) <= room.tokens:
                held.append(index)
                break
        else:
            bins.append([index])
    bins = [sorted(held, key=pauses.__getitem__) for held in bins]
    orders = [[*random.permutation(held[:-1]).tolist(), held[-1]] for held in bins]
    windows = [Window(tuple(held), tuple(pauses[index] for index in held[:-1])) for held in orders]
    return windows, sum(len(held) == 1 and durations[held[0]] < room.seconds / 2 for held in orders)
