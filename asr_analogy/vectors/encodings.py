"""Encodings: a task vector's tensor as fewer bits, and back. The layout of the parts follows from the shape alone.

exact      fp32, bit for bit (fp64 tensors of fp64 models are kept as fp32)
bf16       rounded to bfloat16
int8       one symmetric scale per row (first dimension): q = round(x / s), s = max|x| / 127
int4       groups of GROUP along each row, levels -7..7, the scale of each group chosen for the least squared error
lowrank    truncated SVD plus the largest entries of what it leaves (LoRS-Merging, arXiv 2502.17380, section 3)

Tensors of one dimension, and those with very short rows, are bf16 in the last three: they are few and count for much.
"""

from collections.abc import Mapping
from math import ceil, prod

import torch
from torch import Tensor
from torch.nn.functional import pad

from asr_analogy.errors import DataError

ENCODINGS = ("exact", "bf16", "int8", "int4", "lowrank")
GROUP = 64
"""Numbers that share a scale in int4: 4 + 16 / 64 bits each."""
SHORT = 8
"""Rows shorter than this are not worth a scale."""
RANK, KEPT = 16, 50
"""lowrank: one singular triple for every RANK of the shorter side, and one entry of every KEPT of the remainder."""
ROUNDS = 3
"""lowrank: how often the factors and the entries that stick out are fitted to what the other leaves (GoDec, ICML 2011)."""
SHRINK = tuple(0.5 + 0.05 * step for step in range(11))
"""int4: shares of max|x| / 7 that are tried as the scale of a group."""
CHUNK = 1 << 22
"""int4: elements that are searched at once, so that the memory stays small."""

Part = tuple[torch.dtype, tuple[int, ...]]
SCALE, LEFT, RIGHT, PLACE, REST = ":scale", ":left", ":right", ":place", ":rest"


