"""Rules on one tensor's deltas: what the papers' equations give by hand, and their symmetries."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor

from asr_analogy.vectors.rules import average, consensus, model_stock, slerp, weighted_sum
from asr_analogy.vectors.spectra import iso_c, tsv_m

NUMBERS = some.lists(some.integers(-8, 8).map(float), min_size=6, max_size=6).map(torch.tensor)
"""Small whole numbers: their sums are exact in any order."""


def gram(*vectors: Tensor) -> Tensor:
    stacked = torch.stack(vectors).double()
    return stacked @ stacked.T


def matrices(count: int, rows: int = 6, columns: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(count)
    return [torch.randn(rows, columns, generator=generator) for _ in range(count)]


def test_sums() -> None:
    one, other = torch.tensor([1.0, 2]), torch.tensor([3.0, -4])
    assert weighted_sum([one, other], [1, 0.5]).tolist() == [2.5, 0]
    assert average([one, other], [1, 3]).tolist() == [2.5, -2.5]
    assert one.tolist() == [1, 2]


def test_consensus_by_hand() -> None:
    deltas = [torch.tensor([1.0, 2, -3, 0, 1]), torch.tensor([3.0, -1, -1, 0, -1]), torch.tensor([0.0, -2, 5, 2, 0])]
    assert consensus(deltas, [1, 1, 1]).tolist() == [4, -3, 5, 2, 0]
    assert consensus(deltas, [1, 1, 1], normalise=True).tolist() == [2, -1.5, 5, 2, 0]
    assert consensus(deltas[:2], [1, -2]).tolist() == [-6, 4, -3, 0, 3]
    assert consensus(deltas[:2], [1, 3], normalise=True).tolist() == [2.5, -1, -1.5, 0, -1]


@given(NUMBERS, NUMBERS, NUMBERS)
@settings(deadline=None)
def test_consensus_is_symmetric_odd_and_agrees_on_agreement(a: Tensor, b: Tensor, c: Tensor) -> None:
    merged = consensus([a, b, c], [1, 1, 1])
    assert torch.equal(consensus([c, a, b], [1, 1, 1]), merged)
    assert torch.equal(consensus([-a, -b, -c], [1, 1, 1]), -merged)
    assert torch.equal(consensus([a, a], [1, 1], normalise=True), a)
    assert torch.equal(consensus([a.abs(), b.abs()], [1, 1]), a.abs() + b.abs())
    conflict = torch.sign(a + b + c)
    assert (torch.sign(merged) == conflict).all()


@given(NUMBERS, NUMBERS)
@settings(deadline=None)
def test_sums_are_symmetric(a: Tensor, b: Tensor) -> None:
    for rule in (weighted_sum, average):
        assert torch.equal(rule([a, b], [1, 1]), rule([b, a], [1, 1]))
    assert torch.equal(average([a, a], [1, 1]), a)


def test_model_stock() -> None:
    one, other = torch.tensor([1.0, 0]), torch.tensor([0.0, 2])
    assert model_stock(gram(one, one)) == pytest.approx(1)
    assert model_stock(gram(one, other)) == 0
    assert model_stock(gram(one, -one)) == 0
    assert model_stock(gram(one, 0 * one)) == 0
    assert model_stock(gram(one)) == 1
    slanted = torch.tensor([1.0, 1])
    c = math.sqrt(0.5)
    assert model_stock(gram(one, slanted)) == pytest.approx(2 * c / (c + 1))
    third = 2 * c / 3
    assert model_stock(gram(one, slanted, other)) == pytest.approx(3 * third / (2 * third + 1))


def test_slerp() -> None:
    one, other = torch.tensor([1.0, 0]), torch.tensor([0.0, 1])
    angles = gram(one, other)
    assert slerp(angles, 0) == pytest.approx((1, 0))
    assert slerp(angles, 1) == pytest.approx((0, 1))
    assert slerp(angles, 0.5) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))
    assert slerp(angles, 0)[0] == 1.0
    near, far = slerp(gram(one, one + 0.5 * other), 0.3)
    assert (near, far) == pytest.approx(slerp(gram(one + 0.5 * other, one), 0.7)[::-1])
    for straight in (gram(one, 2 * one), gram(one, -one), gram(one, 0 * one)):
        assert slerp(straight, 0.25) == (0.75, 0.25)


def test_iso_c_evens_out_the_singular_values() -> None:
    one, other = matrices(2)
    total = one + 0.5 * other
    merged = iso_c([one, other], [1, 0.5])
    values = torch.linalg.svdvals(total)
    torch.testing.assert_close(torch.linalg.svdvals(merged), values.mean().expand(4))
    left, _, right = torch.linalg.svd(total, full_matrices=False)
    torch.testing.assert_close(left.T @ merged @ right.T, values.mean() * torch.eye(4), atol=1e-5, rtol=1e-5)


def test_tsv_m_keeps_disjoint_subspaces_whole() -> None:
    basis = torch.linalg.qr(matrices(1, 6, 6)[0]).Q
    sides = torch.linalg.qr(matrices(1, 4, 4)[0]).Q
    one = 3 * torch.outer(basis[0], sides[0]) + torch.outer(basis[1], sides[1])
    other = 2 * torch.outer(basis[2], sides[2]) + 0.5 * torch.outer(basis[3], sides[3])
    torch.testing.assert_close(tsv_m([one, other], [1, 2]), one + 2 * other, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(tsv_m([one.T, other.T], [1, 2]), (one + 2 * other).T, atol=1e-5, rtol=1e-5)


def test_tsv_m_takes_an_equal_share_of_the_rank_from_each() -> None:
    one, other = matrices(2)
    merged = tsv_m([one, other], [1, 1])
    wanted = torch.cat([torch.linalg.svdvals(one)[:2], torch.linalg.svdvals(other)[:2]])
    torch.testing.assert_close(torch.linalg.svdvals(merged), wanted.sort(descending=True).values)
    torch.testing.assert_close(tsv_m([other, one], [1, 1]), merged, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(tsv_m([one], [1]), one, atol=1e-5, rtol=1e-5)
