"""Task vectors: fine-tuned minus base, as a value with + - * (Ilharco et al. 2023, arXiv 2212.04089).

A vector between two folders holds no tensor: its values are computed from the files when they are asked for, so sums of
vectors of any size cost nothing until they are applied. What `stream.py` writes is the same arithmetic by stretches.
"""

from collections.abc import Callable, Iterator, Mapping
from math import prod, sqrt
from numbers import Real
from pathlib import Path

import torch
from torch import Tensor

from asr_analogy.errors import DataError
from asr_analogy.vectors.weights import Weights
from asr_analogy.vectors.where import Factor, Where
from asr_analogy.workspace import read_record

BUFFER_SUFFIXES = ("running_mean", "running_var", "num_batches_tracked")
"""Ends of the names of BatchNorm statistics: measured, not learnt, so arithmetic on them has no meaning."""

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""The dtypes that task arithmetic is defined for."""

Tensors = Mapping[str, Tensor]
Shapes = Mapping[str, tuple[int, ...]]


class Computed(Mapping[str, Tensor]):
    """Tensors by name that are computed anew whenever they are asked for."""

    def __init__(self, shapes: Shapes, compute: Callable[[str], Tensor]) -> None:
        self.shapes, self._compute = shapes, compute

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.shapes:
            raise KeyError(name)
        return self._compute(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def is_buffer(name: str) -> bool:
    """True if `name` is a BatchNorm statistic, which no task vector contains."""
    return name.endswith(BUFFER_SUFFIXES)


def accumulator(*dtypes: torch.dtype) -> torch.dtype:
    """The dtype sums are taken in: float64 if one of `dtypes` is, else float32."""
    return torch.float64 if torch.float64 in dtypes else torch.float32


def step(start: Tensor, delta: Tensor, scale: float) -> Tensor:
    """Return start + scale * delta in `start`'s dtype and on its device, summed in fp32 (fp64 if either is fp64).

    Both tensors have the same shape. Where scale * delta is zero the element of `start` is kept bit for bit,
    so that -0.0 survives too.
    """
    wide = accumulator(start.dtype, delta.dtype)
    move = delta.to(device=start.device, dtype=wide) * scale
    return (start.to(wide) - move.neg_().add_(0.0)).to(start.dtype)  # x - 0.0 is x, and -0.0 too


class TaskVector:
    """What fine-tuning changed: one fp32 tensor per parameter (fp64 where the models are fp64). Immutable.

    Vectors of the same base add, subtract and scale (arXiv 2212.04089, section 2). BatchNorm statistics
    (BUFFER_SUFFIXES) are never part of a vector. Vectors with different names, shapes or parents raise DataError.
    `parent` is the content hash of the base, as far as it is known, else "".
    """

    __slots__ = ("_shapes", "_tensors", "parent")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tensors: Tensors, parent: str = "") -> None:
        """Copy `tensors` (name -> floating tensor of any shape); DataError for other dtypes."""
        kept = {name: tensors[name].detach() for name in _parameters(tensors, "the vector")}
        copies = {name: tensor.to(dtype=accumulator(tensor.dtype), copy=True) for name, tensor in kept.items()}
        self._hold(copies, {name: tuple(tensor.shape) for name, tensor in copies.items()}, parent)

    def _hold(self, tensors: Tensors, shapes: Shapes, parent: str) -> "TaskVector":
        self._tensors, self._shapes, self.parent = tensors, shapes, parent
        return self

    @classmethod
    def between(cls, base: Tensors | Path, tuned: Tensors | Path, parent: str = "") -> "TaskVector":
        """tuned - base, for two state dicts or two model folders of one architecture.

        Between state dicts the vector lies on `base`'s devices; between folders it is computed when asked for. `parent`
        names the base that both come from; folders that `train` wrote know theirs. Raises DataError naming the first
        tensor if names or shapes differ, or if a parameter is not floating point, and for folders of different bases.
        """
        named = {parent} if parent else {name for name in (_parent(base), _parent(tuned)) if name}
        if len(named) > 1:
            raise DataError(f"{tuned}: fine-tuned from another base than {base}; their difference is no task vector")
        base, tuned = _opened(base), _opened(tuned)
        start, end = _parameters(base, "base"), _parameters(tuned, "tuned")
        _check_match(start, end, ("base", "tuned"))

        def difference(name: str) -> Tensor:
            first, last = base[name].detach(), tuned[name].detach()
            wide = accumulator(first.dtype, last.dtype)
            return last.to(device=first.device, dtype=wide) - first.to(wide)

        lazy = isinstance(base, Weights | Computed) or isinstance(tuned, Weights | Computed)
        return cls._made(start, difference, lazy, min(named, default=""))

    @classmethod
    def _made(cls, shapes: Shapes, compute: Callable[[str], Tensor], lazy: bool, parent: str) -> "TaskVector":
        """A vector over what `compute` gives: fresh tensors nobody else holds."""
        tensors = Computed(shapes, compute) if lazy else {name: compute(name) for name in shapes}
        return cls.__new__(cls)._hold(tensors, shapes, parent)

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names, in the base's order."""
        return tuple(self._shapes)

    def __getitem__(self, name: str) -> Tensor:
        """A copy of the tensor called `name`; KeyError if there is none."""
        return self._tensors[name].clone()

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def __repr__(self) -> str:
        elements = sum(prod(shape) for shape in self._shapes.values())
        return f"TaskVector({len(self)} tensors, {elements} elements, norm {self.norm():.4g})"

    def __eq__(self, other: object) -> bool:
        """Same names and element for element the same values."""
        if not isinstance(other, TaskVector):
            return NotImplemented
        if self._shapes.keys() != other._shapes.keys():
            return False
        return all(torch.equal(self._tensors[name], other._tensors[name]) for name in self)

    def __add__(self, other: "TaskVector") -> "TaskVector":
        return self._joined(other, torch.add) if isinstance(other, TaskVector) else NotImplemented

    def __sub__(self, other: "TaskVector") -> "TaskVector":
        return self._joined(other, torch.sub) if isinstance(other, TaskVector) else NotImplemented

    def __neg__(self) -> "TaskVector":
        return self._changed(lambda name: -self._tensors[name])

    def __mul__(self, scale: float) -> "TaskVector":
        if not isinstance(scale, Real):
            return NotImplemented
        return self._changed(lambda name: self._tensors[name] * float(scale))

    __rmul__ = __mul__

    def scaled(self, parts: Mapping[str, Factor]) -> "TaskVector":
        """Each tensor times the factor of the part it belongs to, such as {"encoder": 1, "decoder": (0, 0.5)}: see
        `where.Where`. Raises RecipeError for a part without tensors."""
        where = Where(parts, self.names)
        return self._changed(lambda name: self._tensors[name] * where.factor(name))

    def _changed(self, compute: Callable[[str], Tensor]) -> "TaskVector":
        return self._made(self._shapes, compute, isinstance(self._tensors, Computed), self.parent)

    def _joined(self, other: "TaskVector", join: Callable[[Tensor, Tensor], Tensor]) -> "TaskVector":
        _check_match(self._shapes, other._shapes, ("the left vector", "the right vector"))
        parents = {vector.parent for vector in (self, other) if vector.parent}
        if len(parents) > 1:
            raise DataError("the vectors come from different bases and do not add up; take vectors of one base")
        lazy = isinstance(self._tensors, Computed) or isinstance(other._tensors, Computed)
        both = (self._tensors, other._tensors)
        return self._made(self._shapes, lambda name: join(both[0][name], both[1][name]), lazy, min(parents, default=""))

    def norm(self) -> float:
        """Euclidean norm over all parameters, accumulated in fp64."""
        return sqrt(sum(torch.linalg.vector_norm(self._tensors[n], dtype=torch.float64).item() ** 2 for n in self))

    def apply(self, base: Tensors | Path, scale: float = 1.0) -> Tensors:
        """base + scale * tau, summed in fp32 (fp64 for fp64) and cast back to `base`'s dtypes.

        Buffers of `base` are copied untouched. All tensors of the result are new, and are computed when asked for where
        `base` is a folder (`shards.save` writes them). Elements that do not move stay bit for bit. Raises DataError
        naming the first parameter whose name or shape is not the vector's, and for a folder of another parent.
        """
        parent = _parent(base)
        if parent and self.parent and parent != self.parent:
            raise DataError(f"{base}: fine-tuned from another base than the vector; take a vector of its own base")
        base = _opened(base)
        _check_match(_parameters(base, "base"), self._shapes, ("base", "the vector"))

        def applied(name: str) -> Tensor:
            tensor = base[name].detach()
            return tensor.clone() if is_buffer(name) else step(tensor, self._tensors[name], scale)

        if isinstance(base, Weights | Computed):
            return Computed({name: _shape(base, name) for name in base}, applied)
        return {name: applied(name) for name in base}


