"""The tensors of a model folder, read from safetensors piece by piece: no model, no memory map, no pickle.

Format: https://huggingface.co/docs/safetensors (8-byte little-endian header length, JSON header, raw tensors).
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from asr_analogy.errors import DataError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model*.bin", "pytorch_model.bin.index.json", "*.pt", "*.pth", "*.ckpt")
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "BOOL": torch.bool,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8,
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies: its open file, the byte it begins at, its dtype code and its shape."""

    file: FileIO
    offset: int
    code: str
    shape: tuple[int, ...]


class Weights(Mapping[str, Tensor]):
    """The tensors of a model folder: names, shapes and dtypes at once, values when asked for, in whole or in part.

    A mapping from name to tensor that holds no tensor: `weights[name]` reads a fresh one, `read` a stretch of one, with
    plain reads, so that nothing stays in the memory of the process. `folder` is where they are, `shards` maps each
    safetensors file to its tensor names in file order, `names` is all of them in that order. Made by `Weights.open`.
    """

    def __init__(self, folder: Path, files: Mapping[str, Mapping[str, Entry]]) -> None:
        self.folder = folder
        self.shards: dict[str, tuple[str, ...]] = {shard: tuple(entries) for shard, entries in files.items()}
        self.names: tuple[str, ...] = tuple(name for names in self.shards.values() for name in names)
        self._entries = {name: entry for entries in files.values() for name, entry in entries.items()}

    @classmethod
    def open(cls, folder: Path) -> "Weights":
        """Open `folder`'s model.safetensors, or the shards its model.safetensors.index.json names; or one such file.

        Raises DataError (one line: what, which folder, why, what to do) if the folder is missing, holds pickled
        weights only or none, or if a file is corrupt, truncated, missing or outside the folder.
        """
        if folder.is_file() and folder.suffix == ".safetensors":
            return cls(folder, {SINGLE: _open_shard(folder.parent, folder.name)})
        if not folder.is_dir():
            raise DataError(f"{folder}: no such model folder; check the path or train that arm first")
        if (folder / SINGLE).is_file():
            return cls(folder, {SINGLE: _open_shard(folder, SINGLE)})
        if not (folder / INDEX).is_file():
            raise DataError(f"{folder}: {_why_no_weights(folder)}")
        shard_of = _read_index(folder)
        weights = cls(folder, {shard: _open_shard(folder, shard) for shard in sorted(set(shard_of.values()))})
        stored = [(name, shard) for shard, names in weights.shards.items() for name in names]
        odd = sorted(set(stored) ^ set(shard_of.items()))
        if odd:
            raise DataError(f"{folder}: {INDEX} and {odd[0][1]} disagree on tensor {odd[0][0]!r}; save the model again")
        return weights

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, name: str) -> Tensor:
        return self.tensor(name)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of the tensor `name`, read from the header; KeyError if there is none."""
        return self._entries[name].shape

    def dtype(self, name: str) -> torch.dtype:
        """Dtype of the tensor `name`, read from the header; DataError for fp8 and other packed formats."""
        code = self._entries[name].code
        if code not in DTYPES:
            raise DataError(f"{self.folder}: tensor {name!r} is stored as {code}; save the model as float32 or float16")
        return DTYPES[code]

    def tensor(self, name: str) -> Tensor:
        """The tensor `name`, read anew: yours to change. KeyError if there is none."""
        return self.read(name, 0, prod(self.shape(name))).reshape(self.shape(name))

    def read(self, name: str, begin: int, end: int) -> Tensor:
        """Elements `begin` to `end` of the tensor `name` in row-major order, as a fresh 1-D tensor of its dtype."""
        entry, dtype = self._entries[name], self.dtype(name)
        piece = torch.empty(end - begin, dtype=dtype)
        view = piece.view(torch.uint8).numpy().data
        place = entry.offset + begin * dtype.itemsize
        while view:
            got = os.preadv(entry.file.fileno(), [view], place)
            if not got:
                raise DataError(f"{self.folder}: ends inside tensor {name!r}; it was changed while it was read")
            view, place = view[got:], place + got
        return piece


def _open_shard(folder: Path, shard: str) -> dict[str, Entry]:
    """What one safetensors file holds, in file order; DataError if it is missing, corrupt or truncated."""
    path = folder / shard
    if not path.is_file():
        raise DataError(f"{folder}: {INDEX} names {shard}, which is missing; download or save the folder again")
    try:
        with safe_open(path, framework="pt") as checked:  # checks the header, every offset and the length of the file
            names = list(checked.offset_keys())
        file = FileIO(path)
        size = int.from_bytes(os.pread(file.fileno(), 8, 0), "little")
        header = json.loads(os.pread(file.fileno(), size, 8))
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{folder}: {shard} is corrupt or truncated ({error}); download or save it again") from error
    return {
        name: Entry(file, 8 + size + held["data_offsets"][0], held["dtype"], tuple(held["shape"]))
        for name, held in ((name, header[name]) for name in names)
    }


def _read_index(folder: Path) -> dict[str, str]:
    """Tensor name -> shard file name; DataError unless every shard is a safetensors file of this very folder."""
    try:
        shard_of: dict[str, str] = json.loads((folder / INDEX).read_bytes())["weight_map"]
        shards = sorted({f"{shard}" for shard in shard_of.values()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder}: {INDEX} is not a weight index ({error!r}); save the model again") from error
    for shard in shards:
        if "/" in shard or "\\" in shard or not shard.endswith(".safetensors"):
            raise DataError(f"{folder}: {INDEX} names {shard!r}, no safetensors file of this folder; save it again")
    return shard_of


def _why_no_weights(folder: Path) -> str:
    """What to tell a user whose folder holds no safetensors."""
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if not pickles:
        return f"no weights (neither {SINGLE} nor {INDEX}); check the path, or train that arm first"
    how = "AutoModel.from_pretrained(...).save_pretrained(...), with the model's own class so that it keeps its head"
    return f"only pickled weights ({pickles[0]}), refused because loading them can run code; convert them with {how}"
