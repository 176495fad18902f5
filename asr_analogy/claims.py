"""Claims: how processes share work in a folder, on one machine or on several that see the same disk.

A part of the work is claimed by creating a file with its name, which only one process can. The file says which process
holds the part, and is touched while that process lives. A claim is void if its process is dead on this host, or if it
was not touched for STALE seconds by the clock of the disk; void claims are taken over. A process that only slept may
then find its part done by another: parts must be written whole and come out the same whoever makes them.
"""

import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

TOUCH, STALE = 10.0, 120.0
"""Seconds after which a live claim is touched again, and after which one that was not touched is void."""

POLL = 0.2
"""Seconds between two looks at what another process holds."""


class Claims:
    """The claims on the parts of one piece of work; `folder` must exist and is nobody's output."""

    def __init__(self, folder: Path, touch: float = TOUCH, stale: float = STALE) -> None:
        self.folder, self.touch, self.stale = folder, touch, stale
        self.ours: set[str] = set()

    @contextmanager
    def held(self, name: str) -> Iterator[bool]:
        """Claim the part `name` for the length of the block; yields whether it is ours."""
        mark = self._take(name)
        if mark is None:
            yield False
            return
        self.ours.add(name)
        over = threading.Event()
        touching = threading.Thread(target=self._keep, args=(name, over), daemon=True)
        touching.start()
        try:
            yield True
        finally:
            over.set()
            touching.join()
            self.ours.discard(name)
            with suppress(OSError):
                if self._path(name).read_text() == mark:  # it may have been taken over while we slept
                    self._path(name).unlink()

    def once(self, name: str, done: Callable[[], bool], work: Callable[[], None]) -> None:
        """Do `work` unless it is `done`; while another process has it, wait for that one."""
        while not done():
            with self.held(name) as ours:
                if ours:
                    if not done():
                        work()
                    return
            time.sleep(POLL)

    def alive(self, name: str) -> bool:
        """Whether a process holds the part, as far as one can see."""
        try:
            changed, text = self._path(name).stat().st_mtime, self._path(name).read_text()
            now = self._now()
        except OSError:
            return False
        owner = _owner(text)
        if now - changed > self.stale:
            return False
        if owner.get("host") != socket.gethostname():
            return True
        return name in self.ours if owner.get("pid") == os.getpid() else _runs(owner.get("pid"))

    def holders(self) -> list[str]:
        """The other processes that hold parts, as "process 17 on hostname"."""
        names = [file.stem for file in sorted(self.folder.glob("*.claim"))]
        found = set[str]()
        for name in names:
            if name not in self.ours and self.alive(name):
                with suppress(OSError):
                    owner = _owner(self._path(name).read_text())
                    found.add(f"process {owner.get('pid', 'unknown')} on {owner.get('host', 'unknown')}")
        return sorted(found)

    def _take(self, name: str) -> str | None:
        """What we wrote into the claim, or None if it is another's (or the folder is gone: all is done)."""
        path = self._path(name)
        mark = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()})
        for _ in range(2):
            try:
                with path.open("x") as file:
                    file.write(mark)
                return mark
            except FileExistsError:
                if self.alive(name):
                    return None
                path.unlink(missing_ok=True)
            except FileNotFoundError:
                return None
        return None

    def _keep(self, name: str, over: threading.Event) -> None:
        while not over.wait(self.touch):
            with suppress(OSError):
                os.utime(self._path(name))

    def _now(self) -> float:
        """The time on the disk's own clock, which need not be this machine's."""
        with tempfile.TemporaryFile(dir=self.folder) as probe:
            probe.write(b"\n")
            probe.flush()
            return os.fstat(probe.fileno()).st_mtime

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.claim"


def _owner(text: str) -> dict[str, Any]:
    """Who wrote a claim; nobody known while it is being written."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _runs(process: Any) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, TypeError, ValueError):
        return True
    return True
