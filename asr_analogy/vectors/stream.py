"""Task arithmetic on model folders, a stretch of a tensor at a time: safetensors in, safetensors out, no model in memory.

Tensors are shared out among threads; every thread works on one core. What comes out depends on neither their number, nor
the stretches, nor the shards: each element is computed from its own inputs and from exact facts about its tensor.
"""

import os
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from math import isfinite, prod, sqrt
from pathlib import Path

import torch
from torch import Tensor

from asr_analogy.errors import DataError, RecipeError, ResourceError
from asr_analogy.vectors.plan import Group, Rule, planned
from asr_analogy.vectors.shards import CODES, Shards, Spec, Tensors, write_shard
from asr_analogy.vectors.task_vector import FLOATS, accumulator, is_buffer
from asr_analogy.vectors.weights import INDEX, SINGLE, Weights
from asr_analogy.vectors.where import Factor, Where

__all__ = [
    "CODES",
    "INDEX",
    "SINGLE",
    "Spec",
    "Summary",
    "Vector",
    "Weights",
    "combine",
    "combined",
    "merge",
    "write_shard",
]

SAME_BASE = "merge fine-tunes of one base"
VOCABULARY = ("lm_head.weight", "lm_head.bias", "embed_tokens.weight", "proj_out.weight")
PLAIN = Rule()
LENGTH = 1 << 19
"""Elements of a stretch: its inputs and sums stay within a core's cache."""
LARGE = 1 << 24
"""Stretches longer than this are computed one at a time."""


@dataclass(frozen=True)
class Vector:
    """A task vector on disk, scale * (plus - minus), and the parts of the model it acts on (see `Where`)."""

    plus: Path
    minus: Path
    scale: float = 1.0
    where: Mapping[str, Factor] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """What a merge did: how many tensors and elements were merged, and the names of the tensors copied from `to`.

    The norms, of all plus - minus (unscaled) and of `to`, are Euclidean, over the merged tensors as stored, summed in
    fp32 within a stretch and in fp64 beyond.
    """

    parameters: int
    copied: list[str]
    elements: int
    seconds: float
    vector_norm: float
    to_norm: float


def merge(
    to: Path, plus: Path, minus: Path, scale: float, out: Path,
    buffers: Collection[str] = (), ties: Mapping[str, str] | None = None,
) -> Summary:  # fmt: skip
    """Write the analogy to + scale * (plus - minus) into the existing folder `out`: `combine` with one vector.

    Method: SYN2REAL, arXiv 2406.02925; arXiv 2212.04089.
    """
    return combine(to, [Vector(plus, minus, scale)], out, buffers=buffers, ties=ties)


def combine(
    to: Path, vectors: Sequence[Vector], out: Path, rule: Rule = PLAIN, base: Path | None = None, *,
    buffers: Collection[str] = (), ties: Mapping[str, str] | None = None, threads: int = 0, length: int = LENGTH,
) -> Summary:  # fmt: skip
    """Write `to` with `vectors` into the existing folder `out`, as `rule` says: weights only, in `to`'s files and dtypes.

    Without `base` the result is to + rule(vectors). With it `to`'s own vector, to - base with weight 1, comes first
    among the vectors: the result is base + rule(to - base, *vectors), computed as to + (rule(...) - (to - base)) so that
    what a rule leaves alone stays bit for bit.

    Tensors named in `buffers`, BatchNorm statistics and integer tensors are `to`'s, untouched. Sums are fp32 (fp64 for
    fp64 tensors). `ties` maps a name to the one it shares its tensor with, for folders of which only some store both.
    `threads` 0 takes one per core, at most 8. Memory: some stretches of `length` elements per thread (a rule on singular
    values needs the matrix). Nothing appears in `out` before all of it is written.

    Raises DataError for unusable folders (see `Weights.open`), other names or shapes, and NaN or Inf in an input or
    the result; RecipeError for a scale that is no finite number, a part that does not exist or an `out` that is an
    input; ResourceError if `out` cannot be written.
    """
    began = time.perf_counter()
    job = _opened(to, vectors, out, rule, base, buffers, ties, length)
    try:
        with Shards(out, job.to) as shards, _one_core_each():
            job.shards = shards
            moved = _in_threads(job, threads or _cores())
    except OSError as error:
        raise ResourceError(f"{out}: cannot write the weights ({error}); free space or choose another --out") from error
    names = [name for name in job.to.names if not job.is_copied(name)]
    copied = [name for name in job.to.names if job.is_copied(name)]
    norms = (sqrt(sum(moved[name][which] for name in names)) for which in (0, 1))
    elements = sum(prod(job.to.shape(name)) for name in names)
    return Summary(len(names), copied, elements, time.perf_counter() - began, *norms)


