"""Held-out sentences that also stand in the training text: the same sentence, or a long run of the same words.

Only the held-out side is kept in memory; training text is read once, sentence by sentence. Text of a language that
puts no spaces between its words is compared by whole sentences only.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from asr_analogy.text.scoring import normalise

RUN = 8
"""Words in a row that count as a leak."""


class Sourced(Protocol):
    """A text that knows where it comes from, such as `documents.Sentence`."""

    @property
    def text(self) -> str: ...

    @property
    def source(self) -> str: ...


@dataclass(frozen=True)
class Leak:
    """One training sentence and one held-out sentence (indices from 0) that share text, and why we say so.

    The sources are "" where plain strings were compared.
    """

    train_index: int
    held_out_index: int
    reason: str
    train_source: str = ""
    held_out_source: str = ""


class HeldOut:
    """An index of held-out sentences that training sentences are looked up in, by whole sentence and by run of words.

    Needs about 150 bytes for each held-out word. A run is `run` words in a row after `scoring.normalise`; a held-out
    sentence with fewer words leaks as a whole only.
    """

    def __init__(self, sentences: Iterable[str | Sourced], run: int = RUN) -> None:
        self.run = run
        self.sources: list[str] = []
        self._whole: dict[str, list[int]] = {}
        self._runs: dict[str, list[int]] = {}
        for index, sentence in enumerate(sentences):
            text, source = _parts(sentence)
            self.sources.append(source)
            words = normalise(text).split()
            if words:
                self._whole.setdefault(" ".join(words), []).append(index)
            for stretch in set(self._stretches(words)):
                self._runs.setdefault(stretch, []).append(index)

    def reason(self, text: str) -> str | None:
        """Why a training sentence leaks, with the first held-out sentence it shares text with; None if it does not."""
        words = normalise(text).split()
        if found := self._whole.get(" ".join(words)):
            return f"held out: same sentence as {self._name(found[0])}"
        for stretch in self._stretches(words):
            if found := self._runs.get(stretch):
                return f"held out: shares {self.run} words with {self._name(found[0])}: '{stretch}'"
        return None

    def leaks(self, train: Iterable[str | Sourced]) -> Iterator[Leak]:
        """Pairs by training index, as `leaks` lists them; a generator, so that the training text may be a stream."""
        listed = set[str]()
        for train_index, sentence in enumerate(train):
            text, source = _parts(sentence)
            words = normalise(text).split()
            whole = " ".join(words)
            reasons = dict.fromkeys(_partners(self._whole, whole, f"= {whole}", listed), "same sentence")
            for stretch in self._stretches(words):
                for index in _partners(self._runs, stretch, stretch, listed):
                    reasons.setdefault(index, f"shares {self.run} words: '{stretch}'")
            for index, reason in sorted(reasons.items()):
                yield Leak(train_index, index, reason, source, self.sources[index])

    def _stretches(self, words: list[str]) -> Iterator[str]:
        return (" ".join(words[start : start + self.run]) for start in range(len(words) - self.run + 1))

    def _name(self, index: int) -> str:
        return self.sources[index] or f"sentence {index}"


def leaks(train: Iterable[str | Sourced], held_out: Iterable[str | Sourced], run: int = RUN) -> list[Leak]:
    """Pairs that are equal after `scoring.normalise` or share `run` normalised words in a row, by training index.

    Every training sentence that leaks and every held-out sentence that is leaked stands in at least one pair. Not all
    pairs are listed: text that repeats on both sides is paired in full once and with its first held-out sentence from
    then on, which keeps time and memory linear in the number of words. Sentences without a word never leak.
    """
    return list(HeldOut(held_out, run).leaks(train))


def _parts(sentence: str | Sourced) -> tuple[str, str]:
    return (sentence, "") if isinstance(sentence, str) else (sentence.text, sentence.source)


def _partners(index: dict[str, list[int]], key: str, mark: str, listed: set[str]) -> list[int]:
    """All held-out sentences with `key` the first time it is asked for, the first of them afterwards."""
    partners = index.get(key, [])
    if len(partners) < 2:
        return partners
    if mark in listed:
        return partners[:1]
    listed.add(mark)
    return partners
