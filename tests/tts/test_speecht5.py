"""SpeechT5: seeds, splits below its positions, no digit reaches it, and where speaker vectors come from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile
import tiny_voices

from asr_analogy.errors import DataError, MissingError
from asr_analogy.tts.speecht5 import SpeechT5Voice, speaker_vectors
from asr_analogy.tts.voice import Line, SpeechT5Card

TEXTS = [
    "the quick brown fox",
    "jumps over the dog",
    "the quick brown fox jumps over the lazy hounds. they say nothing of it",
]
LINES = [Line(text, number % 2, 7 + number) for number, text in enumerate(TEXTS * 5)]


@pytest.fixture
def card(speecht5: Path, hifigan: Path) -> dict[str, Any]:
    content = {"backend": "speecht5", "licence": "", "model": str(speecht5), "vocoder": str(hifigan)}
    return {**content, "speakers": "random", "voices": ["one", "two"]}


def open_speecht5(card: dict[str, Any], **settings: Any) -> SpeechT5Voice:
    return SpeechT5Voice(SpeechT5Card.model_validate({**card, **settings}))


def heard(voice: SpeechT5Voice, lines: Sequence[Line]) -> list[bytes | str]:
    return [clip if isinstance(clip, str) else clip.tobytes() for clip in voice.speak(lines)]


def test_a_clip_is_the_same_in_any_order(card: dict[str, Any]) -> None:
    voice = open_speecht5(card)
    clips = heard(voice, LINES)
    spoken = [clip for clip in clips if isinstance(clip, bytes)]
    assert len(spoken) >= 5 and len(set(spoken)) == len(spoken)
    assert heard(voice, LINES[::-1])[::-1] == clips
    assert heard(open_speecht5(card), LINES[4:5]) == clips[4:5]
    for clip in voice.speak(LINES):
        if isinstance(clip, np.ndarray):
            assert clip.dtype == np.float32 and 20 * np.log10(np.sqrt(np.mean(np.square(clip)))) <= -25.9


def test_voice_and_seed_change_the_clip(card: dict[str, Any]) -> None:
    voice = open_speecht5(card)
    lines = [Line(TEXTS[1], number, seed) for seed in range(12) for number in range(2)]
    clips = heard(voice, lines)
    spoken = [clip for clip in clips if isinstance(clip, bytes)]
    assert len(spoken) >= 4 and len(set(spoken)) == len(spoken)


def test_long_text_is_split_below_the_positions(card: dict[str, Any]) -> None:
    voice = open_speecht5(card)
    assert len(voice.tokenizer(TEXTS[2])["input_ids"]) > 60  # more than the model has positions
    assert voice._parts(TEXTS[2]) == ["the quick brown fox jumps over the lazy hounds.", "they say nothing of it"]
    heard(voice, [Line(TEXTS[2] + " " + TEXTS[2], 0, 1)])  # fails in the encoder if the parts were too long
    short = open_speecht5(card, tokens=20)
    assert short.longest == 20 and voice.longest == 60
    assert all(len(short.tokenizer(part)["input_ids"]) <= 20 for part in short._parts(TEXTS[2]))


def test_what_it_cannot_read_gets_a_reason(card: dict[str, Any]) -> None:
    voice = open_speecht5(card)
    found = heard(voice, [Line(text, 0, 1) for text in ("on 12 May", "çela va", "?!", "")])
    assert found == ["digits in the spoken form, which the voice would skip: 12", "characters the voice cannot read: ç",
                     "no letter to read", "no letter to read"]  # fmt: skip
    said = [heard(voice, [Line(text, 0, seed)]) for seed in range(6) for text in ("the dog (no)", "the dog no")]
    assert said[::2] == said[1::2]  # marks it has no sign for are spaces


def test_speech_that_does_not_end_is_refused(card: dict[str, Any], tmp_path: Path) -> None:
    model = tiny_voices.speecht5(tmp_path / "endless", stop=-500.0)
    voice = open_speecht5(card, model=str(model))
    assert (
        heard(voice, LINES[:2]) == ["the voice did not come to an end"] * 2
    )  # and no more frames than it has positions


def test_the_vocoders_rate_is_resampled(card: dict[str, Any], tmp_path: Path) -> None:
    low = open_speecht5(card, vocoder=str(tiny_voices.hifigan(tmp_path / "low", rate=8_000)))
    pairs = zip(low.speak(LINES), open_speecht5(card).speak(LINES), strict=True)
    ratios = [len(a) / len(b) for a, b in pairs if isinstance(a, np.ndarray) and isinstance(b, np.ndarray)]
    assert len(ratios) >= 2 and max(ratios) <= 2.01 and np.median(ratios) > 1.5


def test_vectors_by_row_and_by_name(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((3, 12)).astype(np.float32)
    names = ["bdl_a1", "clb_a2", "slt_b3"]
    np.savez(tmp_path / "names.npz", **dict(zip(names, vectors, strict=True)))
    np.savez(tmp_path / "columns.npz", xvector=vectors, filename=np.array(names))
    np.save(tmp_path / "rows.npy", vectors)
    table = pyarrow.table({"filename": names, "xvector": list(vectors)})
    pyarrow.parquet.write_table(table, tmp_path / "table.parquet")
    for file, voices in [("names.npz", names[1:]), ("columns.npz", names[1:]), ("columns.npz", ["1", "2"]),
                         ("rows.npy", ["1", "2"]), ("table.parquet", ["1", "slt_b3"])]:  # fmt: skip
        assert np.array_equal(speaker_vectors(str(tmp_path / file), voices, 12), vectors[1:])
    with pytest.raises(MissingError, match=r"voices: nobody: not in .*table.parquet, which has bdl_a1"):
        speaker_vectors(str(tmp_path / "table.parquet"), ["nobody"], 12)
    with pytest.raises(DataError, match=r"speaker vectors of 12 numbers; the model takes 512"):
        speaker_vectors(str(tmp_path / "rows.npy"), ["0"], 512)
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object))
    with pytest.raises(DataError, match="no speaker vectors in it"):
        speaker_vectors(str(tmp_path / "object.npy"), ["0"], 12)


def test_random_vectors_are_directions_of_their_names() -> None:
    both = speaker_vectors("random", ["one", "two"], 512)
    assert np.allclose(np.linalg.norm(both, axis=1), 1) and abs(both[0] @ both[1]) < 0.2
    assert np.array_equal(speaker_vectors("random", ["two"], 512)[0], both[1])


def test_missing_vectors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no such file"):
        speaker_vectors(str(tmp_path / "none.npz"), ["0"], 12)
    with pytest.raises(MissingError, match="type: hf download --repo-type dataset nobody/vectors"):
        speaker_vectors("nobody/vectors", ["0"], 12)
    soundfile.write(tmp_path / "ann.wav", np.sin(np.arange(16_000) / 9), 16_000)
    with pytest.raises(MissingError, match="voices: bob: not in .*, which has ann"):
        speaker_vectors(str(tmp_path), ["bob"], 12)


def test_recordings_need_speechbrain(tmp_path: Path) -> None:
    try:
        import speechbrain  # noqa: F401
    except ImportError:
        soundfile.write(tmp_path / "ann.wav", np.sin(np.arange(16_000) / 9), 16_000)
        with pytest.raises(MissingError, match="pip install speechbrain"):
            speaker_vectors(str(tmp_path), ["ann"], 12)
    else:
        pytest.skip("speechbrain is installed")
