"""Task vectors held in memory: fine-tuned minus base, as a value with + - * (Ilharco et al. 2023, arXiv 2212.04089).

For whole model folders see `stream.py`, which does the same arithmetic without loading the models.
"""

from collections.abc import Iterator, Mapping
from math import sqrt
from numbers import Real
from types import MappingProxyType

import torch
from torch import Tensor

from asr_analogy.errors import DataError

BUFFER_SUFFIXES = ("running_mean", "running_var", "num_batches_tracked")
"""Ends of the names of BatchNorm statistics: measured, not learnt, so arithmetic on them has no meaning."""

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""The dtypes that task arithmetic is defined for."""


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
    return torch.where(move == 0, start, (start.to(wide) + move).to(start.dtype))


def _parameters(tensors: Mapping[str, Tensor], label: str) -> dict[str, Tensor]:
    """The entries of `tensors` that are not buffers; DataError if one is not floating point."""
    kept = {name: tensor for name, tensor in tensors.items() if not is_buffer(name)}
    for name, tensor in kept.items():
        if tensor.dtype not in FLOATS:
            raise DataError(
                f"tensor {name!r} in {label} is {tensor.dtype}: task vectors hold fp16, bf16, fp32 or fp64 tensors; "
                "convert it or leave it out"
            )
    return kept


def _check_match(left: Mapping[str, Tensor], right: Mapping[str, Tensor], labels: tuple[str, str]) -> None:
    """Raise DataError naming the first tensor whose name or shape differs between `left` and `right`."""
    for name, tensor in left.items():
        if name not in right:
            raise DataError(f"tensor {name!r} is in {labels[0]} but not in {labels[1]}: not fine-tuned from one base")
        if tensor.shape != right[name].shape:
            shapes = f"{tuple(tensor.shape)} in {labels[0]} and {tuple(right[name].shape)} in {labels[1]}"
            raise DataError(f"tensor {name!r} has shape {shapes}: not fine-tuned from one base")
    for name in right:
        if name not in left:
            raise DataError(f"tensor {name!r} is in {labels[1]} but not in {labels[0]}: not fine-tuned from one base")


class TaskVector:
    """What fine-tuning changed: one fp32 tensor per parameter (fp64 where the models are fp64). Immutable.

    Vectors of the same base add, subtract and scale (arXiv 2212.04089, section 2). BatchNorm statistics
    (BUFFER_SUFFIXES) are never part of a vector. Vectors with different names or shapes raise DataError.
    """

    __slots__ = ("_tensors",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy `tensors` (name -> floating tensor of any shape); DataError for other dtypes."""
        self._tensors: Mapping[str, Tensor] = MappingProxyType(
            {
                name: tensor.detach().to(dtype=accumulator(tensor.dtype), copy=True)
                for name, tensor in _parameters(tensors, "the vector").items()
            }
        )

    @classmethod
    def between(cls, base: Mapping[str, Tensor], tuned: Mapping[str, Tensor]) -> "TaskVector":
        """tuned - base, for two state dicts of one architecture. The result lies on `base`'s devices.

        Raises DataError naming the first tensor if names or shapes differ, or if a parameter is not floating point.
        """
        start, end = _parameters(base, "base"), _parameters(tuned, "tuned")
        _check_match(start, end, ("base", "tuned"))
        difference = {}
        for name, tensor in start.items():
            wide = accumulator(tensor.dtype, end[name].dtype)
            difference[name] = end[name].detach().to(device=tensor.device, dtype=wide) - tensor.detach().to(wide)
        return cls._wrap(difference)

    @classmethod
    def _wrap(cls, tensors: dict[str, Tensor]) -> "TaskVector":
        """A vector over fresh tensors nobody else holds: no copy, no check."""
        vector = cls.__new__(cls)
        vector._tensors = MappingProxyType(tensors)
        return vector

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names, in the base's order."""
        return tuple(self._tensors)

    def __getitem__(self, name: str) -> Tensor:
        """A copy of the tensor called `name`; KeyError if there is none."""
        return self._tensors[name].clone()

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        elements = sum(tensor.numel() for tensor in self._tensors.values())
        return f"TaskVector({len(self)} tensors, {elements} elements, norm {self.norm():.4g})"

    def __eq__(self, other: object) -> bool:
        """Same names and element for element the same values."""
        if not isinstance(other, TaskVector):
            return NotImplemented
        if self._tensors.keys() != other._tensors.keys():
            return False
        return all(torch.equal(tensor, other._tensors[name]) for name, tensor in self._tensors.items())

    def __add__(self, other: "TaskVector") -> "TaskVector":
        if not isinstance(other, TaskVector):
            return NotImplemented
        _check_match(self._tensors, other._tensors, ("the left vector", "the right vector"))
        return self._wrap({name: tensor + other._tensors[name] for name, tensor in self._tensors.items()})

    def __sub__(self, other: "TaskVector") -> "TaskVector":
        if not isinstance(other, TaskVector):
            return NotImplemented
        _check_match(self._tensors, other._tensors, ("the left vector", "the right vector"))
        return self._wrap({name: tensor - other._tensors[name] for name, tensor in self._tensors.items()})

    def __neg__(self) -> "TaskVector":
        return self._wrap({name: -tensor for name, tensor in self._tensors.items()})

    def __mul__(self, scale: float) -> "TaskVector":
        if not isinstance(scale, Real):
            return NotImplemented
        return self._wrap({name: tensor * float(scale) for name, tensor in self._tensors.items()})

    __rmul__ = __mul__

    def norm(self) -> float:
        """Euclidean norm over all parameters, accumulated in fp64."""
        return sqrt(sum(torch.linalg.vector_norm(t, dtype=torch.float64).item() ** 2 for t in self._tensors.values()))

    def apply(self, base: Mapping[str, Tensor], scale: float = 1.0) -> dict[str, Tensor]:
        """base + scale * tau, summed in fp32 (fp64 for fp64) and cast back to `base`'s dtypes.

        Buffers of `base` are copied untouched. All tensors of the result are new. Elements that do not move stay
        bit for bit. Raises DataError naming the first parameter whose name or shape is not the vector's.
        """
        _check_match(_parameters(base, "base"), self._tensors, ("base", "the vector"))
        return {
            name: tensor.detach().clone() if is_buffer(name) else step(tensor.detach(), self._tensors[name], scale)
            for name, tensor in base.items()
        }


def analogy(
    c: Mapping[str, Tensor], b: Mapping[str, Tensor], a: Mapping[str, Tensor], scale: float
) -> dict[str, Tensor]:
    """c + scale * (b - a): "a is to b as c is to the result" (arXiv 2212.04089, section 5; SYN2REAL, arXiv 2406.02925).

    c, b and a are state dicts of one architecture: domain-synthetic, general-real, general-synthetic. The result has
    c's dtypes, devices and buffers. Raises DataError naming the first tensor whose name or shape differs.
    """
    return TaskVector.between(a, b).apply(c, scale)
