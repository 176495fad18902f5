"""Word and character error rates: one versioned normaliser for BOTH sides, counts that add, bootstrap intervals.

A corpus rate is total errors over total reference words, never a mean of rates per utterance. Any change to what
`normalise` returns needs a new NORMALISER name, because scores under different names must not be compared.
"""
# ruff: noqa: SIM905 - a list of words reads best as one string

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import jiwer
import numpy as np

from asr_analogy.errors import DataError
from asr_analogy.text.english_form import VERSION, english
from asr_analogy.text.statistics import drawn_rates

NORMALISER = VERSION
"""Name of the English normaliser; written beside every score. `normaliser.normaliser` gives that of any language."""

normalise = english


@dataclass(frozen=True)
class Counts:
    """Edits between references and hypotheses; `words` counts reference words (characters in a character count)."""

    hits: int
    substitutions: int
    insertions: int
    deletions: int
    words: int

    @property
    def errors(self) -> int:
        """Substitutions, insertions and deletions together."""
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> float:
        """Error rate in percent; nan when there is no reference word. Can exceed 100."""
        return 100 * self.errors / self.words if self.words else math.nan

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.words + other.words,
        )


@dataclass(frozen=True)
class Interval:
    """A 95 % percentile interval in points of error rate, and the share of draws below 0 (nan for one system)."""

    low: float
    high: float
    better: float


def count_words(
    references: Sequence[str], hypotheses: Sequence[str], normaliser: Callable[[str], str] = normalise
) -> list[Counts]:
    """Word edits of every utterance, both sides through `normaliser` (`raw` for none).

    Raises DataError when the two sequences differ in length.
    """
    return [_count(*pair) for pair in _pairs(references, hypotheses, normaliser)]


def count_characters(
    references: Sequence[str], hypotheses: Sequence[str], normaliser: Callable[[str], str] = normalise
) -> list[Counts]:
    """Character edits of every utterance, spaces included; `words` then holds the number of reference characters."""
    return [_count(*pair, characters=True) for pair in _pairs(references, hypotheses, normaliser)]


def raw(text: str) -> str:
    """The text as it is: pass it as `normaliser` for the unnormalised rate."""
    return text


def total(counts: Iterable[Counts]) -> Counts:
    """The sum of all counts; its `rate` is the corpus rate."""
    return sum(counts, Counts(0, 0, 0, 0, 0))


def paired_bootstrap(
    ours: Sequence[Counts],
    theirs: Sequence[Counts],
    groups: Sequence[str] | None = None,
    draws: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Interval of the corpus rate of `ours` minus that of `theirs`, in points, over the same utterances.

    Every draw resamples utterances with replacement, or whole groups (speakers, meetings) when `groups` names one for
    each utterance. `better` is the share of draws in which ours makes fewer errors. Same seed, same interval.
    Raises DataError when the two were not scored on the same references or these hold no word.
    Source: Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004.
    """
    if len(ours) != len(theirs):
        raise DataError(f"{len(ours)} utterances against {len(theirs)}: score both systems on the same utterances")
    for number, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        if our.words != their.words:
            raise DataError(
                f"utterance {number}: {our.words} reference words against {their.words}; score both systems on the "
                "same references with the same normaliser"
            )
    gaps = [our.errors - their.errors for our, their in zip(ours, theirs, strict=True)]
    rates = drawn_rates(gaps, [our.words for our in ours], groups, draws, seed)
    low, high = np.percentile(rates, [2.5, 97.5])
    return Interval(float(low), float(high), float(np.mean(rates < 0)))


def bootstrap(
    counts: Sequence[Counts], groups: Sequence[str] | None = None, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Interval of the corpus rate of one system, in percent; `better` is nan. Otherwise as `paired_bootstrap`."""
    errors, words = [count.errors for count in counts], [count.words for count in counts]
    low, high = np.percentile(drawn_rates(errors, words, groups, draws, seed), [2.5, 97.5])
    return Interval(float(low), float(high), math.nan)


def _pairs(
    references: Sequence[str], hypotheses: Sequence[str], normaliser: Callable[[str], str]
) -> list[tuple[str, str]]:
    if len(references) != len(hypotheses):
        raise DataError(f"{len(references)} references but {len(hypotheses)} hypotheses: there must be one for each")
    pairs = zip(references, hypotheses, strict=True)
    return [(" ".join(normaliser(one).split()), " ".join(normaliser(other).split())) for one, other in pairs]


def _count(reference: str, hypothesis: str, characters: bool = False) -> Counts:
    expected, given = (len(one if characters else one.split()) for one in (reference, hypothesis))
    if not expected or not given:
        return Counts(0, 0, given, expected, expected)
    output = (jiwer.process_characters if characters else jiwer.process_words)(reference, hypothesis)
    return Counts(output.hits, output.substitutions, output.insertions, output.deletions, expected)
