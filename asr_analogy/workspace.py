"""The workspace of a run, the only module that creates output folders.

A folder appears whole or not at all: it is written beside under a hidden name, fsynced and renamed. It carries
`run.json`: inputs (settings and content hashes), versions, seconds, and the hash of every file in it. A second call with
the same inputs finds it and skips; with other inputs it refuses and names the first difference, unless forced.
"""

import contextlib
import dataclasses
import errno
import fcntl
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from asr_analogy.claims import POLL, Claims
from asr_analogy.errors import DataError, RecipeError, ResourceError

RECORD = "run.json"
MARKER = "inputs.json"
"""Stands in an unfinished folder and says what it is made from."""
MEASURED = "measured.json"
"""Times and sizes that a stage leaves for run.json; no part of the content, since they differ from run to run."""
COST = "cost.json"
"""What making a folder took, kept beside the files; no part of the content either."""
PACKAGES = ("asr-analogy", "torch", "transformers", "datasets", "accelerate", "numpy", "jiwer", "espeakng-loader")


class Workspace:
    """The folder `root` of one recipe. Use `with workspace.locked():` around whatever writes into it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, name: str, inputs: Mapping[str, Any], force: bool = False) -> "Folder":
        """The output folder `name` (relative, inside the workspace) that is made from `inputs`."""
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root.resolve()) or path == self.root.resolve():
            raise RecipeError(f"{name}: leaves the workspace {self.root}")
        return Folder(path, inputs, force)

    @contextlib.contextmanager
    def locked(self, *parts: str) -> Iterator[None]:
        """Hold the workspace for this process, or only `parts` of it beside processes that hold others.

        Raises ResourceError if another process holds it.
        """
        if follower():  # the first process holds it for all
            yield
            return
        with contextlib.ExitStack() as held:
            held.enter_context(self._lock("", alone=not parts))
            for part in sorted(parts):
                held.enter_context(self._lock(f"-{part}"))
            yield

    @contextlib.contextmanager
    def turn(self, part: str) -> Iterator[None]:
        """Hold a part of the workspace that several processes need one after another; waits for the others."""
        with self._lock(f"-{part}", wait=True):
            yield

    @contextlib.contextmanager
    def _lock(self, name: str, alone: bool = True, wait: bool = False) -> Iterator[None]:
        with disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            handle = (self.root / f".lock{name}").open("a+")
        with handle:
            try:
                fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise ResourceError(
                    f"{self.root}: another run (process {_owner(handle)}) is working here; wait for it or use --workspace"
                ) from error
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield


def _owner(handle: Any) -> str:
    handle.seek(0)
    return handle.read().strip() or "unknown"


class Folder:
    """One output folder of a stage and the inputs that it depends on."""

    def __init__(self, path: Path, inputs: Mapping[str, Any], force: bool = False) -> None:
        self.path = path
        self.inputs = json.loads(json.dumps(inputs, default=str, sort_keys=True))
        self.force = force
        self.partial = path.parent / f".{path.name}.partial"

    def done(self) -> bool:
        """True if the folder stands there, made from the same inputs. Raises RecipeError if from other inputs."""
        record = read_record(self.path)
        if record is None:
            if self.path.exists():
                raise RecipeError(f"{self.path}: exists and was not made by asr-analogy (no {RECORD}); move it away")
            return False
        if self.force:
            return False
        difference = first_difference(record["inputs"], self.inputs)
        if difference is not None:
            raise RecipeError(
                f"{self.path}: made from other inputs ({difference}); --force replaces it, --workspace keeps both"
            )
        lost = next((name for name in record["files"] if not (self.path / name).is_file()), None)
        if lost is not None:
            raise DataError(f"{self.path / lost}: is gone since it was made; --force makes its folder again")
        return True

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """Yield the hidden folder to fill; on success it becomes `path`. What an earlier, killed call with the same
        inputs left in it is still there; what other inputs left is gone. A follower only learns where it is."""
        if follower():
            yield self.partial
            return
        started = time.time()
        with disk_errors(self.path):
            self._open()
            self._clear()
            yield self.partial
            self.publish(started)

    @contextlib.contextmanager
    def shared(self) -> Iterator[Claims]:
        """Open the hidden folder `partial` for several processes that fill it together, and yield the claims by which
        they share the work. One of them calls `publish`; the folder is then gone for the others, which is no error.

        Raises ResourceError if another process fills it from other inputs.
        """
        claims = Claims(self.path.parent / f".{self.path.name}.claims")
        with disk_errors(self.path):
            try:
                self._join(claims)
                yield claims
            except FileNotFoundError:
                if self.force or not self.done():
                    raise
            if not self.force and self.done():
                shutil.rmtree(self.partial, ignore_errors=True)  # made by a process that came a moment too late
                shutil.rmtree(claims.folder, ignore_errors=True)

    def _join(self, claims: Claims) -> None:
        opened = False
        while not opened:
            claims.folder.mkdir(parents=True, exist_ok=True)
            with claims.held("open") as opened:
                if opened:
                    others = claims.holders()
                    if self.partial.exists() and self._left() != self.inputs and others:
                        raise ResourceError(
                            f"{self.path}: {others[0]} makes it from other inputs; wait for it or use --workspace"
                        )
                    self._open()
            time.sleep(0 if opened else POLL)

    def publish(self, started: float) -> None:
        """Make the hidden folder the finished one; `started` is when the work on it began, in seconds as time.time()."""
        self._clear()
        ours = tuple(self.partial / name for name in (MARKER, RECORD, MEASURED, COST))
        made = [file for file in _files(self.partial) if file not in ours]
        files = {file.relative_to(self.partial).as_posix(): digest(file) for file in made}
        record = {
            "inputs": self.inputs,
            "files": files,
            "content": hash_of([json.dumps(files, sort_keys=True)]),
            "seconds": round(time.time() - started, 2),
            "versions": versions(),
            "commit": commit(),
            "machine": machine(),
        }
        measured = _read_json(self.partial / MEASURED)
        record |= {"measured": measured} if measured else {}
        write_whole(self.partial / RECORD, json.dumps(record, indent=1))
        self._publish()

    def _left(self) -> Any:
        """The inputs of what stands in the partial folder."""
        return _read_json(self.partial / MARKER) or (read_record(self.partial) or {}).get("inputs")

    def _open(self) -> None:
        """Make the partial folder; one that a killed call left is kept if it is of the same inputs."""
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        if self.partial.exists() and self._left() == self.inputs:
            return
        if self.partial.exists():
            shutil.rmtree(self.partial)
        self.partial.mkdir()
        write_whole(self.partial / MARKER, json.dumps(self.inputs))

    def _clear(self) -> None:
        """Remove what a killed call left half written."""
        for half in self.partial.rglob("*.part"):
            half.unlink(missing_ok=True)

    def _publish(self) -> None:
        (self.partial / MARKER).unlink(missing_ok=True)
        (self.partial / MEASURED).unlink(missing_ok=True)
        for place in [*_files(self.partial), *_folders(self.partial)]:
            sync(place)
        old = self.path.parent / f".{self.path.name}.old"
        shutil.rmtree(old, ignore_errors=True)
        if self.path.exists():
            self.path.rename(old)
        self.partial.rename(self.path)
        sync(self.path.parent)
        shutil.rmtree(old, ignore_errors=True)


def processes() -> int:
    """How many processes a launcher (torchrun, accelerate) started on this command; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def local_rank() -> int:
    """Number of this process among those that a launcher started on this machine."""
    return int(os.environ.get("LOCAL_RANK") or 0)


