"""Where a long recording can be cut: at its pauses, found by their energy over the noise of their surroundings."""

import numpy as np

from asr_analogy.speech.audio import SAMPLE_RATE, SHORTEST, edges

FRAME = SAMPLE_RATE // 50
"""Samples whose energy is taken together (20 ms)."""

PAUSE = 25
"""Frames without speech that make a pause (0.5 s): shorter silences stand inside sentences."""

MARGIN = 5
"""Frames of a pause that stay with the speech on either side (0.1 s), as audio.trim leaves them on what models learn from."""

AROUND = 1500
"""Frames (30 s) whose quiet and loud tenths say what noise and speech are here: a threshold follows the speakers."""

SHARE, MOST = 0.3, 6.0
"""A frame is speech above this share of the way from the noise to the speech around it, but at most so many decibels
above the noise: one speaker may be much farther away than another."""

LEAST = 6.0
"""Decibels between noise and speech below which they cannot be told apart here: then those of the whole recording hold,
and if it is even too, everything counts as speech."""

QUIETEST = -80.0
"""Decibels relative to full scale that digital silence counts as."""

Span = tuple[int, int]
"""First sample, and the first behind the last."""


def spans(samples: np.ndarray, longest: float, together: bool) -> list[Span]:
    """Stretches of speech of at most `longest` seconds that a recording of 16 kHz falls into, in order.

    They end at pauses of half a second or more, which are left out but for their edges; `together` puts as many into one
    as fit. Speech without a pause is cut at its quietest 20 ms. Nothing but noise gives no stretch at all.
    """
    window = int(longest * SAMPLE_RATE)
    found: list[Span] = []
    for start, end in _speech(samples):
        parts = _pieces(samples, start, end, window)
        if together and found and parts[0][1] - found[-1][0] <= window:
            found[-1] = (found[-1][0], parts.pop(0)[1])
        found += parts
    return found


def _speech(samples: np.ndarray) -> list[Span]:
    """The recording between its pauses, margins included."""
    loud = _loud(samples)
    turns = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]])))
    starts, ends = turns[::2], turns[1::2]
    if not len(starts):
        return []
    breaks = np.flatnonzero(starts[1:] - ends[:-1] >= PAUSE)
    firsts, lasts = np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [len(starts) - 1]])
    sums = np.concatenate([[0], np.cumsum(loud)])
    found = []
    for start, end in zip(starts[firsts], ends[lasts], strict=True):
        if (sums[end] - sums[start]) * FRAME >= SHORTEST * SAMPLE_RATE:  # shorter is a click, no word
            first, last = max(0, int(start) - MARGIN) * FRAME, min(len(samples), (int(end) + MARGIN) * FRAME)
            before, behind = edges(samples[first:last])  # in quiet rooms to the sample, as what models learn from
            found.append((first + before, first + behind))
    return found


def _loud(samples: np.ndarray) -> np.ndarray:
    """Whether each frame is speech by its energy; the last, unfinished frame goes with the one before it."""
    count = len(samples) // FRAME
    if not count:
        return np.empty(0, dtype=bool)
    frames = samples[: count * FRAME].reshape(count, FRAME)
    power = np.einsum("ij,ij->i", frames, frames) / FRAME
    level = np.maximum(10 * np.log10(np.maximum(power, 1e-12)), QUIETEST)
    level = np.convolve(np.pad(level, 1, mode="edge"), np.full(3, 1 / 3), mode="valid")  # 60 ms
    loud, step = np.empty(count, dtype=bool), AROUND // 3
    everywhere = _threshold(level) or QUIETEST
    for start in range(0, count, step):
        threshold = _threshold(level[max(0, start - step) : start + 2 * step]) or everywhere
        loud[start : start + step] = level[start : start + step] > threshold
    return loud


def _threshold(level: np.ndarray) -> float | None:
    """Decibels above which some frames are speech, or None where it does not stand out."""
    noise, speech = np.percentile(level, (10, 90))
    return float(noise + min(MOST, SHARE * (speech - noise))) if speech - noise >= LEAST else None


def _pieces(samples: np.ndarray, start: int, end: int, window: int) -> list[Span]:
    """A stretch in pieces of at most `window` samples, each cut at the quietest 20 ms of its last third."""
    found = []
    while end - start > window:
        tail = samples[start + window * 2 // 3 : start + window]
        frames = tail[: len(tail) // FRAME * FRAME].reshape(-1, FRAME)
        cut = start + window * 2 // 3 + int(np.einsum("ij,ij->i", frames, frames).argmin()) * FRAME + FRAME // 2
        found.append((start, cut))
        start = cut
    return [*found, (start, end)]
