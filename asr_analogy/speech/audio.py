"""Sound as the rest of the package sees it: mono float32 arrays at SAMPLE_RATE, values in [-1, 1].

Every constant of sampling stands here and nowhere else.
"""

import io
import re
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asr_analogy.errors import DataError

SAMPLE_RATE = 16_000
"""Samples per second of everything prepared, trained on and decoded."""

SILENCE = 10 ** (-60 / 20)
"""Peak amplitude under which a clip counts as silent (-60 dBFS)."""

SHORTEST = 0.1
"""Seconds under which a clip cannot hold a word."""

BLOCK = 60
"""Seconds of sound that are read with all their channels at once."""

STREAMED = 0x7FFFF000
"""WAV headers written by a pipe promise this many bytes or more, because the length was not known yet."""


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """Convert `samples` (mono, `rate` Hz) to SAMPLE_RATE. Returns float32, shape (n,)."""
    if rate == SAMPLE_RATE:
        return samples.astype(np.float32, copy=False)
    return soxr.resample(samples.astype(np.float32, copy=False), rate, SAMPLE_RATE).astype(np.float32)


def read(source: Path | bytes, name: str | None = None) -> np.ndarray:
    """As `load`, for sound that is to hold speech.

    Raises DataError also for what is silent or shorter than SHORTEST seconds.
    """
    label = name or _label(source)
    return checked(load(source, label), label)


def load(source: Path | bytes, name: str | None = None) -> np.ndarray:
    """Read a sound file (WAV, FLAC, OGG, MP3) as mono float32 at SAMPLE_RATE, shape (n,).

    Stereo is averaged and other rates are resampled. Raises DataError, naming the file, for what is missing, is no
    audio, ends early, or holds NaN or Inf.
    """
    label = name or _label(source)
    handle: Path | io.BytesIO = source if isinstance(source, Path) else io.BytesIO(source)
    if isinstance(handle, Path) and not handle.is_file():
        raise DataError(f"{label}: no such audio file")
    try:
        with soundfile.SoundFile(handle) as file:
            promised, rate, notes = file.frames, file.samplerate, file.extra_info
            blocks = [block.mean(axis=1) for block in file.blocks(BLOCK * rate, dtype="float32", always_2d=True)]
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise DataError(f"{label}: not readable as audio ({str(error).strip().rstrip('.')})") from error
    samples = np.concatenate(blocks) if blocks else np.empty(0, dtype=np.float32)
    blocks.clear()
    if len(samples) < promised or _cut(notes):
        raise DataError(f"{label}: truncated, the file ends before its sound does; copy or record it again")
    if len(samples) == 0:
        raise DataError(f"{label}: holds no sound")
    if not np.isfinite(samples).all():
        raise DataError(f"{label}: holds NaN or infinite samples")
    return resample(samples, rate)


def _label(source: Path | bytes) -> str:
    return str(source) if isinstance(source, Path) else "audio bytes"


def _cut(notes: str) -> bool:
    """True if libsndfile's log of a file says that it ends early: WAV and AIFF by their header, OGG by its last page."""
    found = re.search(r"^ *(?:data|SSND) : (\d+) \(should be (\d+)\)", notes, re.MULTILINE)
    if found is not None and int(found[2]) < int(found[1]) < STREAMED:
        return True
    return "lacks an end-of-stream bit" in notes or "Junk after the last page" in notes


def checked(samples: np.ndarray, label: str) -> np.ndarray:
    """Return `samples` if a recogniser can use them, else raise DataError naming `label` and the fault."""
    if not np.isfinite(samples).all():
        raise DataError(f"{label}: holds NaN or infinite samples")
    if len(samples) < SHORTEST * SAMPLE_RATE:
        raise DataError(f"{label}: {len(samples) / SAMPLE_RATE:.2f} s is too short (at least {SHORTEST} s)")
    if np.abs(samples).max() < SILENCE:
        raise DataError(f"{label}: silent (peak below -60 dBFS)")
    return samples


def encode(samples: np.ndarray) -> bytes:
    """Encode mono float32 samples at SAMPLE_RATE as 16-bit FLAC bytes (peaks above 1 are scaled down, not clipped)."""
    peak = float(np.abs(samples).max(initial=0.0))
    scaled = samples / peak * 0.999 if peak > 0.999 else samples
    buffer = io.BytesIO()
    soundfile.write(buffer, np.round(scaled * 32767).astype(np.int16), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def level(samples: np.ndarray, dbfs: float = -26.0) -> np.ndarray:
    """Scale `samples` to an RMS of `dbfs` decibels relative to full scale, short of clipping."""
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    if rms == 0.0:
        return samples
    gain = min(10 ** (dbfs / 20) / rms, 0.99 / float(np.abs(samples).max()))
    return (samples * gain).astype(np.float32)


def trim(samples: np.ndarray, margin: float = 0.1, floor: float = 0.01) -> np.ndarray:
    """Cut leading and trailing samples below `floor` x peak, keeping `margin` seconds on each side."""
    start, end = edges(samples, margin, floor)
    return samples[start:end]


def edges(samples: np.ndarray, margin: float = 0.1, floor: float = 0.01) -> tuple[int, int]:
    """Where `trim` cuts: the first sample that stays, and the first behind the last."""
    loud = np.flatnonzero(np.abs(samples) > floor * np.abs(samples).max(initial=0.0))
    if len(loud) == 0:
        return 0, len(samples)
    keep = int(margin * SAMPLE_RATE)
    return max(0, int(loud[0]) - keep), min(len(samples), int(loud[-1]) + keep + 1)
