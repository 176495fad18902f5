"""Rules that drop entries of a task vector, by magnitude or by chance, stretch by stretch.

A stretch is a 1-D piece of one tensor's delta. What it becomes depends on the tensor, never on how it was cut: magnitudes
are ranked over the whole tensor by counting bits, chance is a function of (seed, tensor name, vector, element).
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

BLOCK = 1 << 16
"""Elements that share one random stream."""
STEPS = 1 << 16
"""Probabilities are rounded to multiples of one over this."""
OUTLIERS = 0.01
"""Share of the largest entries that Breadcrumbs drops: the paper's gamma is 0.99 to 0.993."""
SPREAD = 0.15
"""How far DELLA's keep probability rises and falls around the density."""

Stretches = Callable[[], Iterable[Sequence[Tensor]]]
"""Goes over a tensor once more: at every stretch the deltas of all vectors."""


def magnitudes(stretches: Stretches, ranks: Sequence[int]) -> list[list[float]]:
    """For every vector the magnitudes (as fp32) that stand at `ranks` (1 is the largest) of its whole tensor.

    Exact and independent of the cut: the bits of a positive float order as integers do, so counting the upper 16 bits,
    then the lower 16 of the bin in question, finds the value (radix selection) in two passes and constant memory.
    """
    upper = _count(stretches, lambda bits, _: bits >> 16, STEPS // 2)
    bins = [[_find(counts, rank) for rank in ranks] for counts in upper]
    found = []
    for number in range(len(ranks)):
        lower = _count(stretches, partial(_low, [places[number][0] for places in bins]), STEPS)
        found.append([_find(counts, bins[which][number][1])[0] for which, counts in enumerate(lower)])
    return [
        [_value(at[0] << 16 | low[which]) for at, low in zip(bins[which], found, strict=True)]
        for which in range(len(bins))
    ]


def _count(stretches: Stretches, key: Callable[[Tensor, int], Tensor], size: int) -> list[Tensor]:
    """For every vector how often `key` of an entry's bits takes each value below `size`."""
    counts: list[Tensor] = []
    for deltas in stretches():
        counts = counts or [torch.zeros(size, dtype=torch.int64) for _ in deltas]
        for which, delta in enumerate(deltas):
            bits = delta.to(torch.float32).abs().view(torch.int32)
            counts[which] += torch.bincount(key(bits, which), minlength=size)
    return counts


def _low(uppers: Sequence[int], bits: Tensor, vector: int) -> Tensor:
    """The lower 16 bits of the entries whose upper ones are the vector's; numpy picks few of many faster than torch."""
    chosen = np.flatnonzero((bits >> 16).eq_(uppers[vector]).numpy())
    return torch.from_numpy(bits.numpy()[chosen] & (STEPS - 1))


def _find(counts: Tensor, rank: int) -> tuple[int, int]:
    """(the bin that holds the `rank`-th entry from the top, its rank within that bin)."""
    above = counts.flip(0).cumsum(0)
    place = int(torch.searchsorted(above, rank))
    return len(counts) - 1 - place, rank - (int(above[place - 1]) if place else 0)


def _value(bits: int) -> float:
    return float(np.int32(bits).view(np.float32))


def kept(size: int, density: float) -> int:
    """How many of `size` entries remain at this density: at least one."""
    return min(size, max(1, int(density * size)))


def trim(delta: Tensor, bound: float) -> Tensor:
    """Zero what is smaller than `bound` in magnitude; ties with it stay. Step 1 of TIES: Yadav et al. 2023
    (arXiv 2306.01708), algorithm 1, with the trim per tensor, as in mergekit: ranking over the whole model would let
    the widest layers starve the norms and biases, and need every tensor before the first is written."""
    return torch.hardshrink(delta, float(np.nextafter(np.float32(bound), np.float32(-1))) if bound > 0 else 0.0)


def band(delta: Tensor, lower: float, upper: float) -> Tensor:
    """Zero what is smaller than `lower` or larger than `upper` in magnitude: Model Breadcrumbs, Davari and Belilovsky
    2024 (arXiv 2312.06795), section 3.2, where both bounds are ranks within a layer."""
    return trim(delta - torch.hardshrink(delta, upper), lower)


def band_ranks(size: int, density: float) -> tuple[int, int]:
    """(rank of the largest entry that Breadcrumbs keeps, rank of the smallest), of a tensor of `size` entries."""
    keep = kept(size, density)
    dropped = min(int(OUTLIERS * size), size - keep)
    return dropped + 1, dropped + keep


def dare(delta: Tensor, density: float, draws: np.ndarray) -> Tensor:
    """Keep an entry with probability `density` and divide it by that: DARE, Yu et al. 2024 (arXiv 2311.03099),
    equations 3 to 5 with p = 1 - density, so that the mean over seeds is `delta`.

    `draws` are uint16, one for each entry; the probability is rounded to a multiple of 1 / STEPS, and the division with it.
    """
    limit = max(1, round(density * STEPS))
    keep = (draws < limit).view(np.uint8) if limit < STEPS else np.ones(len(draws), np.uint8)
    return torch.from_numpy(keep).to(delta.dtype).mul_(delta).mul_(STEPS / limit)


def della(rows: Tensor, density: float, draws: np.ndarray) -> Tensor:
    """DARE with more for the large: the keep probability rises with an entry's rank by magnitude within its row, from
    density - spread to density + spread, and the kept are divided by it. MagPrune of DELLA, Deep et al. 2024
    (arXiv 2406.11617), equations 1 to 4.

    `rows` is (rows, width), `draws` uint16, one for each entry. Equal magnitudes rank in their order.
    """
    spread = min(SPREAD, density / 2, 1 - density)
    order = torch.argsort(rows.abs(), dim=1, stable=True)
    width = rows.shape[1]
    steps = torch.linspace(-spread, spread, width, dtype=torch.float64) if width > 1 else torch.zeros(width)
    limits = ((density + steps) * STEPS).round_().clamp_(1, STEPS).to(torch.int32)
    limit = torch.empty(rows.shape, dtype=torch.int32).scatter_(1, order, limits.expand_as(rows))
    keep = torch.from_numpy(draws.astype(np.int32)).view(rows.shape) < limit
    return keep.to(rows.dtype).mul_(rows).mul_(STEPS).div_(limit)


def draws(seed: int, name: str, vector: int, begin: int, end: int) -> np.ndarray:
    """Random uint16, one for each element from `begin` to `end` of tensor `name`: the same however a tensor is cut."""
    first, last = begin // BLOCK, -(-end // BLOCK)
    blocks = [_block(f"{seed} {vector} {block} {name}") for block in range(first, last)]
    return np.concatenate([*blocks, np.empty(0, np.uint16)])[begin - first * BLOCK : end - first * BLOCK]


def _block(key: str) -> np.ndarray:
    stream = np.random.SFC64(int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "little"))
    words = stream.random_raw(BLOCK // 4)
    return words.astype("<u8", copy=False).view("<u2")
