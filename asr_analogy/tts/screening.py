"""Screening of spoken clips: what is wrong with the sound itself, and with what a recogniser hears in it.

Both synthetic arms are screened by the same rule: a filter in one of them alone would become part of the vector.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from asr_analogy.speech.audio import SAMPLE_RATE, SHORTEST, SILENCE
from asr_analogy.text.scoring import count_characters, total

FASTEST, SLOWEST = 0.035, 0.13
"""Seconds of sound per spoken character between which speech can be; fast and slow readers take 0.045 to 0.11."""

USUAL_MARGIN, MARGIN = 0.3, 0.6
"""Seconds of a clip that its characters need not account for (pauses at both ends, a breath), usually and at most."""

FACTOR = 1.5
"""How many times faster or slower than usual a voice may read the rest: a clip that is cut in half or said twice is off
by a factor of two, sentences of one espeak voice differ by 1.3."""

SHORT_WORD = 4
"""Characters by which a text may be shorter to the ear than it is written; short sentences need the leeway."""

FEWEST = 3
"""Clips of a voice from which its pace can be told."""

FULL_SCALE, CLIPPED = 0.985, 0.002
"""A sample this near full scale is clipped, and the share of such samples in a clip that is too loud."""

LONGEST_PAUSE = 2.5
"""Seconds of silence inside a clip after which a voice has lost its text."""

FRAME = 320
"""Samples of a frame for the search for pauses (20 ms)."""


def pace(clips: Iterable[tuple[np.ndarray, str]]) -> float | None:
    """The usual pace of a voice: median seconds per character of clips and their spoken texts; None if there are few."""
    found = [_pace(len(samples) / SAMPLE_RATE, _characters(text)) for samples, text in clips if _characters(text)]
    return float(np.median(found)) if len(found) >= FEWEST else None


def fault(samples: np.ndarray, text: str, usual: float | None = None) -> str | None:
    """What is wrong with a clip (float32 mono at SAMPLE_RATE) that says `text`, from the sound alone; None if nothing.

    Looks for samples that are no numbers, silence, clipping, a long pause, and more or less time than the characters
    of the spoken text can take, in any voice and in one whose `pace` is `usual`.
    """
    seconds, characters = len(samples) / SAMPLE_RATE, _characters(text)
    if seconds < SHORTEST or not np.isfinite(samples).all() or np.abs(samples).max() < SILENCE:
        return "silent, too short, or no numbers"
    counted = characters - SHORT_WORD
    hurried = usual is not None and counted > 0 and _pace(seconds, counted) < usual / FACTOR
    slowest = SLOWEST if usual is None else min(SLOWEST, usual * FACTOR)
    if seconds < FASTEST * characters or hurried:
        return f"too short for its text ({seconds:.1f} s for {characters} characters)"
    if seconds > slowest * characters + MARGIN:
        return f"too long for its text ({seconds:.1f} s for {characters} characters)"
    if float(np.mean(np.abs(samples) > FULL_SCALE)) > CLIPPED:
        return "clipped"
    pause = _longest_pause(samples)
    return f"a pause of {pause:.1f} s" if pause > LONGEST_PAUSE else None


def misheard(said: Sequence[str], heard: str, limit: float) -> str | None:
    """What is wrong if a recogniser heard `heard`; None up to a character error rate `limit` against a form in `said`.

    `said` holds the written and the spoken form of one sentence: recognisers write numbers in either.
    """
    counts = [total(count_characters([form], [heard])) for form in said]
    rate = min((one.errors / one.words for one in counts if one.words), default=0.0)
    if rate <= limit:
        return None
    return f"character error rate {100 * rate:.0f} % (heard: {heard[:60]!r})"


def _characters(text: str) -> int:
    return sum(letter.isalnum() for letter in text)


def _pace(seconds: float, characters: int) -> float:
    """Seconds per character, less the margin; in a clip that is hardly longer than that half of it counts."""
    return max(seconds - USUAL_MARGIN, seconds / 2) / characters


def _longest_pause(samples: np.ndarray) -> float:
    """Seconds of the longest stretch inside the clip that is 40 dB quieter than its loudest frame."""
    count = len(samples) // FRAME
    energy = np.square(samples[: count * FRAME], dtype=np.float64).reshape(count, FRAME).mean(1)
    loud = np.flatnonzero(energy > energy.max(initial=0.0) * 1e-4)
    return float(np.diff(loud).max(initial=0)) * FRAME / SAMPLE_RATE
