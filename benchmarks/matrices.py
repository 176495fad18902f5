"""The matrix products that a training step consists of, and how long a plain one of the same shape takes."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

Shape = tuple[int, int, int, int]
"""Batch, rows, inner, columns."""

aten = torch.ops.aten


class Products(TorchDispatchMode):
    """Counts products and convolutions (as products, forward and both gradients) by shape."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[Shape] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        out = function(*given, **(named or {}))
        if function in (aten.mm.default, aten.mm.out, aten.addmm.default):
            left, right = given[-2:]
            self.found[1, left.shape[0], left.shape[1], right.shape[1]] += 1
        elif function in (aten.bmm.default, aten.baddbmm.default):
            left, right = given[-2:]
            self.found[left.shape[0], left.shape[1], left.shape[2], right.shape[2]] += 1
        elif function is aten.convolution.default:
            self.found[self._convolution(given[1], out, given[8])] += 1
        elif function is aten.convolution_backward.default:
            needed = sum(given[-1][:2])
            self.found[self._convolution(given[2], given[0], given[9])] += needed
        return out

    def _convolution(self, weight: torch.Tensor, out: torch.Tensor, groups: int) -> Shape:
        positions = out.shape[0] * out[0, 0].numel()
        return groups, positions, weight[0].numel(), weight.shape[0] // groups


@contextmanager
def products() -> Iterator[Counter[Shape]]:
    """While entered, what is multiplied is counted."""
    with Products() as mode:
        yield mode.found


def seconds(shape: Shape, least: float = 0.05) -> float:
    """Of one bf16 product of this shape, the best of a few batches of repetitions."""
    batch, rows, inner, columns = shape
    left, right = torch.randn(batch, rows, inner).bfloat16(), torch.randn(batch, inner, columns).bfloat16()
    if batch == 1:
        left, right = left[0], right[0]
    best, spent = float("inf"), 0.0
    while spent < least:
        started = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - started)
        spent += best
    return best
