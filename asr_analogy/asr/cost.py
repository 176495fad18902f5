"""What a pass through a recogniser costs, estimated without loading it: parameters from the file headers, speed measured."""

import json
import struct
import time
from functools import cache
from math import prod
from pathlib import Path

import torch

FRAMES = 50
"""Encoder frames per second of audio, of Whisper and of Wav2Vec2-Conformer."""

EFFICIENCY = 0.15
"""Share of a plain matrix product's speed that a training step of a small model reaches (measured, docs/results.md)."""


def parameters(folder: Path) -> int:
    """Number of weights in a model folder, from its safetensors headers (from the file size for a pickled base)."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return sum(file.stat().st_size for file in folder.glob("pytorch_model*.bin")) // 4
    total = 0
    for file in files:
        with file.open("rb") as handle:
            header = json.loads(handle.read(struct.unpack("<Q", handle.read(8))[0]))
        total += sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return total


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


def seconds(folder: Path, audio_seconds: float, passes: float) -> float:
    """Estimated seconds for `passes` (a training step counts 3, a transcript 2) over so much audio, padding included."""
    return passes * 2 * parameters(folder) * audio_seconds * FRAMES / speed()