def follower() -> bool:
    """True in every process of a launcher but the first: it computes and writes nothing."""
    return processes() > 1 and os.environ.get("RANK", "0") != "0"


def read_record(folder: Path) -> dict[str, Any] | None:
    """The run.json of a finished folder, or None if there is none of ours."""
    record = _read_json(folder / RECORD)
    return record if record and {"inputs", "files", "content"} <= record.keys() else None


def content(folder: Path) -> str:
    """The content hash of a finished folder. Raises DataError if it was never finished."""
    record = read_record(folder)
    if record is None:
        raise DataError(f"{folder}: not finished; run the stage that makes it first")
    return record["content"]


def first_difference(old: Any, new: Any, path: str = "") -> str | None:
    """The first key whose value differs, as `key: old -> new`, or None."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            inner = first_difference(old.get(key), new.get(key), f"{path}.{key}" if path else key)
            if inner:
                return inner
        return None
    if old == new:
        return None
    before, after = ("nothing" if value is None else str(value) for value in (old, new))
    start = max(0, len(os.path.commonprefix([before, after])) - 12)
    return f"{path}: {_short(before, start)} -> {_short(after, start)}"


def _short(text: str, start: int, room: int = 40) -> str:
    """At most `room` characters of a text, those from `start` on if it is longer; 12 of a hash."""
    if len(text) <= room:
        return text
    room = 12 if len(text) == 64 and text.isalnum() else room
    return ("..." if start else "") + text[start : start + room] + ("..." if start + room < len(text) else "")


def digest(path: Path) -> str:
    """SHA-256 of a file's content, or of all files below a folder with their names."""
    if path.is_dir():
        return hash_of(f"{file.relative_to(path)}:{digest(file)}" for file in _files(path))
    state = path.stat()
    return _digest(path.resolve(), state.st_size, state.st_mtime_ns)


