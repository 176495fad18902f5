"""Clips of any number and length through one function, with both families."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest

from asr_analogy.asr.family import Recogniser, ready
from asr_analogy.asr.hub import find
from asr_analogy.asr.listening import durations, joined, segments, transcribe
from asr_analogy.errors import RecipeError
from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.speech.corpus import Corpus
from asr_analogy.speech.pauses import spans

TEXTS = ("abba", "cab dad", "b", "a fee bead", "gag", "deaf ace", "face a")


@pytest.fixture(scope="module", params=["whisper-micro", "conformer-micro"])
def micro(request: pytest.FixtureRequest) -> Recogniser:
    return ready(find(f"data/foundations/{request.param}"), "en")


@pytest.fixture(params=models.FAMILIES)
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> Recogniser:
    return ready(models.tiny(request.param, tmp_path / "base"), "en")


def clips() -> list[np.ndarray]:
    return [models.clip(text, voice) for voice, text in enumerate(TEXTS)]


@pytest.mark.parametrize("beams", [1, 3])
def test_a_transcript_does_not_depend_on_its_company(micro: Recogniser, beams: int) -> None:
    """Neither on the size of the batch, nor on its longest clip, nor on the order."""
    alone = [micro.transcribe([clip], beams)[0] for clip in clips()]
    assert len(set(alone)) >= 5
    for batch in (1, 3, 32):
        assert transcribe(micro, clips(), batch, beams) == alone
        assert transcribe(micro, clips()[::-1], batch, beams) == alone[::-1]
    assert micro.transcribe([*clips(), models.clip("a bead and a face and a cab")], beams)[:-1] == alone


def test_beams_can_change_a_transcript(micro: Recogniser) -> None:
    assert transcribe(micro, clips(), 8, 5) != transcribe(micro, clips(), 8)


def watch(recogniser: Recogniser, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The lengths of what is decoded together, call by call."""
    seen: list[list[int]] = []
    real: Callable[..., list[str]] = recogniser.transcribe

    def transcribe(sounds: Any, *more: Any) -> list[str]:
        seen.append([len(sound) for sound in sounds])
        return real(sounds, *more)

    monkeypatch.setattr(recogniser, "transcribe", transcribe)
    return seen


def test_batches_hold_like_lengths_and_progress_is_told(tiny: Recogniser, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, told = watch(tiny, monkeypatch), list[int]()
    transcribe(tiny, clips(), 3, advance=lambda count, _: told.append(count))
    assert seen == [sorted(map(len, clips()))[start : start + 3] for start in (0, 3, 6)]
    assert told == [1] * len(TEXTS)


def test_utterances_are_read_when_they_are_heard(
    tiny: Recogniser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.write_corpus(tmp_path, "domain-test", models.utterances(TEXTS))
    corpus = Corpus(tmp_path / "prepared/domain-test")
    assert durations(corpus) == [row.duration for row in models.utterances(TEXTS)]
    monkeypatch.setattr(Corpus, "__iter__", None)  # by number only, never all of them
    found = transcribe(tiny, corpus, 2)
    assert (
        found
        == transcribe(tiny, models.utterances(TEXTS), 2)
        == transcribe(tiny, [u.samples() for u in models.utterances(TEXTS)], 3)
    )


def test_silence_and_scraps_are_no_words(tiny: Recogniser) -> None:
    still = [
        np.zeros(SAMPLE_RATE, dtype=np.float32),
        np.full(200, 0.5, dtype=np.float32),
        np.zeros(0, dtype=np.float32),
    ]
    assert transcribe(tiny, [*still, clips()[0]], 4) == ["", "", "", tiny.transcribe([clips()[0]])[0]]
    assert transcribe(tiny, [], 4) == []


def test_a_long_recording_is_the_sum_of_its_parts(micro: Recogniser, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32) * 0.002
    sounds = [part for clip in clips() * 4 for part in (clip, quiet)]
    whole = np.concatenate(sounds)
    assert len(whole) > 40 * SAMPLE_RATE
    seen = watch(micro, monkeypatch)
    ((number, found),) = segments(micro, [whole], [len(whole) / SAMPLE_RATE], 4)
    assert number == 0 and len(found) == 28 and max(map(len, seen)) == 4
    longest = micro.window or 30.0
    assert max(part.end - part.start for part in found) <= longest
    cut = [whole[round(part.start * SAMPLE_RATE) : round(part.end * SAMPLE_RATE)] for part in found]
    assert [part.text for part in found] == [micro.transcribe([clip])[0] for clip in cut]
    starts = np.cumsum([0, *map(len, sounds[:-1])])[::2] / SAMPLE_RATE
    assert [part.start for part in found] == pytest.approx(starts, abs=0.35)
    assert transcribe(micro, [whole, clips()[1]], 4) == [joined(found), micro.transcribe([clips()[1]])[0]]


def test_models_of_long_windows_hear_several_sentences_at_once(
    tiny: Recogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[tuple[float, bool]]()

    def cut(sound: np.ndarray, longest: float, together: bool) -> Any:
        seen.append((longest, together))
        return spans(sound, 1.0, together)

    monkeypatch.setattr("asr_analogy.asr.listening.spans", cut)
    window = tiny.window
    for own, heard in ((window, (window or 30.0, False)), (30.0, (30.0, True))):
        monkeypatch.setattr(tiny, "window", own)
        monkeypatch.setattr(tiny, "transcribe", lambda sounds, *_: ["x"] * len(sounds))
        transcribe(tiny, [np.tile(models.clip("cab dad"), 50)], 4)
        assert seen.pop() == heard


def test_a_prompt_is_refused_by_ctc(tmp_path: Path) -> None:
    recogniser = ready(models.conformer(tmp_path / "base"), "en")
    with pytest.raises(RecipeError, match="prompt: a CTC base takes no terms"):
        transcribe(recogniser, clips(), 4, prompt=["cab"])
