"""Long text in parts that a neural voice can hold, split where a reader would breathe, and the parts joined again."""

import re
from collections.abc import Callable, Container, Sequence

import numpy as np

from asr_analogy.speech import audio

PAUSE = 0.15
"""Seconds of silence between two parts, beside what the voice itself leaves."""

_BREAKS = (
    re.compile(r"(?<=[;:!?])\s+|(?<=[a-z]{5}[.])\s+|(?<=[a-z]{5}[.][\"')])\s+|(?<=[。！？；：])|\s+(?=[-–—]\s)"),
    re.compile(r"(?<=,)\s+|(?<=[)\]])\s+|(?<=[，、])|\s+(?=[(\[])"),
    re.compile(r"\s+(?=(?:and|or|but|which|that|who|where|when|if|because|unless|provided|to|of|in|for|by|with)\s)"),
    re.compile(r"\s+"),
)
"""Ends of clauses, strongest first. A full stop ends one after a word only, not after an abbreviation."""


def split(text: str, longest: int, size: Callable[[str], int] = len) -> list[str]:
    """`text` in parts of at most `longest` by `size`, cut at the strongest clause end nearest to their middle.

    A single word that is too long is cut anywhere. Every word of the text is in one of the parts, in order.
    """
    text = text.strip()
    if size(text) <= longest or len(text) < 2:
        return [text]
    left, right = _halves(text)
    return split(left, longest, size) + split(right, longest, size)


def _halves(text: str) -> tuple[str, str]:
    middle = len(text) / 2
    for breaks in _BREAKS:
        places = [(found.start(), found.end()) for found in breaks.finditer(text)]
        near = [place for place in places if len(text) / 4 < place[0] < len(text) * 3 / 4]
        if near:
            start, end = min(near, key=lambda place: abs(place[0] - middle))
            return text[:start], text[end:]
    return text[: len(text) // 2], text[len(text) // 2 :]


def join(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Finished parts (float32 mono at SAMPLE_RATE) one after the other, PAUSE between them, at one level."""
    if len(parts) == 1:
        return parts[0]
    pause = np.zeros(int(PAUSE * audio.SAMPLE_RATE), np.float32)
    pieces = [piece for part in parts for piece in (pause, part)][1:]
    return audio.level(np.concatenate(pieces))


def unreadable(text: str, known: Container[str]) -> str:
    """The letters and digits of `text` that a vocabulary of characters lacks: a voice would skip them in silence."""
    return "".join(sorted({character for character in text if character.isalnum() and character not in known}))
