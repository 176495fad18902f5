"""What a training run asks of the process it runs in: to stop politely, to add in one order, to keep its memory."""

import ctypes
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any

import torch


@contextmanager
def stop_signals() -> Iterator[Event]:
    """While entered, the first SIGINT or SIGTERM asks for a stop after the step in hand; the next one acts at once."""
    stop = Event()
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(*_: object) -> None:
        stop.set()
        restore()

    with suppress(ValueError):  # not in the main thread: the caller handles signals
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()


@contextmanager
def repeatable() -> Iterator[None]:
    """While entered, a CPU adds in one order: else threads race to add the gradients of Whisper's positions, and two runs
    of one seed end some tenths of a percent of WER apart."""
    before = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    memory.fill_uninitialized_memory = False  # no kernel here reads before writing
    torch.use_deterministic_algorithms(before or not torch.cuda.is_available())
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = fill


def keep_freed_memory() -> None:
    """Ask glibc to keep freed blocks: mapping fresh pages for every large tensor can cost half of a CPU step."""
    if sys.platform == "linux" and not torch.cuda.is_available():
        with suppress(OSError, AttributeError):  # another C library
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(-4, 0)  # M_MMAP_MAX: no mapped blocks
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: never give pages back
