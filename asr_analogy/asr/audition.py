"""Audition: one loaded model that is given the weights of one candidate after another and heard on the same clips.

What was heard is kept, a file for each candidate and corpus, so that an interrupted choice goes on where it stood.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from asr_analogy.asr.cost import memory_errors
from asr_analogy.asr.entropy import entropy
from asr_analogy.asr.family import Recogniser, ready
from asr_analogy.asr.listening import transcribe
from asr_analogy.errors import DataError
from asr_analogy.progress import progress
from asr_analogy.speech.corpus import Corpus
from asr_analogy.workspace import hash_of, write_whole

Weights = Callable[[], Mapping[str, Tensor]]
"""Makes the tensors of a candidate, by their names in a model folder."""


@dataclass(frozen=True)
class Heard:
    """The transcripts of a corpus, in its order, and the mean entropy in nats (None if it was not asked for)."""

    texts: list[str]
    entropy: float | None = None


class Audition:
    """The model in `folder`, loaded when first needed; `kept` is the folder of what was heard."""

    def __init__(self, folder: Path, language: str, batch: int, kept: Path) -> None:
        self.folder, self.language, self.batch, self.kept = folder, language, batch, kept

    @cached_property
    def _recogniser(self) -> Recogniser:
        return ready(self.folder, self.language)

    def hear(
        self, candidate: str, weights: Weights | None, corpora: Mapping[str, Corpus], certain: bool = False
    ) -> dict[str, Heard]:
        """What the candidate makes of each corpus (name -> utterances), with the mean entropy of it if `certain`.

        `candidate` says what it is, the same in every call; `weights` are made only if it was not heard before (None: the
        model as it stands in its folder).
        """
        places = {name: self.kept / f"{hash_of([candidate, name, str(certain)])[:16]}.json" for name in corpora}
        found = {name: one for name, place in places.items() if (one := _read(place)) is not None}
        left = [name for name in corpora if name not in found]
        if left and weights is not None:
            replace_weights(self._recogniser, weights())
        for name in left:
            found[name] = one = self._listen(f"{candidate} on {name}", corpora[name], certain)
            self.kept.mkdir(exist_ok=True)
            line = {"candidate": candidate, "corpus": name, **asdict(one)}
            write_whole(places[name], json.dumps(line, ensure_ascii=False))
        return found

    def _listen(self, title: str, corpus: Corpus, certain: bool) -> Heard:
        """Decode, then ask how certain the model is of it, in batches of like length."""
        total, count = 0.0, 0
        with (
            progress(title, len(corpus)) as advance,
            memory_errors(f"try --set evaluate.batch={max(1, self.batch // 2)}"),
        ):
            texts = transcribe(self._recogniser, corpus, self.batch, advance=advance)
            order = sorted(range(len(corpus)), key=lambda index: corpus.rows[index].duration) if certain else []
            for start in range(0, len(order), self.batch):
                part = order[start : start + self.batch]
                clips = [corpus[index].samples() for index in part]
                more, tokens = entropy(self._recogniser, clips, [texts[index] for index in part])
                total, count = total + more, count + tokens
        if certain and not count:
            raise DataError("domain.unlabelled: every clip is longer than the base's window; cut them into utterances")
        return Heard(texts, total / count if certain else None)


def replace_weights(recogniser: Recogniser, tensors: Mapping[str, Tensor]) -> None:
    """Put the tensors of a model folder (weights and buffers) into a loaded model, as if it had been loaded from there.

    Raises DataError for a tensor that the model lacks, or one of its own that `tensors` lack.
    """
    state = recogniser.model.state_dict()
    tied = set(recogniser.model.all_tied_weights_keys) | set(recogniser.model.all_tied_weights_keys.values())
    odd = sorted(name for name in set(state) ^ set(tensors) if name not in tied)
    if odd:
        raise DataError(f"{odd[0]}: a tensor of only one of the model and its candidate; merge fine-tunes of one base")
    with torch.no_grad():
        for name, tensor in tensors.items():
            state[name].copy_(tensor)
    torch.set_flush_denormal(True)  # as `ready` does; the sums of a merge go without


def _read(place: Path) -> Heard | None:
    """What was heard before, if it is there whole."""
    with suppress(OSError, ValueError, KeyError):
        kept = json.loads(place.read_text(encoding="utf-8"))
        return Heard(kept["texts"], kept["entropy"])
    return None
