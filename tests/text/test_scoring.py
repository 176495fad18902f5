"""The scorer: what it makes of legal and finance text, counts, intervals."""

import math

import numpy as np
import pytest

from asr_analogy.errors import DataError, RecipeError
from asr_analogy.text import statistics
from asr_analogy.text.scoring import (
    Counts,
    Interval,
    bootstrap,
    count_characters,
    count_words,
    paired_bootstrap,
    raw,
    total,
)


def test_known_words() -> None:
    assert count_words(["hello world"], ["hello duck"]) == [Counts(1, 1, 0, 0, 2)]
    counts = count_words(
        ["i can spell", "i hope"], ["i kan cpell", "i hop so"], normaliser=raw
    )  # the examples of jiwer's own documentation
    assert counts == [Counts(1, 2, 0, 0, 3), Counts(1, 1, 1, 0, 2)]
    assert total(counts).rate == pytest.approx(80.0)


def test_known_characters() -> None:
    assert count_characters(["i can spell", "i hope"], ["i kan cpell", "i hop"]) == [
        Counts(9, 2, 0, 0, 11),
        Counts(5, 0, 0, 1, 6),
    ]


def test_raw_counts_case_and_punctuation() -> None:
    assert count_words(["Yes, sir."], ["yes sir"], raw)[0].errors == 2
    assert count_words([" Yes,\tsir. "], ["Yes, sir."], raw)[0].errors == 0
    assert count_words(["Yes, sir."], ["yes sir"])[0].errors == 0


@pytest.mark.parametrize("count", [count_words, count_characters])
def test_empty_sides(count: object) -> None:
    assert callable(count)
    assert count(["", "...", "to be", ""], ["to be", "to", "", ""])[3] == Counts(0, 0, 0, 0, 0)
    size = 2 if count is count_words else 5
    assert count(["", "to be"], ["to be", "?"]) == [Counts(0, 0, size, 0, 0), Counts(0, 0, 0, size, size)]
    assert count([], []) == []


def test_rates_add_as_errors_over_words() -> None:
    counts = count_words(["a", "b c d e f g h i j", ""], ["x", "b c d e f g h i j", "noise"], raw)
    assert total(counts).rate == pytest.approx(20.0)
    assert math.isnan(counts[2].rate)
    assert math.isnan(total([]).rate)
    assert counts[0] + counts[1] == Counts(9, 1, 0, 0, 10)


def test_unequal_lengths() -> None:
    with pytest.raises(DataError, match="2 references but 1 hypotheses"):
        count_words(["a", "b"], ["a"])
    with pytest.raises(DataError, match="score both systems on the same utterances"):
        paired_bootstrap([Counts(1, 0, 0, 0, 1)], [])
    with pytest.raises(DataError, match="utterance 0: 1 reference words against 2"):
        paired_bootstrap([Counts(1, 0, 0, 0, 1)], [Counts(2, 0, 0, 0, 2)])
    with pytest.raises(DataError, match="name one group for each"):
        bootstrap([Counts(1, 0, 0, 0, 1)], groups=[])


def test_bootstrap_refuses_what_has_no_rate() -> None:
    with pytest.raises(DataError, match="hold no word"):
        bootstrap([Counts(0, 0, 1, 0, 0)])
    with pytest.raises(DataError, match="hold no word"):
        paired_bootstrap([], [])
    with pytest.raises(RecipeError, match="draws is 0"):
        bootstrap([Counts(1, 0, 0, 0, 1)], draws=0)


def corpus(errors: np.ndarray, words: int = 10) -> list[Counts]:
    return [Counts(words - int(wrong), int(wrong), 0, 0, words) for wrong in errors]


def test_identical_systems() -> None:
    counts = corpus(np.random.default_rng(0).integers(0, 5, 200))
    assert paired_bootstrap(counts, counts) == Interval(0.0, 0.0, 0.0)


def test_clearly_better_system() -> None:
    generator = np.random.default_rng(0)
    theirs = generator.integers(2, 6, 200)
    interval = paired_bootstrap(corpus(theirs - generator.integers(0, 3, 200)), corpus(theirs))
    assert interval.low < interval.high < 0
    assert interval.better == 1.0


def test_seed_decides() -> None:
    ours, theirs = (corpus(np.random.default_rng(seed).integers(0, 5, 100)) for seed in (1, 2))
    assert paired_bootstrap(ours, theirs, seed=3) == paired_bootstrap(ours, theirs, seed=3)
    assert paired_bootstrap(ours, theirs, seed=3) != paired_bootstrap(ours, theirs, seed=4)


def test_standard_error_agrees_with_the_closed_form() -> None:
    """With equal lengths the corpus rate is a mean, whose standard error is sd / sqrt(n)."""
    errors = np.random.default_rng(0).integers(0, 6, 400)
    closed = 100 * (errors / 10).std() / math.sqrt(len(errors))
    alone = bootstrap(corpus(errors))
    assert (alone.high - alone.low) / (2 * 1.96) == pytest.approx(closed, rel=0.1)
    assert alone.low < 10 * errors.mean() < alone.high
    assert math.isnan(alone.better)
    paired = paired_bootstrap(corpus(errors), corpus(np.full(400, 3)))
    assert (paired.high - paired.low) / (2 * 1.96) == pytest.approx(closed, rel=0.1)


def test_groups_widen_clustered_data() -> None:
    speakers = np.repeat(np.arange(20), 20)
    level = np.random.default_rng(0).integers(0, 6, 20)
    counts = corpus(level[speakers])
    plain, grouped = bootstrap(counts), bootstrap(counts, groups=[f"s{one}" for one in speakers])
    assert grouped.high - grouped.low > 2 * (plain.high - plain.low)


def test_chunks_cover_all_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = corpus(np.random.default_rng(0).integers(0, 5, 50))
    whole = bootstrap(counts, draws=1_000)
    monkeypatch.setattr(statistics, "_CELLS", 350)
    chunked = bootstrap(counts, draws=1_000)
    assert (chunked.low, chunked.high) == pytest.approx((whole.low, whole.high))


def test_draws_without_words_are_left_out() -> None:
    interval = bootstrap([Counts(0, 0, 3, 0, 0), Counts(1, 1, 0, 0, 2)], draws=200)
    assert (interval.low, interval.high) == (50.0, 200.0)
