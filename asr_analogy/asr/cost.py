"""What a pass through a recogniser costs, estimated without loading it: parameters from the file headers, speed measured."""

import json
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from math import prod
from pathlib import Path

import torch

from asr_analogy.asr.family import WEIGHTS, read_json
from asr_analogy.errors import DataError, ResourceError

FRAMES = 50
"""Encoder frames per second of audio, of Whisper and of Wav2Vec2-Conformer."""

TYPICAL = 4.0
"""Seconds of a typical utterance; a base with a window pads it to the whole window."""

EFFICIENCY = 0.15
"""Share of a plain matrix product's speed that a training step of a small model reaches (measured, docs/results.md)."""


def parameters(folder: Path) -> int:
    """Number of weights in a model folder, from its safetensors headers (from the file size for a pickled base).

    Raises DataError for a file that is not safetensors.
    """
    if (folder / WEIGHTS[0]).is_file():
        return _parameters(folder / WEIGHTS[0])
    index = read_json(folder / WEIGHTS[1])
    if index is not None:
        return sum(_parameters(folder / shard) for shard in sorted(set(index.get("weight_map", {}).values())))
    return sum(file.stat().st_size for file in folder.glob("pytorch_model*.bin")) // 4


def _parameters(file: Path) -> int:
    try:
        with file.open("rb") as handle:
            header = json.loads(handle.read(struct.unpack("<Q", handle.read(8))[0]))
        return sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    except (
        OSError,
        OverflowError,
        MemoryError,
        struct.error,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise DataError(f"{file}: damaged, or not safetensors; download or save it again") from error


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
