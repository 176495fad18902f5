"""The studio: takes, voices, rooms, and what cannot be spoken."""

import numpy as np
import pytest

from asr_analogy.speech.rooms import ROOMS
from asr_analogy.tts.studio import Clip, Outtake, Studio, Take
from asr_analogy.tts.voice import EspeakCard

CARD = EspeakCard(backend="espeak", licence="", voices=["gmw/en+m1", "gmw/en+f2", "gmw/en+m3"])
TAKES = [Take("See § 4 of the lease."), Take("?!..."), Take("a" * 700), Take("See § 4 of the lease.", 1)]


def heard(studio: Studio, takes: list[Take]) -> list[bytes | str]:
    return [clip.samples.tobytes() if isinstance(clip, Clip) else clip.reason for clip in studio.speak(takes)]


def test_takes() -> None:
    clips = list(Studio("c", 1, CARD, 2).speak(TAKES))
    assert clips[1:3] == [Outtake("no letter or digit"), Outtake("longer than 600 characters (700)")]
    first, last = clips[0], clips[3]
    assert isinstance(first, Clip) and isinstance(last, Clip)
    assert first.tts_text == "See section four of the lease."
    assert CARD.voices.index(last.voice) == (CARD.voices.index(first.voice) + 1) % 3
    assert first.seed != last.seed


@pytest.mark.parametrize("room", [None, "meeting-room"])
def test_a_take_sounds_the_same_alone_and_among_others(room: str | None) -> None:
    studio = Studio("c", 1, CARD, 2, ROOMS[room] if room else None, TAKES)
    together = heard(studio, TAKES)
    assert heard(studio, TAKES[3:]) == together[3:]
    assert heard(Studio("c", 1, CARD, 1, ROOMS[room] if room else None, TAKES), TAKES) == together


def test_name_seed_and_room_change_the_sound() -> None:
    takes = TAKES[:1]
    sounds = [
        heard(studio, takes)[0]
        for studio in (
            Studio("c", 1, CARD, 1),
            Studio("d", 1, CARD, 1),
            Studio("c", 2, CARD, 1),
            Studio("c", 1, CARD, 1, ROOMS["office"]),
            Studio("c", 1, CARD, 1, ROOMS["meeting-room"], takes),
            Studio("c", 1, CARD, 1, ROOMS["meeting-room"]),
        )
    ]
    assert len(set(sounds)) == 6


def test_a_room_without_speakable_babble_falls_back_to_noise() -> None:
    studio = Studio("c", 1, CARD, 1, ROOMS["meeting-room"], [Take("...")])
    [clip] = studio.speak(TAKES[:1])
    assert isinstance(clip, Clip) and np.isfinite(clip.samples).all()
