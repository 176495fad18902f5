"""Screening: spoiled clips are found, good ones pass."""

from collections.abc import Callable

import numpy as np
import pytest

from asr_analogy.speech.audio import SAMPLE_RATE, level
from asr_analogy.tts.screening import fault, misheard
from asr_analogy.tts.studio import Clip, Studio, Take
from asr_analogy.tts.voice import EspeakCard

TEXTS = [
    "The tenant shall pay the rent on the first day of each month.",
    "No.",
    "The committee adjourned at half past four without a vote.",
    "Revenue rose by four point two percent against the year before.",
]
CARD = EspeakCard(backend="espeak", licence="", voices=["gmw/en+m1", "gmw/en-US+f2"], rate=(110, 200))


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    made = list(Studio("c", 1, CARD, 1).speak([Take(text) for text in TEXTS]))
    assert all(isinstance(clip, Clip) for clip in made)
    return [clip for clip in made if isinstance(clip, Clip)]


def test_good_clips_pass(clips: list[Clip]) -> None:
    assert [fault(clip.samples, clip.tts_text) for clip in clips] == [None] * len(TEXTS)


SPOILED: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
    ("too short for its text", lambda clip: clip[: len(clip) // 3]),
    ("too long for its text", lambda clip: np.tile(clip, 3)),
    ("silent", np.zeros_like),
    ("silent", lambda clip: clip[:100]),
    ("silent", lambda clip: np.where(np.arange(len(clip)) == 9, np.nan, clip)),
    ("clipped", lambda clip: np.clip(clip * 40, -1, 1)),
    ("a pause of", lambda clip: np.insert(clip, len(clip) // 2, np.zeros(3 * SAMPLE_RATE, np.float32))),
]


@pytest.mark.parametrize(("reason", "spoil"), SPOILED)
def test_spoiled_clips_are_found(clips: list[Clip], reason: str, spoil: Callable[[np.ndarray], np.ndarray]) -> None:
    found = fault(spoil(clips[0].samples).astype(np.float32), clips[0].tts_text)
    assert found is not None and found.startswith(reason)


def test_misheard() -> None:
    written, said = "Section 4 applies.", "Section four applies."
    assert misheard((written, said), "section four applies", 0.0) is None
    assert misheard((written, said), "section for applies", 0.1) is None
    assert "character error rate" in str(misheard((written, said), "the court adjourned", 0.5))
    assert "100 %" in str(misheard((written, said), "", 0.5))


def test_level_does_not_matter(clips: list[Clip]) -> None:
    assert fault(level(clips[0].samples, -45.0), clips[0].tts_text) is None