def combined(
    to: Path, vectors: Sequence[Vector], rule: Rule = PLAIN, base: Path | None = None, *,
    buffers: Collection[str] = (), ties: Mapping[str, str] | None = None,
) -> dict[str, Tensor]:  # fmt: skip
    """The tensors that `combine` would write, bit for bit: all in memory, nothing on disk. Raises what it raises."""
    job = _opened(to, vectors, None, rule, base, buffers, ties, LENGTH)
    job.shards = found = Tensors(job.to)
    with _one_core_each():
        _in_threads(job, _cores())
    return found.tensors


def _opened(
    to: Path, vectors: Sequence[Vector], out: Path | None, rule: Rule, base: Path | None,
    buffers: Collection[str], ties: Mapping[str, str] | None, length: int,
) -> "_Merge":  # fmt: skip
    torch.set_flush_denormal(False)  # training and decoding in this process may have set it: sums here are exact
    for vector in vectors:
        if not isfinite(vector.scale):
            raise RecipeError(f"merge.scale is {vector.scale}; give a finite number, usually between 0 and 1")
    inputs = {to, *([base] if base else []), *chain(*((vector.plus, vector.minus) for vector in vectors))}
    if out is not None and out.resolve() in {folder.resolve() for folder in inputs}:
        raise RecipeError(f"{out}: the merge would overwrite one of its inputs; give another --out")
    opened = {folder: Weights.open(folder) for folder in inputs}
    own = [(opened[to], opened[base])] if base else []
    pairs = [*own, *((opened[vector.plus], opened[vector.minus]) for vector in vectors)]
    job = _Merge(opened[to], pairs, vectors, rule, base is not None, out or to, frozenset(buffers), ties or {}, length)
    job.check()
    return job


