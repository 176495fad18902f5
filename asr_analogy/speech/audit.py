"""What can be measured on a clip without knowing who speaks: rate, pauses, pitch, level, SNR, duration.

Synthetic and real speech are held against each other by these numbers. They are estimates, made the same way on both
sides, so that the difference counts and not the value. Clips are float32 mono at SAMPLE_RATE, shape (n,).
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.text.scoring import Counts, count_characters
from asr_analogy.text.spoken import spoken

MEASURES = {
    "rate": ("speaking rate", "characters/s"),
    "pause": ("pause share", "%"),
    "pitch": ("pitch", "Hz"),
    "level": ("level", "dBFS"),
    "snr": ("SNR", "dB"),
    "duration": ("duration", "s"),
}
"""Title and unit of every measure, by the key that `measure` gives it."""

FRAME = 320
"""Samples of a frame for energies (20 ms)."""
SILENT = 1e-10
"""Power under which a frame holds nothing that 16 bits can say (-100 dBFS)."""

QUIET_LOUD = (5, 95)
"""Percentiles of the frames' powers that are taken for the noise and for loud speech."""
CEILING = 60.0
"""dB; behind digital silence a ratio says nothing more, so estimates end here."""

LOWEST, HIGHEST = 60.0, 400.0
"""Hz between which the pitch of speech is looked for."""
WINDOW, HOP = 800, 160
"""Samples of a pitch frame (50 ms, three periods of LOWEST) and between two of them (10 ms)."""
VOICED, LOUD = 0.45, 0.03
"""Least periodicity of a voiced frame (0 to 1), and its least amplitude as a share of the clip's loudest frame."""
OCTAVE = 0.02
"""Periodicity that a candidate must have more than one an octave above it."""

SHORTEST_PAUSE = 5
"""Frames (100 ms); a shorter gap is the closure of a plosive."""


def measure(samples: np.ndarray, said: str) -> dict[str, float]:
    """All MEASURES of a clip that says `said` (spoken form); nan for a pitch that is not there."""
    return {
        "rate": rate(samples, said),
        "pause": pause_share(samples),
        "pitch": pitch(samples),
        "level": level(samples),
        "snr": snr(samples),
        "duration": len(samples) / SAMPLE_RATE,
    }


def rate(samples: np.ndarray, said: str) -> float:
    """Letters and digits of the spoken form per second of clip, pauses included."""
    return sum(letter.isalnum() for letter in said) * SAMPLE_RATE / len(samples) if len(samples) else math.nan


