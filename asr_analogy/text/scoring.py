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
from numpy.typing import NDArray

from asr_analogy.errors import DataError, RecipeError
from asr_analogy.text.english_form import VERSION, english

NORMALISER = VERSION
"""Name of the English normaliser; written beside every score. `normaliser.normaliser` gives that of any language."""

normalise = english

_CELLS = 1_000_000  # of one chunk of the bootstrap: 8 MB of indices and 8 MB for each gathered value


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
    rates = _resample(gaps, [our.words for our in ours], groups, draws, seed)
    low, high = np.percentile(rates, [2.5, 97.5])
    return Interval(float(low), float(high), float(np.mean(rates < 0)))


def bootstrap(
    counts: Sequence[Counts], groups: Sequence[str] | None = None, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Interval of the corpus rate of one system, in percent; `better` is nan. Otherwise as `paired_bootstrap`."""
    errors, words = [count.errors for count in counts], [count.words for count in counts]
    low, high = np.percentile(_resample(errors, words, groups, draws, seed), [2.5, 97.5])
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


def _resample(
    errors: Sequence[int], words: Sequence[int], groups: Sequence[str] | None, draws: int, seed: int
) -> NDArray[np.float64]:
    """Rates in percent of `draws` resampled corpora, in chunks of bounded memory; a draw without words is left out."""
    if draws < 1:
        raise RecipeError(f"draws is {draws}: give 1 or more")
    if sum(words) == 0:
        raise DataError("the references hold no word: there is no error rate to put an interval on")
    top, bottom = np.asarray(errors, dtype=np.int64), np.asarray(words, dtype=np.int64)
    if groups is not None:
        if len(groups) != len(words):
            raise DataError(f"{len(groups)} groups for {len(words)} utterances: name one group for each utterance")
        member = np.unique(np.asarray(groups), return_inverse=True)[1]
        top, bottom = (np.bincount(member, weights=values).astype(np.int64) for values in (top, bottom))
    generator, size = np.random.default_rng(seed), len(top)
    rows, rates = max(1, _CELLS // size), list[NDArray[np.float64]]()
    for start in range(0, draws, rows):
        chosen = generator.integers(0, size, size=(min(rows, draws - start), size))
        drawn = bottom[chosen].sum(axis=1)
        rates.append(100 * top[chosen].sum(axis=1)[drawn > 0] / drawn[drawn > 0])
    merged = np.concatenate(rates)
    return merged if merged.size else np.full(1, np.nan)
