"""Held-out sentences that also stand in the training text: the same sentence, or a long run of the same words."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from asr_analogy.text.scoring import normalise

RUN = 8
"""Words in a row that count as a leak."""


@dataclass(frozen=True)
class Leak:
    """One training sentence and one held-out sentence (indices from 0) that share text, and why we say so."""

    train_index: int
    held_out_index: int
    reason: str


def leaks(train: Iterable[str], held_out: Iterable[str]) -> list[Leak]:
    """Pairs that are equal after `scoring.normalise` or share 8 normalised words in a row, by training index.

    Every training sentence that leaks and every held-out sentence that is leaked stands in at least one pair. Not all
    pairs are listed: text that repeats on both sides is paired in full once and with its first held-out sentence from
    then on, which keeps time and memory linear in the number of words. Sentences without a word never leak.
    """
    whole, runs = _index(held_out)
    found: list[Leak] = []
    for train_index, text in enumerate(train):
        words = normalise(text).split()
        reasons = dict.fromkeys(_partners(whole, " ".join(words)), "same sentence")
        for run in _runs(words):
            for held_out_index in _partners(runs, run):
                reasons.setdefault(held_out_index, f"shares {RUN} words: '{run}'")
        found += [Leak(train_index, held_out_index, reason) for held_out_index, reason in sorted(reasons.items())]
    return found


def _index(sentences: Iterable[str]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Where each whole sentence and each run of words stands: indices, ascending."""
    whole: dict[str, list[int]] = {}
    runs: dict[str, list[int]] = {}
    for index, text in enumerate(sentences):
        words = normalise(text).split()
        if words:
            whole.setdefault(" ".join(words), []).append(index)
        for run in set(_runs(words)):
            runs.setdefault(run, []).append(index)
    return whole, runs


def _runs(words: list[str]) -> Iterator[str]:
    return (" ".join(words[start : start + RUN]) for start in range(len(words) - RUN + 1))


def _partners(index: dict[str, list[int]], key: str) -> list[int]:
    """All held-out sentences with `key` the first time it is asked for, the first of them afterwards."""
    partners = index.get(key, [])
    if len(partners) > 1:
        index[key] = partners[:1]
    return partners
