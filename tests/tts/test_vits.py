"""VITS: one utterance at a time from its own seed; what it cannot read is refused with a reason."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_voices

from asr_analogy.errors import MissingError, RecipeError
from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.tts.vits import VitsVoice
from asr_analogy.tts.voice import Line, VitsCard

LINES = [Line("the quick brown fox", 0, 1), Line("Jumps over", 0, 1), Line("the quick brown fox", 0, 2)]


def open_vits(model: Path, voices: Sequence[str] = ("eng",), **settings: Any) -> VitsVoice:
    content = {"backend": "vits", "licence": "", "model": str(model), "voices": list(voices), **settings}
    return VitsVoice(VitsCard.model_validate(content))


def heard(voice: VitsVoice, lines: Sequence[Line]) -> list[bytes | str]:
    return [clip if isinstance(clip, str) else clip.tobytes() for clip in voice.speak(lines)]


def test_a_clip_is_the_same_in_any_order(vits: Path) -> None:
    voice = open_vits(vits)
    clips = heard(voice, LINES)
    assert len(set(clips)) == 3 and all(isinstance(clip, bytes) for clip in clips)
    assert heard(voice, LINES[::-1])[::-1] == clips
    assert heard(open_vits(vits), LINES[1:2]) == clips[1:2]
    for clip in voice.speak(LINES):
        assert isinstance(clip, np.ndarray) and clip.dtype == np.float32
        assert 20 * np.log10(np.sqrt(np.mean(np.square(clip)))) == pytest.approx(-26, abs=0.2)


def test_rate_and_noise_of_the_card(vits: Path) -> None:
    [slow] = open_vits(vits, rate=(0.5, 0.5)).speak(LINES[:1])
    [fast] = open_vits(vits, rate=(2.0, 2.0)).speak(LINES[:1])
    assert len(slow) > 1.3 * len(fast)  # every letter lasts a frame at least
    still = open_vits(vits, rate=(1, 1), noise=0, noise_duration=0)
    assert heard(still, LINES[:1]) == heard(still, LINES[2:])  # nothing is drawn


def test_other_rates_are_resampled(tmp_path: Path, vits: Path) -> None:
    [low] = open_vits(tiny_voices.vits(tmp_path / "low", rate=8_000)).speak(LINES[:1])
    [usual] = open_vits(vits).speak(LINES[:1])
    assert len(low) / len(usual) == pytest.approx(2, rel=0.25)
    assert len(usual) > 0.3 * SAMPLE_RATE


def test_unreadable_text_gets_a_reason(vits: Path) -> None:
    voice = open_vits(vits)
    found = heard(voice, [Line(text, 0, 1) for text in ("in 11 days", "日本", "?!", "", "Yes, fine.")])
    assert found[:4] == ["characters the voice cannot read: 1", "characters the voice cannot read: 日本",
                         "no letter to read", "no letter to read"]  # fmt: skip
    assert isinstance(found[4], bytes)


def test_speakers(tmp_path: Path, vits: Path) -> None:
    model = tiny_voices.vits(tmp_path / "many", speakers=3)
    voice = open_vits(model, ["0", "2"])
    one, other = heard(voice, [Line("the dog", 0, 1), Line("the dog", 1, 1)])
    assert one != other and heard(open_vits(model, ["2"]), [Line("the dog", 0, 1)]) == [other]
    with pytest.raises(MissingError, match="voices: 3, x: .* has the speakers 0 to 2"):
        open_vits(model, ["3", "x"])
    with pytest.raises(RecipeError, match="has one voice; name one"):
        open_vits(vits, ["a", "b"])


def test_romanised_and_phoneme_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="romanised by uroman only.*is_uroman: false"):
        open_vits(tiny_voices.vits(tmp_path / "kor", is_uroman=True))
    with pytest.raises(MissingError, match="reads phonemes"):
        open_vits(tiny_voices.vits(tmp_path / "ipa", phonemize=True))