def layout(shape: tuple[int, ...], encoding: str) -> dict[str, Part]:
    """The parts of a tensor of `shape`: suffix of the stored name -> (dtype, shape)."""
    kind = _kind(shape, encoding)
    rows, columns = _sides(shape)
    if kind == "exact":
        return {"": (torch.float32, shape)}
    if kind == "bf16":
        return {"": (torch.bfloat16, shape)}
    if kind == "int8":
        return {"": (torch.int8, shape), SCALE: (torch.float32, (rows,))}
    if kind == "int4":
        groups = ceil(columns / GROUP)
        return {"": (torch.uint8, (ceil(rows * columns / 2),)), SCALE: (torch.bfloat16, (rows, groups))}
    rank, kept = max(1, min(rows, columns) // RANK), ceil(rows * columns / KEPT)
    factors = {LEFT: (torch.bfloat16, (rows, rank)), RIGHT: (torch.bfloat16, (rank, columns))}
    return {**factors, PLACE: (torch.int64 if rows * columns >= 1 << 31 else torch.int32, (kept,)), REST: (torch.bfloat16, (kept,))}  # fmt: skip


def encode(delta: Tensor, encoding: str) -> dict[str, Tensor]:
    """The parts of `delta` (finite, floating point, any shape), as `layout` announces them."""
    kind = _kind(tuple(delta.shape), encoding)
    if kind in ("exact", "bf16"):
        return {"": delta.to(torch.float32 if kind == "exact" else torch.bfloat16)}
    rows = delta.reshape(delta.shape[0], -1).float()
    if kind == "int8":
        scale = rows.abs().amax(1) / 127
        levels = (rows / _divisor(scale)[:, None]).round().clamp(-127, 127)
        return {"": levels.to(torch.int8).reshape(delta.shape), SCALE: scale}
    return _encode_int4(rows) if kind == "int4" else _encode_lowrank(rows)


def decode(parts: Mapping[str, Tensor], shape: tuple[int, ...], encoding: str) -> Tensor:
    """The fp32 tensor of `shape` that the parts stand for; DataError if that is not finite or a place lies outside."""
    kind = _kind(shape, encoding)
    if kind in ("exact", "bf16"):
        found = parts[""].float()
    elif kind == "int8":
        found = parts[""].reshape(shape[0], -1).float() * parts[SCALE][:, None]
    elif kind == "int4":
        found = _decode_int4(parts, *_sides(shape))
    else:
        found = (parts[LEFT].float() @ parts[RIGHT].float()).reshape(-1)
        place = parts[PLACE].long()
        if len(place) and not 0 <= int(place.min()) <= int(place.max()) < len(found):
            raise DataError("a stored entry lies outside its tensor")
        found = found.index_add(0, place, parts[REST].float())
    if not torch.isfinite(found).all():
        raise DataError("a stored tensor holds NaN or Inf")
    return found.reshape(shape)


def _kind(shape: tuple[int, ...], encoding: str) -> str:
    """The encoding that a tensor of this shape gets."""
    if encoding not in ENCODINGS:
        raise DataError(f"{encoding}: no such encoding; known: {', '.join(ENCODINGS)}")
    small = len(shape) < 2 or prod(shape[1:]) < SHORT
    return "bf16" if small and encoding != "exact" else encoding


def _sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and the numbers in each."""
    return (shape[0] if shape else 1), prod(shape[1:])


def _divisor(scale: Tensor) -> Tensor:
    """The scale, or 1 where it is zero because all its numbers are."""
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def _encode_int4(rows: Tensor) -> dict[str, Tensor]:
    """Two levels to a byte, the first in the low half; 8 stands for zero. bf16 scales, rounded before they are used."""
    columns = rows.shape[1]
    step = max(1, CHUNK // columns)
    levels, scales = zip(*(_levels(part) for part in rows.split(step)), strict=True)
    flat = torch.cat([part[:, :columns].reshape(-1) for part in levels])
    flat = pad(flat, (0, len(flat) % 2), value=8)
    return {"": flat[0::2] | flat[1::2] << 4, SCALE: torch.cat(scales)}


def _levels(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Levels (rows, padded columns), uint8 1..15, and scales (rows, groups), bf16, of the least squared error."""
    groups = pad(rows, (0, -rows.shape[1] % GROUP)).reshape(len(rows), -1, GROUP)
    widest = groups.abs().amax(2) / 7
    best = torch.full_like(widest, torch.inf)
    scale, levels = widest.bfloat16(), torch.zeros_like(groups)
    for share in SHRINK:
        trial = (widest * share).bfloat16()
        wide = trial.float()[..., None]
        tried = (groups / _divisor(wide)).round().clamp(-7, 7)
        error = (tried * wide - groups).square().sum(2)
        better = error < best
        best, scale = torch.where(better, error, best), torch.where(better, trial, scale)
        levels = torch.where(better[..., None], tried, levels)
    return (levels + 8).to(torch.uint8).reshape(len(rows), -1), scale


def _decode_int4(parts: Mapping[str, Tensor], rows: int, columns: int) -> Tensor:
    packed = parts[""]
    levels = torch.stack([packed & 15, packed >> 4], 1).reshape(-1)[: rows * columns].reshape(rows, columns)
    scale = parts[SCALE].float().repeat_interleave(GROUP, 1)[:, :columns]
    return (levels.float() - 8) * scale


def _encode_lowrank(rows: Tensor) -> dict[str, Tensor]:
    """Entries that stick out are set aside first, so that the factors need not bend to them; then they change places."""
    parts = layout(tuple(rows.shape), "lowrank")
    rank, kept = parts[LEFT][1][1], parts[PLACE][1][0]
    rest = rows.reshape(-1)
    for _ in range(ROUNDS):
        place = rest.abs().topk(kept).indices
        aside = torch.zeros_like(rest).index_put((place,), rest[place]).reshape(rows.shape)
        left, right = (factor.bfloat16().contiguous() for factor in _factors(rows - aside, rank))
        rest = (rows - left.float() @ right.float()).reshape(-1)
    place = rest.abs().topk(kept).indices.sort().values
    return {LEFT: left, RIGHT: right, PLACE: place.to(parts[PLACE][0]), REST: rest[place].bfloat16()}


def _factors(rows: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """D V and V^T of the best approximation of that rank (Eckart-Young), V from the smaller Gram matrix, in fp64."""
    turned = rows.shape[1] > rows.shape[0]
    tall = rows.double().T if turned else rows.double()
    vectors = torch.linalg.eigh(tall.T @ tall).eigenvectors[:, -rank:]
    first, second = tall @ vectors, vectors.T
    return (second.T, first.T) if turned else (first, second)
