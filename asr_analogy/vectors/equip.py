"""Equip: a model plus weighted task vectors, one tensor at a time, written as the model's own files."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor

from asr_analogy.errors import DataError, RecipeError, ResourceError
from asr_analogy.vectors.difference import Delta, own_name
from asr_analogy.vectors.stream import INDEX, Weights, write_shard
from asr_analogy.vectors.task_vector import is_buffer, step

Weighted = tuple[str, Delta, float]
"""A vector with its name and its coefficient."""


def equip(
    to: Path,
    vectors: Sequence[Weighted],
    out: Path,
    buffers: Collection[str] = (),
    ties: Mapping[str, str] | None = None,
) -> None:
    """Write to + sum of weight * vector into the hidden folder `out`: weights only, in `to`'s files and dtypes.

    With one exact vector B - A the result is bit for bit that of `stream.merge`. Sums are fp32 (fp64 for fp64);
    buffers and integers are `to`'s. Raises RecipeError for a weight that is no finite number, DataError (vector, tensor)
    for other names or shapes and for NaN, ResourceError if `out` cannot be written.
    """
    for name, _, weight in vectors:
        if not isfinite(weight):
            raise RecipeError(f"--vector {name}={weight}: give a finite number, usually between 0 and 1")
    job = _Equipping(Weights.open(to), vectors, frozenset(buffers), ties or {})
    job.check()
    try:
        for shard, names in job.to.shards.items():
            specs = [(name, job.to.dtype(name), job.to.shape(name)) for name in names]
            write_shard(out / shard, specs, map(job.tensor, names))
        if (to / INDEX).is_file():
            shutil.copyfile(to / INDEX, out / INDEX)
    except OSError as error:
        raise ResourceError(f"{out}: cannot write the weights ({error}); free space or choose another --out") from error


class _Equipping:
    """One model and the vectors that it gets."""

    def __init__(
        self, to: Weights, vectors: Sequence[Weighted], buffers: frozenset[str], ties: Mapping[str, str]
    ) -> None:
        self.to, self.vectors, self.buffers, self.ties = to, vectors, buffers, ties

    def check(self) -> None:
        """Compare names and shapes from the headers alone."""
        moved = {own_name(name, self.ties): name for name in self.to.names if not self._is_copied(name)}
        for label, vector, _ in self.vectors:
            for name in sorted({*moved, *vector.names}):
                if name not in vector.names or name not in moved:
                    lacks = f"vector {label}" if name in moved else str(self.to.folder)
                    raise DataError(f"{lacks}: lacks the tensor {name!r}; equip fine-tunes of the vector's base")
                ours, theirs = self.to.shape(moved[name]), vector.shape(name)
                if ours != theirs:
                    raise DataError(
                        f"vector {label}: tensor {name!r} has shape {theirs}, in {self.to.folder} {ours}; equip "
                        "fine-tunes of the vector's base"
                    )

    def _is_copied(self, name: str) -> bool:
        return name in self.buffers or is_buffer(name) or not self.to.dtype(name).is_floating_point

    def tensor(self, name: str) -> Tensor:
        """One tensor of the result."""
        start = self.to.tensor(name)
        if self._is_copied(name):
            return start
        own = own_name(name, self.ties)
        (_, first, weight), *others = self.vectors
        if not others:
            merged = step(start, first.tensor(own), weight)
        else:
            total = sum((other.tensor(own) * factor for _, other, factor in others), first.tensor(own) * weight)
            merged = step(start, total, 1.0)
        if not torch.isfinite(merged).all():
            raise DataError(
                f"{self.to.folder}: tensor {name!r} with the vector holds NaN or Inf, or overflows {merged.dtype}; lower "
                "the scale"
            )
        return merged
