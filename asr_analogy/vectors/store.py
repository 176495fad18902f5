"""The vector store: a folder in which a task vector is a thing with a name, whole or not there at all.

<store>/<name>/ holds vector.safetensors (the weights, encoded), vector.json (the record), README.md (the card) and
run.json. No pickle and no code is read; a name is a plain word; links are refused; the weights are used only when their
SHA-256 is the record's.
"""

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from math import isfinite, prod, sqrt
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from asr_analogy.errors import DataError, MissingError, RecipeError
from asr_analogy.vectors.card import card
from asr_analogy.vectors.difference import Delta
from asr_analogy.vectors.encodings import decode, encode, layout
from asr_analogy.vectors.record import Entry, Foundation, Record
from asr_analogy.vectors.stream import CODES, Spec, write_shard
from asr_analogy.workspace import Workspace, digest, disk_errors, read_record, versions, write_whole

WEIGHTS, RECORD, CARD = "vector.safetensors", "vector.json", "README.md"
FILES = (WEIGHTS, RECORD, CARD)
"""What a vector consists of, here and on the Hub."""
LONGEST = 100
"""Characters of a name."""


class StoredVector:
    """A vector of the store, its tensors decoded when asked for. Made by `read`."""

    def __init__(self, folder: Path, record: Record, file: Any) -> None:
        self.folder, self.record = folder, record
        self.names: tuple[str, ...] = tuple(record.tensors)
        self._file = file

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor."""
        return self.record.tensors[name].shape

    def tensor(self, name: str) -> Tensor:
        """One tensor in fp32; DataError if it holds NaN or Inf. A tensor that did not move is zero and not stored."""
        entry = self.record.tensors[name]
        if entry.norm == 0:
            return torch.zeros(entry.shape)
        parts = {key: self._file.get_tensor(name + key) for key in layout(entry.shape, self.record.encoding)}
        try:
            return decode(parts, entry.shape, self.record.encoding)
        except DataError as error:
            raise DataError(f"{self.folder}: tensor {name!r}: {error}; save or pull the vector again") from error


def read(folder: Path) -> StoredVector:
    """Open a vector folder and check it: record, hash of the weights, name, dtype and shape of every stored tensor.

    Raises DataError (one line) for anything that is missing, damaged, linked from elsewhere, or not as recorded.
    """
    for name in (RECORD, WEIGHTS):
        _check_file(folder, name)
    record = Record.parse((folder / RECORD).read_bytes(), str(folder / RECORD))
    if (folder / WEIGHTS).stat().st_size != record.size or digest(folder / WEIGHTS) != record.sha256:
        raise DataError(f"{folder / WEIGHTS}: not the weights that {RECORD} records; save or pull the vector again")
    try:
        file = safe_open(folder / WEIGHTS, framework="pt")
        stored = {name: file.get_slice(name) for name in file.offset_keys()}
        found = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in stored.items()}
    except (SafetensorError, OSError) as error:
        raise DataError(f"{folder / WEIGHTS}: no safetensors file ({error}); save or pull the vector again") from error
    wanted = {name: (CODES[dtype], shape) for name, dtype, shape in _specs(record.tensors, record.encoding)}
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            raise DataError(f"{folder}: tensor {name!r} is not as {RECORD} says; save or pull the vector again")
    return StoredVector(folder, record, file)


def _check_file(folder: Path, name: str) -> None:
    if folder.is_symlink() or (folder / name).is_symlink():
        raise DataError(f"{folder}: is or holds a link to elsewhere, which a vector may not; copy the files instead")
    if not (folder / name).is_file():
        raise DataError(f"{folder}: no vector there ({name} is missing); save or pull it again")


class Store:
    """A folder of vectors."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()
        self.workspace = Workspace(self.root)

    def path(self, name: str) -> Path:
        """Where the vector `name` stands or would stand; RecipeError for a name that is no plain word."""
        if len(name) > LONGEST or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise RecipeError(
                f"{name!r}: not a name for a vector; use letters, digits, '.', '_' and '-', at most {LONGEST}"
            )
        return self.root / name

    def names(self) -> list[str]:
        """The vectors that are whole, by name. What a killed save left is not among them."""
        if not self.root.is_dir():
            return []
        found = sorted(path for path in self.root.iterdir() if not path.name.startswith("."))
        return [
            path.name for path in found if not path.is_symlink() and read_record(path) and (path / RECORD).is_file()
        ]

    def open(self, name: str) -> StoredVector:
        """The vector `name`, checked; MissingError if there is none of that name."""
        path = self.path(name)
        if not path.exists() and not path.is_symlink():
            known = ", ".join(self.names()[:8]) or "none"
            raise MissingError(
                f"{name}: no such vector in {self.root} (there: {known}); save one with `vectors save`, or fetch one "
                "with `vectors pull`"
            )
        return read(path)

    def find(self, name: str) -> StoredVector:
        """The vector of that name, or in that folder if a path is given."""
        return read(Path(name)) if "/" in name and (Path(name) / RECORD).exists() else self.open(name)

    def save(
        self,
        name: str,
        delta: Delta,
        encoding: str,
        base: Foundation,
        norms: Mapping[str, float],
        about: Mapping[str, Any],
        inputs: Mapping[str, Any],
        force: bool = False,
    ) -> StoredVector:
        """Store `delta` under `name`; `norms` are those of the base's tensors, `about` the record's other fields.

        `inputs` says what it is made from: the same again is skipped. Raises RecipeError if the name is taken by another
        vector, DataError for NaN or Inf, ResourceError if the disk is full.
        """
        with self.writing(name, inputs, force) as out:
            if out is not None:
                known = {"name": name, "encoding": encoding, "base": base, "versions": versions(), **about}
                write(delta, known, norms, out)
        return self.open(name)

    @contextlib.contextmanager
    def writing(self, name: str, inputs: Mapping[str, Any], force: bool = False) -> Iterator[Path | None]:
        """Yield the hidden folder to fill, or None if the vector is there, made from these inputs.

        On success the folder becomes the vector; otherwise nothing of it is left, or, if the process is killed, a hidden
        folder that the next attempt clears.
        """
        path = self.path(name)
        if path.is_symlink():
            raise RecipeError(f"{path}: is a link, which a store may not hold; remove it or take another name")
        folder = self.workspace.folder(name, inputs, force)
        with disk_errors(self.root), self.workspace.locked():
            record = read_record(path)
            if record is not None and not force:
                if record["inputs"] != folder.inputs:
                    raise RecipeError(
                        f"{name}: another vector of that name is in {self.root}; take another name, or --force replaces it"
                    )
                yield None
                return
            folder.done()
            try:
                with folder.writing() as out:
                    yield out
            except BaseException:
                shutil.rmtree(folder.partial, ignore_errors=True)
                raise

    def remove(self, name: str) -> None:
        """Take a vector out of the store; it is gone at once, even if the process dies while its files go."""
        path = self.path(name)
        if path.is_symlink() or (path.exists() and read_record(path) is None):
            raise RecipeError(f"{path}: not a vector of this store; remove it by hand if you want it gone")
        if not path.exists():
            self.open(name)
        with disk_errors(self.root), self.workspace.locked():
            gone = self.root / f".{name}.removed"
            shutil.rmtree(gone, ignore_errors=True)
            path.rename(gone)
            shutil.rmtree(gone)


