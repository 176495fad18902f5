"""Writing safetensors files piece by piece, by several threads at once: beside the final names, renamed when whole."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from io import FileIO
from math import prod
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from asr_analogy.errors import ResourceError
from asr_analogy.vectors.weights import DTYPES, INDEX, SINGLE, Weights

CODES = {dtype: code for code, dtype in DTYPES.items()}
Spec = tuple[str, torch.dtype, tuple[int, ...]]
"""Name, dtype and shape of a tensor to be written."""


class Shard:
    """One safetensors file under way: its header stands, its tensors are filled in wherever one likes.

    The room is taken at once where the file system can do that, so that a full disk shows before the work.
    """

    def __init__(self, path: Path, specs: Sequence[Spec]) -> None:
        header, self._begin, size = _layout(specs)
        self._specs = {name: (dtype, shape) for name, dtype, shape in specs}
        self._file = FileIO(path, "w")
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._file.fileno(), 0, len(header) + size)
        os.truncate(self._file.fileno(), len(header) + size)
        self._write(memoryview(header), 0)

    def write(self, name: str, begin: int, values: Tensor) -> None:
        """Put 1-D `values` at element `begin` of tensor `name`; ValueError if they are not of its dtype or leave it."""
        dtype, shape = self._specs[name]
        if values.dtype != dtype or begin + values.numel() > prod(shape):
            raise ValueError(
                f"tensor {name!r}: {values.numel()} {values.dtype} at {begin}, announced as {dtype} {shape}"
            )
        self._write(raw(values), self._begin[name] + begin * dtype.itemsize)

    def _write(self, view: memoryview, place: int) -> None:
        while view:
            done = os.pwrite(self._file.fileno(), view, place)
            view, place = view[done:], place + done

    def close(self, keep: bool = True) -> None:
        """Close the file, and where it is to be kept, wait until it is on the disk."""
        if keep:
            os.fsync(self._file.fileno())
        self._file.close()


class Shards:
    """The weights of the existing folder `out`, laid out like those of `like`: nothing appears before all is written.

    Use as a context; leaving it without an error publishes the files, leaving it with one removes them. Raises
    ResourceError if `out` holds other weights, OSError if it cannot be written.
    """

    def __init__(self, out: Path, like: Weights) -> None:
        self.out, self.like = out, like
        self._names = [*like.shards, *([] if SINGLE in like.shards else [INDEX])]
        self._shard_of = {name: shard for shard, names in like.shards.items() for name in names}
        self._open: dict[str, Shard] = {}

    def _partial(self, name: str) -> Path:
        return self.out / f".{name}.partial"

    def __enter__(self) -> "Shards":
        stale = sorted(path.name for path in self.out.glob("model*.safetensors*") if path.name not in self._names)
        if stale:
            raise ResourceError(f"{self.out}: holds other weights ({stale[0]}); merge into an empty folder")
        try:
            for shard, names in self.like.shards.items():
                specs = [(name, self.like.dtype(name), self.like.shape(name)) for name in names]
                self._open[shard] = Shard(self._partial(shard), specs)
        except OSError:
            self._remove()
            raise
        return self

    def write(self, name: str, begin: int, values: Tensor) -> None:
        """Put 1-D `values` at element `begin` of tensor `name`; safe from several threads."""
        self._open[self._shard_of[name]].write(name, begin, values)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for shard in self._open.values():
                shard.close(keep=kind is None)
            if kind is None:
                if INDEX in self._names:
                    _write_synced(self._partial(INDEX), [(self.like.folder / INDEX).read_bytes()])
                for name in self._names:
                    self._partial(name).replace(self.out / name)
        finally:
            self._remove()

    def _remove(self) -> None:
        for name in self._names:
            self._partial(name).unlink(missing_ok=True)


class Tensors:
    """The weights of a model like `like` in memory, filled in wherever one likes, as `Shards` are on disk."""

    def __init__(self, like: Weights) -> None:
        self.tensors = {name: torch.empty(like.shape(name), dtype=like.dtype(name)) for name in like.names}

    def write(self, name: str, begin: int, values: Tensor) -> None:
        """Put 1-D `values` at element `begin` of tensor `name`; safe from several threads."""
        self.tensors[name].view(-1)[begin : begin + values.numel()] = values


def write_shard(path: Path, specs: Sequence[Spec], tensors: Iterable[Tensor]) -> None:
    """Write a safetensors file tensor by tensor: `specs` gives (name, dtype, shape) of each of `tensors`, in order.

    Raises OSError if the file cannot be written, ValueError if a tensor is not as announced.
    """
    shard = Shard(path, specs)
    for (name, dtype, shape), tensor in zip(specs, tensors, strict=True):
        if (tensor.dtype, tuple(tensor.shape)) != (dtype, shape):
            raise ValueError(f"tensor {name!r} is {tensor.dtype} {tuple(tensor.shape)}, announced as {(dtype, shape)}")
        shard.write(name, 0, tensor.reshape(-1))
    shard.close()


def save(tensors: Mapping[str, Tensor], out: Path, like: Weights) -> None:
    """Write `tensors`, which may be computed as they are asked for, into the folder `out` in `like`'s files and dtypes.

    Raises ValueError if a tensor has another dtype or size than in `like`, KeyError if one is missing.
    """
    with Shards(out, like) as shards:
        for name in like.names:
            shards.write(name, 0, tensors[name].reshape(-1))


def raw(values: Tensor) -> memoryview:
    """The bytes of a 1-D tensor, through uint8 because numpy knows no bf16."""
    return values.contiguous().view(torch.uint8).numpy().data


def _layout(specs: Sequence[Spec]) -> tuple[bytes, dict[str, int], int]:
    """The length and header that begin a file of these tensors, the byte each tensor begins at, the bytes of all."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begins, end = {}, 0
    for name, dtype, shape in specs:
        begins[name], end = end, end + prod(shape) * dtype.itemsize
        header[name] = {"dtype": CODES[dtype], "shape": list(shape), "data_offsets": [begins[name], end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    start = 8 + len(text)
    return len(text).to_bytes(8, "little") + text, {name: start + begin for name, begin in begins.items()}, end


def _write_synced(path: Path, parts: Iterable[bytes]) -> None:
    """Write `parts` to `path`, one after another, and wait until they are on the disk."""
    with path.open("wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())
