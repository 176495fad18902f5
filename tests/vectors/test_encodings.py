"""Encodings: what comes back, and in how many bytes."""

from math import prod

import pytest
import torch
from torch import Tensor

from asr_analogy.errors import DataError
from asr_analogy.vectors.encodings import ENCODINGS, PLACE, SCALE, decode, encode, layout

SHAPES = [(208, 208), (33, 70), (5, 3, 7), (192, 1, 31), (7,), (1,), (), (64, 4), (1, 9), (2, 100, 3)]
BITS = {"exact": 32, "bf16": 16, "int8": 8.2, "int4": 4.4, "lowrank": 4.1}
ERROR = {"exact": 0.0, "bf16": 0.003, "int8": 0.015, "int4": 0.13, "lowrank": 0.96}


def noise(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Like the deltas of Adam: small, bell-shaped, rows of different size."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.rand(shape[:1], generator=generator).reshape(-1, *[1] * (len(shape) - 1)) if shape else 1.0
    return 1e-4 * torch.randn(shape, generator=generator) * rows


def size(shape: tuple[int, ...], encoding: str) -> int:
    return sum(dtype.itemsize * prod(part) for dtype, part in layout(shape, encoding).values())


def error(delta: Tensor, encoding: str) -> float:
    found = decode(encode(delta, encoding), tuple(delta.shape), encoding)
    return float((found - delta).norm() / delta.norm())


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_parts_are_as_announced_and_come_back(shape: tuple[int, ...], encoding: str) -> None:
    delta = noise(shape)
    parts = encode(delta, encoding)
    assert {key: (part.dtype, tuple(part.shape)) for key, part in parts.items()} == layout(shape, encoding)
    found = decode(parts, shape, encoding)
    assert found.shape == delta.shape and found.dtype == torch.float32
    assert error(delta, encoding) <= ERROR[encoding]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_size_and_error_of_a_matrix(encoding: str) -> None:
    delta = noise((208, 832))
    assert 8 * size((208, 832), encoding) / delta.numel() <= BITS[encoding]
    assert error(delta, encoding) <= ERROR[encoding]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("shape", [(70, 70), (3,)], ids=str)
def test_zeros_stay_zeros(shape: tuple[int, ...], encoding: str) -> None:
    delta = torch.zeros(shape)
    if len(shape) > 1:
        delta[1] = noise(shape)[1]
    found = decode(encode(delta, encoding), shape, encoding)
    kept = torch.ones(shape, dtype=torch.bool)
    kept[1:2] = len(shape) == 1
    if encoding != "lowrank":
        assert not found[kept].any()
    assert torch.isfinite(found).all()


def test_int8_is_within_half_a_level_of_each_row() -> None:
    delta = noise((50, 90))
    found = decode(encode(delta, "int8"), (50, 90), "int8")
    assert ((found - delta).abs() <= delta.abs().amax(1, keepdim=True) / 127 * 0.501).all()


def test_int4_does_better_than_the_widest_scale() -> None:
    """The search over scales is what makes 15 levels enough."""
    delta = noise((64, 640))
    groups = delta.reshape(64, 10, 64)
    scale = groups.abs().amax(2, keepdim=True) / 7
    plain = float(((groups / scale).round() * scale - groups).norm() / delta.norm())
    assert error(delta, "int4") < 0.97 * plain


def test_int4_of_a_large_tensor_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    delta = noise((37, 129))
    whole = encode(delta, "int4")
    monkeypatch.setattr("asr_analogy.vectors.encodings.CHUNK", 300)
    parts = encode(delta, "int4")
    assert all(torch.equal(parts[key], whole[key]) for key in whole)


@pytest.mark.parametrize("shape", [(96, 128), (128, 96), (96, 4, 32)], ids=str)
def test_low_rank_plus_sparse_catches_both(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    rows, columns = shape[0], prod(shape[1:])
    delta = torch.randn(rows, 3) @ torch.randn(3, columns)
    spikes = torch.randperm(rows * columns)[:40]
    delta.view(-1)[spikes] += 50 * torch.randn(40).sign()
    assert error(delta.reshape(shape), "lowrank") < 0.06
    assert error(torch.randn(shape), "lowrank") > 0.5


@pytest.mark.parametrize("encoding", ["int8", "int4"])
def test_nan_in_a_stored_scale_is_refused(encoding: str) -> None:
    parts = encode(noise((9, 70)), encoding)
    parts[SCALE].view(-1)[0] = torch.nan
    with pytest.raises(DataError, match="NaN"):
        decode(parts, (9, 70), encoding)


@pytest.mark.parametrize("place", [-1, 9 * 70])
def test_an_entry_outside_its_tensor_is_refused(place: int) -> None:
    parts = encode(noise((9, 70)), "lowrank")
    parts[PLACE][0] = place
    with pytest.raises(DataError, match="outside"):
        decode(parts, (9, 70), "lowrank")


def test_an_unknown_encoding() -> None:
    with pytest.raises(DataError, match="int3: no such encoding; known: exact, bf16"):
        encode(noise((9, 70)), "int3")
