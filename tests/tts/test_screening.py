"""Screening: spoiled clips are found, good ones pass."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from asr_analogy.speech.audio import SAMPLE_RATE, level
from asr_analogy.tts.screening import FACTOR, fault, misheard, pace
from asr_analogy.tts.studio import Clip, Outtake, Screen, Studio, Take
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


def test_a_clip_is_held_against_the_pace_of_its_voice() -> None:
    """Half a clip and a clip said twice are found by the pace alone, for a slow voice as for a fast one."""
    takes = [Take(text) for text in TEXTS]
    for words in (110, 220):
        card = EspeakCard(backend="espeak", licence="", voices=CARD.voices, rate=(words, words))
        studio = Studio("c", 1, card, 1, screen=Screen())
        studio.paces = studio.measure(takes)
        assert sorted(studio.paces) == sorted(CARD.voices)
        for clip in studio.speak(takes):
            assert isinstance(clip, Clip)
            if clip.tts_text == "No.":  # of one short word the time says little
                continue
            for spoil, reason in (
                (lambda sound: sound[: len(sound) // 2], "short"),
                (lambda sound: np.tile(sound, 2), "long"),
            ):
                [found] = studio.screened([replace(clip, samples=spoil(clip.samples))], takes[:1])
                assert isinstance(found, Outtake) and f"too {reason} for its text" in found.reason


def test_pace() -> None:
    clips = [
        (np.ones(round(SAMPLE_RATE * (0.3 + 0.05 * count)), np.float32), "a" * count + "!") for count in (10, 20, 40)
    ]
    assert pace(clips) == pytest.approx(0.05, rel=1e-3)
    assert pace(clips[:2]) is None and pace([(clips[0][0], "...")] * 3) is None
    text, usual = "a" * 40, 0.05
    for times, good in (
        (1 / FACTOR * 0.85, False),
        (1 / FACTOR * 0.95, True),
        (FACTOR * 1.1, True),
        (FACTOR * 1.2, False),
    ):
        noise = np.random.default_rng(1).normal(0, 0.1, round(SAMPLE_RATE * (0.3 + times * usual * 40)))
        assert (fault(noise.astype(np.float32), text, usual) is None) is good