def write(delta: Delta, known: Mapping[str, Any], norms: Mapping[str, float], out: Path) -> Record:
    """Write weights, record and card of a vector into the folder `out`; two passes, one tensor in memory at a time."""
    sizes = {name: float(torch.linalg.vector_norm(delta.tensor(name), dtype=torch.float64)) for name in delta.names}
    bad = next((name for name, norm in sizes.items() if not isfinite(norm)), None)
    if bad is not None:
        raise DataError(f"vector {known['name']}: tensor {bad!r} holds NaN or Inf; use earlier checkpoints")
    entries = {name: Entry(shape=delta.shape(name), norm=sizes[name], base=norms.get(name)) for name in delta.names}
    lost: list[float] = []
    specs = _specs(entries, known["encoding"])
    write_shard(out / WEIGHTS, specs, _encoded(delta, entries, known["encoding"], lost))
    whole = sum(norm**2 for norm in sizes.values())
    record = Record(
        **known,
        sha256=digest(out / WEIGHTS),
        size=(out / WEIGHTS).stat().st_size,
        exact_size=max(1, sum(4 * prod(entry.shape) for entry in entries.values() if entry.norm)),
        error=sqrt(sum(lost) / whole) if whole else 0.0,
        tensors=entries,
    )
    write_whole(out / RECORD, record.text())
    write_whole(out / CARD, card(record))
    return record


def _encoded(delta: Delta, entries: Mapping[str, Entry], encoding: str, lost: list[float]) -> Iterator[Tensor]:
    """The stored parts in file order; the squared norm of what each tensor loses goes into `lost`."""
    for name, entry in entries.items():
        if entry.norm:
            tensor = delta.tensor(name)
            parts = encode(tensor, encoding)
            left = tensor - decode(parts, entry.shape, encoding)
            lost.append(float(torch.linalg.vector_norm(left, dtype=torch.float64)) ** 2)
            yield from (parts[key] for key in layout(entry.shape, encoding))


def _specs(entries: Mapping[str, Entry], encoding: str) -> list[Spec]:
    """What the weights file holds: the parts of every tensor that moved."""
    moved = [(name, entry.shape) for name, entry in entries.items() if entry.norm]
    return [(name + key, *part) for name, shape in moved for key, part in layout(shape, encoding).items()]


def default_root() -> Path:
    """ASR_ANALOGY_STORE, or `asr-analogy/vectors` in the user's data folder (XDG_DATA_HOME honoured)."""
    given = os.environ.get("ASR_ANALOGY_STORE")
    if given:
        return Path(given).expanduser()
    own = Path("~/Library/Application Support" if sys.platform == "darwin" else "~/.local/share").expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or own) / "asr-analogy" / "vectors"