@dataclass
class _Merge:
    """One merge under way: its inputs, and the shards or tensors it fills."""

    to: Weights
    pairs: Sequence[tuple[Weights, Weights]]
    vectors: Sequence[Vector]
    rule: Rule
    anchored: bool
    out: Path
    buffers: frozenset[str]
    ties: Mapping[str, str]
    length: int
    shards: Shards | Tensors = field(init=False)
    large: threading.Lock = field(default_factory=threading.Lock)
    where: list[Where] = field(init=False)

    def is_copied(self, name: str) -> bool:
        """True if the tensor is taken from `to` as it is."""
        return name in self.buffers or is_buffer(name) or not self.to.dtype(name).is_floating_point

    def check(self) -> None:
        """Compare names, shapes and dtypes from the headers alone; DataError for the first that does not fit."""
        others = {id(weights): weights for weights in chain(*self.pairs) if weights is not self.to}
        for weights in (self.to, *others.values()):
            self._check_ties(weights)
        names = [name for name in self.to.names if not self.is_copied(name)]
        for name in names:
            for weights in others.values():
                self._check_tensor(weights, name)
        for weights in others.values():
            for name in weights.names:
                if self.stored_as(self.to, name) is None:
                    raise DataError(f"{weights.folder}: has a tensor {name!r} that {self.to.folder} lacks; {SAME_BASE}")
        self.where = [Where(vector.where, names) for vector in self.vectors]

    def stored_as(self, weights: Weights, name: str) -> str | None:
        """The name under which `weights` stores `name`: itself, or one it is tied to; None if it does not."""
        target = self.ties.get(name, name)
        names = (name, target, *(alias for alias, other in self.ties.items() if other == target))
        return next((each for each in names if each in weights), None)

    def _check_ties(self, weights: Weights) -> None:
        for name, target in self.ties.items():
            both = name in weights and target in weights
            if both and not torch.equal(weights.tensor(name), weights.tensor(target)):
                raise DataError(f"{weights.folder}: {name!r} and {target!r} are tied but differ; train with them tied")

    def _check_tensor(self, weights: Weights, name: str) -> None:
        stored = self.stored_as(weights, name)
        if stored is None:
            why = f"{SAME_BASE}, or say in ties what it is tied to"
            raise DataError(f"{weights.folder}: lacks the tensor {name!r} that {self.to.folder} has; {why}")
        if (ours := self.to.shape(name)) != (theirs := weights.shape(stored)):
            why = f"the vocabularies differ; {SAME_BASE}" if name.endswith(VOCABULARY) else SAME_BASE
            shapes = f"{theirs} but {ours} in {self.to.folder}"
            raise DataError(f"{weights.folder}: tensor {name!r} has shape {shapes}; {why}")
        if (dtype := weights.dtype(stored)) not in FLOATS:
            raise DataError(f"{weights.folder}: tensor {name!r} is {dtype}, not floating point; save it unquantised")

    def tensor(self, name: str) -> tuple[float, float]:
        """Merge and write one tensor; the squares of the norms of its vectors and of `to`. DataError for NaN or Inf."""
        size, shape = prod(self.to.shape(name)), self.to.shape(name)
        if self.is_copied(name) or not size:
            self._copy(name, size)
            return 0.0, 0.0
        factors = tuple(v.scale * where.factor(name) for v, where in zip(self.vectors, self.where, strict=True))
        weights = (1.0, *factors) if self.anchored else factors
        plan = planned(self.rule, Group(name, shape, weights, partial(self._over, name)), self.length)
        squares = [0.0, 0.0]
        with self.large if min(plan.length, size) > LARGE else nullcontext():
            for begin in range(0, size, plan.length):
                start, deltas = self._read(name, begin, min(size, begin + plan.length))
                for which, tensors in enumerate((deltas[self.anchored :], [start])):
                    squares[which] += sum(self._square(name, tensor) for tensor in tensors)
                move = plan.step(begin, deltas)
                if self.anchored:
                    move.sub_(deltas[0])
                self._write(name, begin, start.sub_(move.neg_().add_(0.0)))  # x - 0.0 is x, of -0.0 too
        return squares[0], squares[1]

    def _copy(self, name: str, size: int) -> None:
        for begin in range(0, size, self.length):
            piece = self.to.read(name, begin, min(size, begin + self.length))
            if piece.is_floating_point() and not torch.isfinite(piece).all():
                raise DataError(f"{self.to.folder}: tensor {name!r} holds NaN or Inf; use an earlier checkpoint")
            self.shards.write(name, begin, piece)

    def _read(self, name: str, begin: int, end: int) -> tuple[Tensor, list[Tensor]]:
        """One stretch: `to` and the deltas of all vectors, in the dtype that sums are taken in."""
        needed = {id(weights): weights for weights in (self.to, *chain(*self.pairs))}
        pieces = {
            key: weights.read(self.stored_as(weights, name) or name, begin, end) for key, weights in needed.items()
        }
        wide = accumulator(*(piece.dtype for piece in pieces.values()))
        pieces = {key: piece.to(wide) for key, piece in pieces.items()}
        return pieces[id(self.to)], [pieces[id(plus)] - pieces[id(minus)] for plus, minus in self.pairs]

    def _over(self, name: str, length: int) -> Iterator[list[Tensor]]:
        """The deltas of all vectors, stretch by stretch."""
        size = prod(self.to.shape(name))
        for begin in range(0, size, length):
            yield self._read(name, begin, min(size, begin + length))[1]

    def _square(self, name: str, values: Tensor) -> float:
        """The square of the norm; DataError if an input holds NaN or Inf, which it would show."""
        square = torch.dot(values, values).item()
        if isfinite(square):
            return square
        for weights in {id(weights): weights for weights in (self.to, *chain(*self.pairs))}.values():
            if not torch.isfinite(weights.tensor(self.stored_as(weights, name) or name)).all():
                raise DataError(f"{weights.folder}: tensor {name!r} holds NaN or Inf; use an earlier checkpoint")
        return torch.dot(values.double(), values.double()).item()

    def _write(self, name: str, begin: int, merged: Tensor) -> None:
        merged = merged.to(self.to.dtype(name))
        low, high = torch.aminmax(merged)
        if not (isfinite(low) and isfinite(high)):
            why = f"overflows {merged.dtype}; lower the scale or save {self.to.folder} as float32"
            raise DataError(f"{self.out}: tensor {name!r} of the merge {why}")
        self.shards.write(name, begin, merged)


def _in_threads(job: _Merge, threads: int) -> dict[str, tuple[float, float]]:
    """Merge all tensors, the largest first and the others in file order; the first error ends the rest."""
    names = sorted(job.to.names, key=lambda name: -max(LARGE, prod(job.to.shape(name))))
    pool = ThreadPoolExecutor(threads, thread_name_prefix="merge")
    try:
        return dict(zip(names, pool.map(job.tensor, names), strict=True))
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _one_core_each() -> Iterator[None]:
    """Torch computes on one core per thread of ours: sums are then taken in the same order on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cores() -> int:
    """Processor cores this process may use, at most 8."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
