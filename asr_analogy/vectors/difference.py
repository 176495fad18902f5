"""A task vector between two model folders, read from their safetensors one tensor at a time: never a model in memory."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from asr_analogy.errors import DataError
from asr_analogy.vectors.stream import Weights
from asr_analogy.vectors.task_vector import FLOATS, accumulator, is_buffer


class Delta(Protocol):
    """A task vector whose tensors are fetched when asked for: measured by geometry.py, kept by store.py."""

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names, in file order; tied parameters once."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor."""
        ...

    def tensor(self, name: str) -> Tensor:
        """One tensor, finite, in fp32 (fp64 where the models are fp64)."""
        ...


class Difference:
    """plus - minus (arXiv 2212.04089, section 2), lazily; made by `Difference.between`."""

    def __init__(self, plus: Weights, minus: Weights, names: Mapping[str, tuple[str, str]]) -> None:
        self.plus, self.minus = plus, minus
        self._stored = names
        self.names: tuple[str, ...] = tuple(names)

    @classmethod
    def between(
        cls, minus: Path, plus: Path, buffers: Collection[str] = (), ties: Mapping[str, str] | None = None
    ) -> "Difference":
        """What leads from the folder `minus` to the folder `plus`: parameters only, a tied one under its own name.

        `buffers` and BatchNorm statistics are left out. `ties` maps a name to the one it shares its tensor with.
        Raises DataError (folder, tensor, why) if the folders are unusable or differ in names or shapes.
        """
        ours, theirs = Weights.open(plus), Weights.open(minus)
        left, right = (_parameters(weights, buffers, ties or {}) for weights in (ours, theirs))
        for name in [*left, *right]:
            for weights, found in ((ours, left), (theirs, right)):
                if name not in found:
                    raise DataError(f"{weights.folder}: lacks the tensor {name!r}; compare fine-tunes of one base")
            shapes = ours.shape(left[name]), theirs.shape(right[name])
            if shapes[0] != shapes[1]:
                raise DataError(
                    f"{minus}: tensor {name!r} has shape {shapes[1]}, in {plus} {shapes[0]}; compare fine-tunes of one base"
                )
        return cls(ours, theirs, {name: (left[name], right[name]) for name in left})

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor."""
        return self.plus.shape(self._stored[name][0])

    def tensor(self, name: str) -> Tensor:
        """plus - minus of one tensor, subtracted in fp32 (fp64 for fp64); DataError for NaN or Inf."""
        plus, minus = (_finite(w, key) for w, key in zip((self.plus, self.minus), self._stored[name], strict=True))
        wide = accumulator(plus.dtype, minus.dtype)
        return plus.to(wide) - minus.to(wide)


def own_name(name: str, ties: Mapping[str, str]) -> str:
    """The name that a tied tensor goes by."""
    return ties.get(name, name)


def _parameters(weights: Weights, buffers: Collection[str], ties: Mapping[str, str]) -> dict[str, str]:
    """Parameter name -> the name it is stored under."""
    found: dict[str, str] = {}
    for name in weights.names:
        if name in buffers or is_buffer(name):
            continue
        dtype = weights.dtype(name)
        if dtype.is_floating_point and dtype not in FLOATS:
            raise DataError(f"{weights.folder}: tensor {name!r} is {dtype}; save the model as float32 or float16")
        if dtype.is_floating_point:
            found.setdefault(own_name(name, ties), name)
    return found


def _finite(weights: Weights, name: str) -> Tensor:
    tensor = weights.tensor(name)
    if not torch.isfinite(tensor).all():
        raise DataError(f"{weights.folder}: tensor {name!r} holds NaN or Inf; use an earlier checkpoint")
    return tensor