def level(samples: np.ndarray) -> float:
    """RMS of the whole clip in dB relative to full scale (a sine of amplitude 1 has -3), at least -100."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return round(10 * math.log10(max(power, SILENT)), 2)  # what 16 bits round is no difference


def snr(samples: np.ndarray) -> float:
    """Signal-to-noise ratio in dB, from the clip alone, between -20 and CEILING; nan under 5 frames.

    Noise is the 5th percentile of the powers of 20 ms frames (prepare leaves 0.1 s of silence at both ends). Speech is
    the mean power, less the noise, of the frames above the middle (in dB) between that and the 95th percentile. In the
    manner of the NIST STNR tool (speech and silence from the distribution of frame energies), without its fitted
    histogram. A clip without any pause reads too low, reverberation counts as noise.
    """
    power = _powers(samples)
    if len(power) < 5:
        return math.nan
    noise, top = np.percentile(power, QUIET_LOUD)
    signal = float(power[power >= math.sqrt(noise * top)].mean() - noise)
    return float(np.clip(10 * math.log10(max(signal / noise, 1e-2)), -20, CEILING))


def pause_share(samples: np.ndarray) -> float:
    """Percent of the clip that lies in pauses of at least 100 ms, silence at both ends included; nan without a frame.

    A 20 ms frame is quiet if it is 35 dB under the loud ones (95th percentile), or within 6 dB of the noise (5th
    percentile) and 15 dB under the loud ones: so pauses are found in a noisy room too.
    """
    power = _powers(samples)
    if not len(power):
        return math.nan
    noise, top = 10 * np.log10(np.percentile(power, QUIET_LOUD))
    quiet = 10 * np.log10(power) < min(max(top - 35, noise + 6), top - 15)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    runs = edges[1::2] - edges[::2]
    return float(100 * runs[runs >= SHORTEST_PAUSE].sum() / len(power))


def pitch(samples: np.ndarray) -> float:
    """Median fundamental frequency of the voiced frames in Hz, nan if no frame is voiced.

    Autocorrelation of Hann-windowed frames, divided by that of the window; the best peak between HIGHEST and LOWEST,
    with a small cost per octave against half the true pitch; parabolic interpolation; no path search over frames.
    Source: Boersma, "Accurate short-term analysis of the fundamental frequency", IFA Proceedings 17, 1993.
    """
    if len(samples) < WINDOW:
        return math.nan
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP].astype(np.float64)
    frames = frames - frames.mean(axis=1, keepdims=True)
    amplitude = np.sqrt(np.mean(np.square(frames), axis=1))
    frames = frames[(amplitude > LOUD * amplitude.max()) & (amplitude > math.sqrt(SILENT))]
    if not len(frames):
        return math.nan
    first, last = int(SAMPLE_RATE / HIGHEST), int(SAMPLE_RATE / LOWEST)
    window = np.hanning(WINDOW)
    periodicity = _autocorrelation(frames * window, last + 2) / _autocorrelation(window[None], last + 2)
    lags = np.arange(first, last + 1)
    before, here, after = (periodicity[:, lags + step] for step in (-1, 0, 1))
    score = np.where((here > before) & (here >= after), here - OCTAVE * np.log2(lags * LOWEST / SAMPLE_RATE), -np.inf)
    rows, best = np.arange(len(frames)), score.argmax(axis=1)
    left, peak, right = (part[rows, best] for part in (before, here, after))
    voiced = (peak >= VOICED) & np.isfinite(score[rows, best])
    if not voiced.any():
        return math.nan
    left, peak, right = left[voiced], peak[voiced], right[voiced]
    shift = 0.5 * (left - right) / (left - 2 * peak + right)
    return float(np.median(SAMPLE_RATE / (lags[best[voiced]] + shift)))


def distance(ours: Sequence[float] | np.ndarray, theirs: Sequence[float] | np.ndarray) -> float:
    """Kolmogorov-Smirnov statistic of two samples: the largest gap between their distributions, 0 (equal) to 1.

    nan values are left out; nan if nothing is left of either.
    """
    first, second = (np.sort(np.asarray(values)[np.isfinite(values)]) for values in (ours, theirs))
    if not len(first) or not len(second):
        return math.nan
    places = np.concatenate([first, second])
    below = [np.searchsorted(values, places, side="right") / len(values) for values in (first, second)]
    return float(np.abs(below[0] - below[1]).max())


def median(values: Sequence[float]) -> float | None:
    """The median of the values that are numbers, to three digits behind the point; None if none is."""
    found = np.asarray(values, dtype=np.float64)
    found = found[np.isfinite(found)]
    return round(float(np.median(found)), 3) if len(found) else None


def medians(found: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """The median of every measure over clips."""
    return {name: median([one[name] for one in found]) for name in MEASURES}


def mistakes(text: str, language: str, heard: str) -> Counts:
    """Character edits between what a recogniser heard and `text`, in its written or spoken form, whichever is nearer."""
    return min((count_characters([form], [heard])[0] for form in (text, spoken(text, language))), key=_share)


def spread(total: int, count: int) -> list[int]:
    """At most `count` indices below `total`, ascending and evenly spaced from the first on."""
    return [number * total // count for number in range(count)] if count < total else list(range(total))


def _share(counts: Counts) -> float:
    return counts.errors / counts.words if counts.words else math.inf


def _powers(samples: np.ndarray) -> NDArray[np.float64]:
    """Mean power of every whole 20 ms frame, at least SILENT, shape (frames,)."""
    count = len(samples) // FRAME
    frames = np.square(samples[: count * FRAME], dtype=np.float64).reshape(count, FRAME)
    return np.maximum(frames.mean(axis=1), SILENT)


def _autocorrelation(frames: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    """Autocorrelation of every row at lags 0 to `lags` - 1, divided by that at lag 0, shape (rows, lags)."""
    size = 1 << (frames.shape[1] + lags - 1).bit_length()
    spectrum = np.fft.rfft(frames, size, axis=1)
    found = np.fft.irfft(np.square(np.abs(spectrum)), size, axis=1)[:, :lags]
    return found / found[:, :1]
