"""A recogniser as an ear: clips in, transcripts out, however many and however long they are.

Clips of like length are decoded together, shortest first. What is longer than the model hears at once is cut at its
pauses. No transcript depends on what it is decoded with, and no more than a batch, or one recording, is in memory.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_analogy.asr.cost import memory_errors
from asr_analogy.asr.family import Recogniser, ready
from asr_analogy.progress import Advance
from asr_analogy.speech.audio import SAMPLE_RATE, SHORTEST, SILENCE
from asr_analogy.speech.corpus import Corpus, Utterance
from asr_analogy.speech.pauses import Span, spans

LONGEST = 30.0
"""Seconds of the pieces in which a model without a window hears a long recording: its attention grows with their square."""

PASSAGES = 20.0
"""Seconds; a model with a window this long grew up on passages, and takes several sentences of a recording at once."""

Listen = Callable[[Sequence[np.ndarray]], list[str]]
"""Clips (float32 mono at SAMPLE_RATE) to transcripts, in order."""

Clips = Sequence[np.ndarray] | Sequence[Utterance]
"""Sound at SAMPLE_RATE, or utterances, whose sound is read when it is heard."""


@dataclass(frozen=True)
class Segment:
    """What was heard between two times of a recording, in seconds."""

    text: str
    start: float
    end: float


def listener(folder: Path, language: str, batch: int) -> Listen:
    """The recogniser in `folder`, ready to listen to `batch` clips of like length at a time.

    Raises what `open_recogniser` raises; the returned function raises ResourceError when memory runs out.
    """
    recogniser = ready(folder, language)

    def listen(clips: Sequence[np.ndarray]) -> list[str]:
        with memory_errors(f"try --set evaluate.batch={max(1, batch // 2)}"):
            return transcribe(recogniser, clips, batch)

    return listen


def transcribe(
    recogniser: Recogniser, clips: Clips, batch: int, beams: int = 1, prompt: Sequence[str] = (),
    advance: Advance | None = None,
) -> list[str]:  # fmt: skip
    """The transcripts of clips, in their order; `advance` is told of every clip that is done.

    Raises RecipeError where the model takes no `prompt`, DataError for an utterance that cannot be read.
    """
    texts = [""] * len(clips)
    for number, found in segments(recogniser, clips, durations(clips), batch, beams, prompt):
        texts[number] = joined(found)
        if advance is not None:
            advance(1, "")
    return texts


def joined(found: Sequence[Segment]) -> str:
    """The text of a recording from that of its segments."""
    return " ".join(segment.text for segment in found if segment.text)


def durations(clips: Clips) -> list[float]:
    """Seconds of every clip, without reading any sound."""
    rows = clips.rows if isinstance(clips, Corpus) else clips
    return [row.duration if isinstance(row, Utterance) else len(row) / SAMPLE_RATE for row in rows]


def segments(
    recogniser: Recogniser, clips: Clips, seconds: Sequence[float], batch: int, beams: int = 1, prompt: Sequence[str] = ()
) -> Iterator[tuple[int, list[Segment]]]:  # fmt: skip
    """The segments of every clip with its number, shortest first; silence has none. `seconds` need not be exact."""
    longest = recogniser.window or LONGEST
    order = sorted(range(len(seconds)), key=lambda number: seconds[number])
    fitting = [number for number in order if seconds[number] <= longest]
    groups = [fitting[start : start + batch] for start in range(0, len(fitting), batch)]
    for group in [*groups, *([number] for number in order[len(fitting) :])]:
        sounds = [_sound(clips[number]) for number in group]
        yield from zip(group, _heard(recogniser, sounds, batch, beams, prompt), strict=True)


def _sound(clip: np.ndarray | Utterance) -> np.ndarray:
    return clip.samples() if isinstance(clip, Utterance) else clip


def _heard(
    recogniser: Recogniser, sounds: Sequence[np.ndarray], batch: int, beams: int, prompt: Sequence[str]
) -> list[list[Segment]]:
    """The segments of every sound, decoded from short to long."""
    parts = [(number, *span) for number, sound in enumerate(sounds) for span in _audible(sound, recogniser.window)]
    order = sorted(range(len(parts)), key=lambda place: parts[place][2] - parts[place][1])
    texts = [""] * len(parts)
    for first in range(0, len(order), batch):
        chosen = order[first : first + batch]
        clips = [sounds[number][start:end] for number, start, end in (parts[place] for place in chosen)]
        for place, text in zip(chosen, recogniser.transcribe(clips, beams, prompt), strict=True):
            texts[place] = text
    found: list[list[Segment]] = [[] for _ in sounds]
    for (number, start, end), text in zip(parts, texts, strict=True):
        found[number].append(Segment(text, start / SAMPLE_RATE, end / SAMPLE_RATE))
    return found


def _audible(sound: np.ndarray, window: float | None) -> list[Span]:
    """What is to be heard of a clip: all of it if it fits, else its speech; nothing of silence."""
    longest = window or LONGEST
    if len(sound) < SHORTEST * SAMPLE_RATE or max(sound.max(), -sound.min()) < SILENCE:
        return []
    if len(sound) <= longest * SAMPLE_RATE:
        return [(0, len(sound))]
    return spans(sound, longest, together=window is not None and window >= PASSAGES)
