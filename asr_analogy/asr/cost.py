"""What a pass through a recogniser costs, estimated without loading it: parameters from the file headers, speed measured."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from asr_analogy.asr.hub import parameters
from asr_analogy.errors import ResourceError

FRAMES = 50
"""Encoder frames per second of audio, of Whisper and of Wav2Vec2-Conformer."""

TYPICAL = 4.0
"""Seconds of a typical utterance; a base with a window pads it to the whole window."""

EFFICIENCY = 0.15
"""Share of a plain matrix product's speed that a training step of a small model reaches (measured, docs/results.md)."""


@cache
def speed() -> float:
    """Usable floating-point operations per second of this machine in its training precision."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = torch.bfloat16 if bfloat16() else torch.float32
    left, right = (torch.randn(1024, 1024, device=device).to(kind) for _ in range(2))
    for count in (2, 8):
        started = time.perf_counter()
        for _ in range(count):
            product = left @ right
        product[0, 0].item()
    return EFFICIENCY * 8 * 2 * 1024**3 / (time.perf_counter() - started)


def bfloat16() -> bool:
    """True if this machine's device multiplies in bfloat16."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def seconds(folder: Path, window: float | None, utterances: float, passes: float) -> float:
    """Estimated seconds for `passes` (a training step counts 3, a transcript 2) over so many utterances."""
    return passes * 2 * parameters(folder) * utterances * (window or TYPICAL) * FRAMES / speed()


def peak_memory() -> int:
    """Most bytes this process has held: on the GPU if there is one, else in memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage also counts what the process had been before it became this program
        return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextmanager
def memory_errors(advice: str) -> Iterator[None]:
    """Turn running out of memory into a ResourceError with `advice`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        full = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not full:
            raise
        raise ResourceError(f"out of memory; {advice}") from error