@functools.lru_cache(100_000)
def _digest(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file, computed once a process while its size and time of change stay."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_of(parts: Iterable[str | bytes]) -> str:
    """SHA-256 of a sequence of texts or bytes."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    part = part_name(path)
    part.write_bytes(data.encode() if isinstance(data, str) else data)
    sync(part)
    part.replace(path)


@contextlib.contextmanager
def lines_whole(path: Path) -> Iterator[TextIO]:
    """Yield a text file to write line by line; it is there when the block ends well, whole, and not before."""
    part = part_name(path)
    with part.open("w", encoding="utf-8", newline="\n") as file:
        yield file
    sync(part)
    part.replace(path)


def part_name(path: Path) -> Path:
    """A new name to write `path` under: another for every attempt, so that two processes never write into one file.

    What a killed process leaves under it is removed later.
    """
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into a ResourceError that names `path`; nothing finished is lost."""
    try:
        yield
    except OSError as error:
        kinds = {errno.ENOSPC: "disk full", errno.EDQUOT: "disk quota reached", errno.EROFS: "read-only file system"}
        kinds |= {errno.EACCES: "no permission to write", errno.EPERM: "no permission to write"}
        kinds |= dict.fromkeys((errno.EEXIST, errno.ENOTDIR), "a file stands where a folder is needed")
        if error.errno not in kinds:
            raise
        raise ResourceError(
            f"{path}: {kinds[error.errno]}; what was finished is kept: make room or choose another --workspace, "
            "then give the same command again"
        ) from error


def sync(path: Path) -> None:
    """Put a file, or the names in a folder, on the disk for good."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _folders(folder: Path) -> list[Path]:
    return [folder, *(place for place in folder.rglob("*") if place.is_dir())]


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def machine() -> str:
    """Processor type and core count, for the record."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def commit() -> str | None:
    """Git commit of the checkout this package runs from, or None."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


@dataclasses.dataclass(frozen=True)
class Step:
    """One line of a plan: a folder that is there or will be made, and what making it is estimated to cost."""

    name: str
    done: bool
    detail: str = ""
    audio_hours: float = 0.0
    seconds: float = 0.0
    megabytes: float = 0.0
