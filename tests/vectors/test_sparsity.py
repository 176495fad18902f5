"""Dropping entries by magnitude and by chance, against sorting and against the laws of chance."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor

from asr_analogy.vectors.sparsity import (
    BLOCK,
    OUTLIERS,
    band,
    band_ranks,
    dare,
    della,
    draws,
    kept,
    magnitudes,
    trim,
)

FLOATS = some.lists(some.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=60)


def normal(size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


@given(FLOATS, some.data())
@settings(deadline=None, max_examples=60)
def test_magnitudes_are_those_of_sorting(values: list[float], data: some.DataObject) -> None:
    delta, cut = torch.tensor(values), data.draw(some.integers(1, len(values)))
    ranks = data.draw(some.lists(some.integers(1, len(values)), min_size=1, max_size=3))
    found = magnitudes(lambda: ((piece, -2 * piece) for piece in delta.split(cut)), ranks)
    ordered = delta.abs().sort(descending=True).values.tolist()
    assert found[0] == [ordered[rank - 1] for rank in ranks]
    assert found[1] == [2 * ordered[rank - 1] for rank in ranks]


@given(FLOATS, some.integers(1, 60))
@settings(deadline=None, max_examples=60)
def test_trim_keeps_the_largest_and_their_ties(values: list[float], keep: int) -> None:
    delta, keep = torch.tensor(values), min(keep, len(values))
    bound = delta.abs().sort(descending=True).values[keep - 1].item()
    assert torch.equal(trim(delta, bound), torch.where(delta.abs() >= bound, delta, 0.0))


def test_band_drops_both_ends() -> None:
    delta = torch.tensor([3.0, -1, 2, -5, 4, 0.5])
    assert band(delta, 1, 4).tolist() == [3, -1, 2, 0, 4, 0]
    assert band_ranks(1000, 0.3) == (1 + int(1000 * OUTLIERS), 300 + int(1000 * OUTLIERS))
    assert band_ranks(1000, 1.0) == (1, 1000)
    assert band_ranks(1, 0.1) == (1, 1)
    assert (kept(10, 0.25), kept(10, 0.01), kept(10, 1)) == (2, 1, 10)


def test_dare_has_the_delta_as_its_mean() -> None:
    delta, runs = normal(400), 1000
    total = torch.zeros(400)
    for seed in range(runs):
        total += dare(delta, 0.25, draws(seed, "w", 0, 0, 400))
    error = (total / runs - delta).abs() / delta.abs()
    deviation = (0.75 / 0.25 / runs) ** 0.5
    assert 0.5 * deviation < error.square().mean().sqrt() < 1.5 * deviation
    assert error.max() < 5 * deviation


def test_dare_keeps_its_share_rescaled() -> None:
    delta = torch.ones(100_000)
    thin = dare(delta, 0.3, draws(1, "w", 0, 0, 100_000))
    assert abs((thin != 0).sum().item() - 30_000) < 5 * (100_000 * 0.3 * 0.7) ** 0.5
    assert thin.max().item() == pytest.approx(1 / 0.3, rel=1e-4)
    assert torch.equal(dare(normal(50), 1.0, draws(1, "w", 0, 0, 50)), normal(50))


@given(some.integers(0, 2 * BLOCK), some.integers(0, 3000))
@settings(deadline=None, max_examples=20)
def test_draws_do_not_depend_on_the_cut(begin: int, count: int) -> None:
    whole = draws(7, "layer.weight", 1, 0, 2 * BLOCK + 3000)
    assert np.array_equal(draws(7, "layer.weight", 1, begin, begin + count), whole[begin : begin + count])


def test_draws_differ_by_seed_name_vector_and_block() -> None:
    whole = draws(7, "w", 0, 0, 2 * BLOCK)
    others = [draws(8, "w", 0, 0, BLOCK), draws(7, "v", 0, 0, BLOCK), draws(7, "w", 1, 0, BLOCK), whole[BLOCK:]]
    assert not any((whole[:BLOCK] == other).mean() > 0.001 for other in others)
    assert abs(whole.mean() - 32767.5) < 5 * 65536 / 12**0.5 / (2 * BLOCK) ** 0.5


def test_della_keeps_the_large_more_often() -> None:
    width, runs = 20, 4000
    row = torch.arange(1.0, width + 1).flip(0)[None] * torch.tensor([1.0, -1]).repeat(10)
    hits, total = torch.zeros(width), torch.zeros(width)
    for seed in range(runs):
        thin = della(row, 0.5, draws(seed, "w", 0, 0, width))[0]
        hits += thin != 0
        total += thin
    wanted = torch.linspace(0.65, 0.35, width)
    assert ((hits / runs - wanted).abs() < 5 * (wanted * (1 - wanted) / runs).sqrt()).all()
    error = (total / runs / row[0] - 1).abs()
    assert (error < 5 * ((1 - wanted) / wanted / runs).sqrt()).all()


def test_della_at_density_one_and_on_single_entries() -> None:
    rows = normal(12).view(3, 4)
    assert torch.equal(della(rows, 1.0, draws(1, "w", 0, 0, 12)), rows)
    assert set(della(torch.ones(1, 1), 0.5, draws(1, "w", 0, 0, 1)).tolist()[0]) <= {0.0, 2.0}
    assert torch.isfinite(della(rows, 0.01, draws(1, "w", 0, 0, 12))).all()
