"""Draws, matched pairs, domains."""

import math
import random

import numpy as np
import pytest

from asr_analogy.errors import DataError
from asr_analogy.text.scoring import Counts, bootstrap, paired_bootstrap
from asr_analogy.text.statistics import Domains, drawn_rates, matched_pairs, over_domains


def test_both_ways_of_drawing_agree_with_the_closed_form() -> None:
    """Few kinds of utterances (multinomial) and all different (places): the mean's standard error is sd / sqrt(n)."""
    generator = np.random.default_rng(0)
    for errors in (generator.integers(0, 6, 300), generator.permutation(300)):
        rates = drawn_rates(errors.tolist(), [400] * 300, None, 4_000, seed=1)
        assert rates.shape == (4_000,)
        assert rates.mean() == pytest.approx(errors.mean() / 4, rel=0.02)
        assert rates.std() == pytest.approx(errors.std() / 4 / math.sqrt(300), rel=0.05)


def test_groups_are_drawn_whole() -> None:
    """Two groups: a draw holds either one twice or both once."""
    rates = drawn_rates([1, 1, 0, 0], [2, 2, 4, 4], ["a", "a", "b", "b"], 400, seed=0)
    assert {round(float(rate), 6) for rate in rates} == {50.0, round(200 / 12, 6), 0.0}
    alone = drawn_rates([1, 1, 0, 0], [2, 2, 4, 4], None, 400, seed=0)
    assert len({float(rate) for rate in alone}) == 5


def test_the_interval_covers_the_truth() -> None:
    """300 simulated tests of 100 clips: about 95 % of the intervals hold the true rate."""
    generator, hits = np.random.default_rng(0), 0
    for seed in range(300):
        words = generator.integers(5, 15, 100)
        wrong = generator.binomial(words, 0.2)
        counts = [Counts(int(n - k), int(k), 0, 0, int(n)) for n, k in zip(words, wrong, strict=True)]
        interval = bootstrap(counts, draws=300, seed=seed)
        hits += interval.low <= 20 <= interval.high
    assert 0.90 <= hits / 300 <= 0.98


def test_probability_of_improvement() -> None:
    ours = [Counts(9, 1, 0, 0, 10)] * 50 + [Counts(7, 3, 0, 0, 10)] * 50
    theirs = [Counts(8, 2, 0, 0, 10)] * 100
    assert 0.4 < paired_bootstrap(ours, theirs).better < 0.6
    assert paired_bootstrap(ours[:50], theirs[:50]).better == 1.0


def test_matched_pairs_by_hand() -> None:
    """One segment has one error more of ours; two right words part it from one with one more of theirs."""
    reference = ["a", "b", "c", "d", "e", "f", "g", "h"]
    ours = ["a", "X", "c", "d", "e", "f", "g", "h"]
    theirs = ["a", "b", "c", "d", "e", "X", "X", "h"]
    found = matched_pairs([reference], [ours], [theirs])
    assert (found.segments, found.difference) == (2, -0.5)
    # gaps 1 and -2: mean -0.5, sd 2.1213, z = -0.5 / (2.1213 / sqrt 2) = -1 / 3
    assert found.z == pytest.approx(-1 / 3)
    assert found.p == pytest.approx(0.7388827, abs=1e-6)


def test_one_right_word_does_not_part_segments() -> None:
    reference = ["a", "b", "c", "d", "e", "f"]
    found = matched_pairs([reference, reference], [["X", "b", "X", "d", "e", "f"]] * 2, [reference] * 2)
    assert (found.segments, found.difference, found.z, found.p) == (2, 2.0, math.inf, 0.0)
    inserted = matched_pairs([["a", "b"]] * 2, [["a", "x", "y", "b"]] * 2, [["a", "b"]] * 2)
    assert (inserted.segments, inserted.difference) == (2, 2.0)


def test_matched_pairs_of_equal_systems() -> None:
    assert matched_pairs([["a"]], [["a"]], [["a"]]).p == 1.0
    assert matched_pairs([["a"]] * 3, [["b"]] * 3, [["c"]] * 3).p == 1.0
    with pytest.raises(DataError, match="give one for each"):
        matched_pairs([["a"]], [], [["a"]])


def test_matched_pairs_find_a_real_difference_and_no_other() -> None:
    generator = random.Random(0)
    references = [[generator.choice("abcdefgh") for _ in range(30)] for _ in range(200)]

    def heard(share: float) -> list[list[str]]:
        return [["X" if generator.random() < share else word for word in one] for one in references]

    assert matched_pairs(references, heard(0.10), heard(0.15)).p < 0.001
    chance = [matched_pairs(references[:50], heard(0.1)[:50], heard(0.1)[:50]).p for _ in range(30)]
    assert sum(p < 0.05 for p in chance) <= 5


def test_over_domains() -> None:
    ours = {"law": (10, 100), "bank": (30, 100), "news": (0, 200)}
    theirs = {"law": (20, 100), "bank": (20, 100), "news": (0, 200)}
    assert over_domains(ours, theirs) == Domains(
        3, (pytest.approx(40 / 3), pytest.approx(40 / 3)), (10.0, 10.0), (10.0, 20.0), 1, 1, 1
    )
    assert over_domains(ours, theirs, least=10).ties == 3
    with pytest.raises(DataError, match="score both systems on the same domains"):
        over_domains(ours, {"law": (1, 1)})
    with pytest.raises(DataError, match="domain law"):
        over_domains({"law": (0, 0)}, {"law": (0, 0)})
