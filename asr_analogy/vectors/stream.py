"""Task arithmetic on model folders, one tensor at a time: safetensors in, safetensors out, no model in memory.

Format: https://huggingface.co/docs/safetensors (8-byte little-endian header length, JSON header, raw tensors).
"""

import json
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import isfinite, prod, sqrt
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from asr_analogy.errors import DataError, RecipeError, ResourceError
from asr_analogy.vectors.task_vector import FLOATS, accumulator, is_buffer, step

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model*.bin", "pytorch_model.bin.index.json", "*.pt", "*.pth", "*.ckpt")
SAME_BASE = "merge fine-tunes of one base"
VOCABULARY = ("lm_head.weight", "lm_head.bias", "embed_tokens.weight", "proj_out.weight")
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "BOOL": torch.bool,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8,
}  # fmt: skip
Spec = tuple[str, torch.dtype, tuple[int, ...]]
CODES = {dtype: code for code, dtype in DTYPES.items()}


class Weights:
    """The tensors of a model folder, memory-mapped: names, shapes and dtypes at once, values when asked for.

    `folder` is where they are, `shards` maps each safetensors file to its tensor names in file order, `names` is all
    of them in that order. Made by `Weights.open`.
    """

    def __init__(self, folder: Path, files: Mapping[str, Any]) -> None:
        self.folder = folder
        self.shards: dict[str, tuple[str, ...]] = {shard: tuple(f.offset_keys()) for shard, f in files.items()}
        self.names: tuple[str, ...] = tuple(name for names in self.shards.values() for name in names)
        self._file = {name: files[shard] for shard, names in self.shards.items() for name in names}

    @classmethod
    def open(cls, folder: Path) -> "Weights":
        """Open `folder`'s model.safetensors, or the shards its model.safetensors.index.json names.

        Raises DataError (one line: what, which folder, why, what to do) if the folder is missing, holds pickled
        weights only or none, or if a file is corrupt, truncated, missing or outside the folder.
        """
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
        return name in self._file

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of the tensor `name`, read from the header; KeyError if there is none."""
        return tuple(self._file[name].get_slice(name).get_shape())

    def dtype(self, name: str) -> torch.dtype:
        """Dtype of the tensor `name`, read from the header; DataError for fp8 and other packed formats."""
        code = self._file[name].get_slice(name).get_dtype()
        if code not in DTYPES:
            raise DataError(f"{self.folder}: tensor {name!r} is stored as {code}; save the model as float32 or float16")
        return DTYPES[code]

    def tensor(self, name: str) -> Tensor:
        """The tensor `name`, mapped from the file: do not write to it. KeyError if there is none."""
        tensor: Tensor = self._file[name].get_tensor(name)
        return tensor


@dataclass(frozen=True)
class Summary:
    """What a merge did: how many tensors and elements were merged, and the names of the tensors copied from `to`.

    The norms, of plus - minus (unscaled) and of `to`, are Euclidean, over the merged tensors as stored, summed in fp64.
    """

    parameters: int
    copied: list[str]
    elements: int
    seconds: float
    vector_norm: float
    to_norm: float


def merge(
    to: Path,
    plus: Path,
    minus: Path,
    scale: float,
    out: Path,
    buffers: Collection[str] = (),
    ties: Mapping[str, str] | None = None,
) -> Summary:
    """Write to + scale * (plus - minus) into the existing folder `out`: weights only, in `to`'s files and dtypes.

    Tensors named in `buffers`, BatchNorm statistics and integer tensors are `to`'s, untouched. Sums are fp32 (fp64 for
    fp64 tensors); what does not move stays bit for bit. `ties` maps a name to the one it shares its tensor with, for
    folders of which only some store both. Memory: a few times the largest tensor. Nothing appears in `out` before
    all of it is written. Method: SYN2REAL, arXiv 2406.02925; arXiv 2212.04089.

    Raises DataError for unusable folders (see `Weights.open`), other names or shapes, and NaN or Inf in an input or
    the result; RecipeError for a scale that is no finite number or an `out` that is an input; ResourceError if `out`
    cannot be written.
    """
    began = time.perf_counter()
    if not isfinite(scale):
        raise RecipeError(f"merge.scale is {scale}; give a finite number, usually between 0 and 1")
    if out.resolve() in {folder.resolve() for folder in (to, plus, minus)}:
        raise RecipeError(f"{out}: the merge would overwrite one of its inputs; give another --out")
    job = _Merge(Weights.open(to), Weights.open(plus), Weights.open(minus), scale, out, frozenset(buffers), ties or {})
    job.check()
    try:
        _write_folder(job)
    except OSError as error:
        raise ResourceError(f"{out}: cannot write the weights ({error}); free space or choose another --out") from error
    norms = sqrt(job.vector_square), sqrt(job.to_square)
    return Summary(job.parameters, job.copied, job.elements, time.perf_counter() - began, *norms)


@dataclass
class _Merge:
    """One merge under way: its inputs, and the totals counted while tensors pass through."""

    to: Weights
    plus: Weights
    minus: Weights
    scale: float
    out: Path
    buffers: frozenset[str]
    ties: Mapping[str, str]
    copied: list[str] = field(default_factory=list)
    parameters: int = 0
    elements: int = 0
    vector_square: float = 0.0
    to_square: float = 0.0

    def is_copied(self, name: str) -> bool:
        """True if the tensor is taken from `to` as it is."""
        return name in self.buffers or is_buffer(name) or not self.to.dtype(name).is_floating_point

    def check(self) -> None:
        """Compare names, shapes and dtypes from the headers alone; DataError for the first that does not fit."""
        for weights in (self.to, self.plus, self.minus):
            self._check_ties(weights)
        for name in self.to.names:
            if not self.is_copied(name):
                self._check_tensor(self.plus, name)
                self._check_tensor(self.minus, name)
        for weights in (self.plus, self.minus):
            for name in weights.names:
                if self.stored_as(self.to, name) is None:
                    raise DataError(f"{weights.folder}: has a tensor {name!r} that {self.to.folder} lacks; {SAME_BASE}")

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

    def tensor(self, name: str) -> Tensor:
        """The tensor `name` of the result, shape and dtype as in `to`; DataError for NaN or Inf."""
        start = self._read(self.to, name)
        if self.is_copied(name):
            self.copied.append(name)
            return start
        plus, minus = self._read(self.plus, name), self._read(self.minus, name)
        wide = accumulator(start.dtype, plus.dtype, minus.dtype)
        delta = plus.to(wide) - minus.to(wide)
        self.parameters += 1
        self.elements += start.numel()
        self.vector_square += torch.linalg.vector_norm(delta, dtype=torch.float64).item() ** 2
        self.to_square += torch.linalg.vector_norm(start, dtype=torch.float64).item() ** 2
        merged = step(start, delta, self.scale)
        if not torch.isfinite(merged).all():
            why = f"overflows {merged.dtype}; lower the scale or save {self.to.folder} as float32"
            raise DataError(f"{self.out}: tensor {name!r} of the merge {why}")
        return merged

    def _read(self, weights: Weights, name: str) -> Tensor:
        tensor = weights.tensor(self.stored_as(weights, name) or name)
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DataError(f"{weights.folder}: tensor {name!r} holds NaN or Inf; use an earlier checkpoint")
        return tensor


def _open_shard(folder: Path, shard: str) -> Any:
    """Map one safetensors file; DataError if it is missing, corrupt or truncated."""
    if not (folder / shard).is_file():
        raise DataError(f"{folder}: {INDEX} names {shard}, which is missing; download or save the folder again")
    try:
        return safe_open(folder / shard, framework="pt")
    except (SafetensorError, OSError) as error:
        raise DataError(f"{folder}: {shard} is corrupt or truncated ({error}); download or save it again") from error


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


def _write_folder(job: _Merge) -> None:
    """Write every shard (and the index) beside its final name, then rename all; no partial file outlives an error."""
    names = [*job.to.shards, *([] if SINGLE in job.to.shards else [INDEX])]
    stale = sorted(path.name for path in job.out.glob("model*.safetensors*") if path.name not in names)
    if stale:
        raise ResourceError(f"{job.out}: holds other weights ({stale[0]}); merge into an empty folder")
    partial = {name: job.out / f".{name}.partial" for name in names}
    try:
        for shard, stored in job.to.shards.items():
            specs = [(name, job.to.dtype(name), job.to.shape(name)) for name in stored]
            write_shard(partial[shard], specs, map(job.tensor, stored))
        if INDEX in partial:
            _write_synced(partial[INDEX], [(job.to.folder / INDEX).read_bytes()])
        for name, path in partial.items():
            path.replace(job.out / name)
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)


def write_shard(path: Path, specs: Sequence[Spec], tensors: Iterable[Tensor]) -> None:
    """Write a safetensors file tensor by tensor: `specs` gives (name, dtype, shape) of each of `tensors`, in order.

    Raises OSError if the file cannot be written, ValueError if a tensor is not as announced.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, dtype, shape in specs:
        begin, end = end, end + prod(shape) * dtype.itemsize
        header[name] = {"dtype": CODES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    parts = (_raw(tensor, spec) for tensor, spec in zip(tensors, specs, strict=True))
    _write_synced(path, chain([len(text).to_bytes(8, "little"), text], parts))


def _raw(tensor: Tensor, spec: Spec) -> memoryview:
    """The tensor's bytes in row-major order, through uint8 because numpy knows no bf16."""
    if (tensor.dtype, tuple(tensor.shape)) != spec[1:]:
        raise ValueError(f"tensor {spec[0]!r} is {tensor.dtype} {tuple(tensor.shape)}, announced as {spec[1:]}")
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data


def _write_synced(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write `parts` to `path`, one after another, and wait until they are on the disk."""
    with path.open("wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())