def analogy(c: Tensors | Path, b: Tensors | Path, a: Tensors | Path, scale: float) -> Tensors:
    """c + scale * (b - a): "a is to b as c is to the result" (arXiv 2212.04089, section 5; SYN2REAL, arXiv 2406.02925).

    c, b and a are state dicts or model folders of one architecture: domain-synthetic, general-real, general-synthetic.
    The result has c's dtypes, devices and buffers. Raises DataError naming the first tensor whose name or shape differs.
    """
    return TaskVector.between(a, b).apply(c, scale)


def _opened(tensors: Tensors | Path) -> Tensors:
    return Weights.open(tensors) if isinstance(tensors, Path) else tensors


def _parent(model: Tensors | Path) -> str:
    """Content hash of the base that a trained folder's run.json names; "" where there is none."""
    folder = model.folder if isinstance(model, Weights) else model
    record = read_record(folder) if isinstance(folder, Path) else None
    return str((record or {}).get("inputs", {}).get("base") or "")


def _shape(tensors: Tensors, name: str) -> tuple[int, ...]:
    """Shape of a tensor, from the header where there is one."""
    if isinstance(tensors, Computed):
        return tensors.shapes[name]
    return tensors.shape(name) if isinstance(tensors, Weights) else tuple(tensors[name].shape)


def _parameters(tensors: Tensors, label: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors that are not buffers; DataError if one is not floating point."""
    kept = [name for name in tensors if not is_buffer(name)]
    for name in kept:
        if isinstance(tensors, Computed):
            continue
        dtype = tensors.dtype(name) if isinstance(tensors, Weights) else tensors[name].dtype
        if dtype not in FLOATS:
            raise DataError(
                f"tensor {name!r} in {label} is {dtype}: task vectors hold fp16, bf16, fp32 or fp64 tensors; "
                "convert it or leave it out"
            )
    return {name: _shape(tensors, name) for name in kept}


def _check_match(left: Shapes, right: Shapes, labels: tuple[str, str]) -> None:
    """Raise DataError naming the first tensor whose name or shape differs between `left` and `right`."""
    for name, shape in left.items():
        if name not in right:
            raise DataError(f"tensor {name!r} is in {labels[0]} but not in {labels[1]}: not fine-tuned from one base")
        if shape != right[name]:
            shapes = f"{shape} in {labels[0]} and {right[name]} in {labels[1]}"
            raise DataError(f"tensor {name!r} has shape {shapes}: not fine-tuned from one base")
    for name in right:
        if name not in left:
            raise DataError(f"tensor {name!r} is in {labels[1]} but not in {labels[0]}: not fine-tuned from one base")
