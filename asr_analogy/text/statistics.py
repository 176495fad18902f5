"""How sure a difference is: bootstrap draws in bounded memory, matched pairs of segments, rates over several domains.

Draws are multinomial counts of utterances (or of whole groups) times their errors and words: one matrix product for each
chunk, where possible, instead of gathering every drawn utterance.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr_analogy.errors import DataError, RecipeError
from asr_analogy.text.alignment import align

_CELLS = 2_000_000  # counts in one chunk: 16 MB


@dataclass(frozen=True)
class MatchedPairs:
    """The MAPSSWE test of two systems: mean difference in errors per segment (ours minus theirs), z, two-sided p."""

    segments: int
    difference: float
    z: float
    p: float


@dataclass(frozen=True)
class Domains:
    """Rates of two systems over several domains, in percent; macro is the mean of the rates, micro that of all words.

    `wins`, `ties` and `losses` count the domains in which ours has the lower, the same and the higher rate.
    """

    domains: int
    macro: tuple[float, float]
    micro: tuple[float, float]
    median: tuple[float, float]
    wins: int
    ties: int
    losses: int


def drawn_rates(
    errors: Sequence[int], words: Sequence[int], groups: Sequence[str] | None, draws: int, seed: int
) -> NDArray[np.float64]:
    """Rates in percent of `draws` corpora resampled with replacement, by utterance or whole group; (draws,) or fewer.

    A draw without words is left out. Raises DataError when there is no word at all or no group for each utterance.
    """
    if draws < 1:
        raise RecipeError(f"draws is {draws}: give 1 or more")
    if sum(words) == 0:
        raise DataError("the references hold no word: there is no error rate to put an interval on")
    values = np.stack([np.asarray(errors, dtype=np.float64), np.asarray(words, dtype=np.float64)])
    if groups is not None:
        if len(groups) != len(words):
            raise DataError(f"{len(groups)} groups for {len(words)} utterances: name one group for each utterance")
        member = np.unique(np.asarray(groups), return_inverse=True)[1]
        values = np.stack([np.bincount(member, weights=one) for one in values])
    generator, rates = np.random.default_rng(seed), list[NDArray[np.float64]]()
    for top, bottom in _drawn(values, draws, generator):
        rates.append(100 * top[bottom > 0] / bottom[bottom > 0])
    merged = np.concatenate(rates)
    return merged if merged.size else np.full(1, np.nan)


def _drawn(
    values: NDArray[np.float64], draws: int, generator: np.random.Generator
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Errors and words of every draw, chunk by chunk.

    Utterances with the same errors and words change a rate alike, so how often each kind comes is drawn instead: exact,
    and cheap where kinds are few. Where nearly every one is of its own kind (large groups), places are drawn.
    """
    kinds, weight = np.unique(values, axis=1, return_counts=True)
    size = values.shape[1]
    few = 8 * len(weight) <= size
    rows = max(1, _CELLS // (len(weight) if few else size))
    for start in range(0, draws, rows):
        count = min(rows, draws - start)
        if few:
            drawn = generator.multinomial(size, weight / size, size=count).astype(np.float64)
            yield drawn @ kinds[0], drawn @ kinds[1]
        else:
            places = generator.integers(0, size, size=(count, size), dtype=np.int32)
            yield values[0][places].sum(axis=1), values[1][places].sum(axis=1)


def matched_pairs(
    references: Sequence[Sequence[str]], ours: Sequence[Sequence[str]], theirs: Sequence[Sequence[str]], words: int = 2
) -> MatchedPairs:
    """The matched-pairs sentence-segment word error test on word sequences, normalised by the caller.

    A segment ends where both systems have `words` words in a row right, so that errors on its two sides hardly depend
    on each other; segments in which neither erred are not counted as evidence. z is referred to the normal
    distribution, which needs some tens of segments. Source: Gillick and Cox, "Some statistical issues in the comparison
    of speech recognition algorithms", ICASSP 1989, section 4; Pallett et al., ICASSP 1990.
    Raises DataError when the three do not hold the same utterances.
    """
    if not len(references) == len(ours) == len(theirs):
        raise DataError(f"{len(references)} references, {len(ours)} and {len(theirs)} hypotheses: give one for each")
    gaps = [
        gap
        for reference, one, other in zip(references, ours, theirs, strict=True)
        for gap in _segments(_errors_at(reference, one), _errors_at(reference, other), words)
    ]
    count = len(gaps)
    if count < 2:
        return MatchedPairs(count, float(np.mean(gaps)) if gaps else 0.0, 0.0, 1.0)
    mean, spread = float(np.mean(gaps)), float(np.std(gaps, ddof=1))
    error = spread / math.sqrt(count)
    z = mean / error if error else math.copysign(math.inf, mean) if mean else 0.0
    return MatchedPairs(count, mean, z, math.erfc(abs(z) / math.sqrt(2)))


def over_domains(
    ours: Mapping[str, tuple[int, int]], theirs: Mapping[str, tuple[int, int]], least: float = 0.0
) -> Domains:
    """Summary of (errors, words) by domain; a difference of no more than `least` points is a tie.

    Raises DataError when the two do not name the same domains, or one has no word.
    """
    if not ours or ours.keys() != theirs.keys():
        raise DataError(f"domains {sorted(ours)} against {sorted(theirs)}: score both systems on the same domains")
    empty = [name for name in ours if not (ours[name][1] and theirs[name][1])]
    if empty:
        raise DataError(f"domain {empty[0]}: its references hold no word; leave it out")
    rates = np.array([[100 * side[name][0] / side[name][1] for name in ours] for side in (ours, theirs)])
    micro = [100 * sum(one for one, _ in side.values()) / sum(n for _, n in side.values()) for side in (ours, theirs)]
    gaps = rates[0] - rates[1]
    macro, median = rates.mean(axis=1), np.median(rates, axis=1)
    wins, losses = int(np.sum(gaps < -least)), int(np.sum(gaps > least))
    return Domains(
        len(ours),
        (float(macro[0]), float(macro[1])),
        (micro[0], micro[1]),
        (float(median[0]), float(median[1])),
        wins,
        len(ours) - wins - losses,
        losses,
    )


def _errors_at(reference: Sequence[str], hypothesis: Sequence[str]) -> list[int]:
    """Errors at every reference word and, at odd places, insertions before, between and behind them: 2 n + 1 numbers.

    Place 2 i + 1 is reference word i, place 2 i what was inserted in front of it.
    """
    found = [0] * (2 * len(reference) + 1)
    for kind, place, _ in align(reference, hypothesis):
        if kind == "insert":
            found[2 * place] += 1
        elif kind != "equal":
            found[2 * place + 1] += 1
    return found


def _segments(ours: Sequence[int], theirs: Sequence[int], words: int) -> list[int]:
    """Differences in errors of the segments of one utterance that hold an error of either system."""
    found, mine, yours, right = list[int](), 0, 0, 0
    for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        if one or other:
            mine, yours, right = mine + one, yours + other, 0
        elif place % 2:
            right += 1
        if right == words and (mine or yours):
            found.append(mine - yours)
            mine = yours = 0
    return [*found, mine - yours] if mine or yours else found
