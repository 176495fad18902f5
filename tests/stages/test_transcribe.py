"""transcribe: sound files of every sort and state through a shipped model."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import models
import numpy as np
import pytest
import soundfile

from asr_analogy.asr.family import ready
from asr_analogy.errors import MissingError, RecipeError, ResourceError
from asr_analogy.recipe import shipped
from asr_analogy.speech import audio
from asr_analogy.stages.transcribe import Heard, transcribe, write
from asr_analogy.text.scoring import count_words, total

MODEL = shipped("data/foundations/whisper-micro")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: two clips, one of them deep inside, silence, a long recording, and files that are no sound."""
    root = tmp_path_factory.mktemp("sounds")
    (root / "deep/er").mkdir(parents=True)
    soundfile.write(root / "a.wav", models.clip("cab deed face"), 16_000)
    soundfile.write(root / "deep/er/b.FLAC", models.clip("badge a fee", 2), 16_000)
    soundfile.write(root / "silence.wav", np.zeros(32_000), 16_000)
    quiet = np.zeros(16_000, dtype=np.float32)
    long = [part for text in ("cab dad", "a fee bead", "deaf ace") * 3 for part in (models.clip(text), quiet)]
    soundfile.write(root / "long.ogg", np.concatenate(long), 16_000)
    (root / "notes.md").write_text("no sound")
    return root


def text_of(path: Path) -> str:
    return ready(MODEL, "en").transcribe([audio.read(path)])[0]


def test_folders_manifests_and_files_in_order(sounds: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "list.jsonl"
    lines = [{"audio": str(sounds / "a.wav")}, {"audio_filepath": os.path.relpath(sounds / "silence.wav", tmp_path)}]
    manifest.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    found = list(transcribe(MODEL, [sounds / "deep", manifest, sounds, str(sounds / "a.wav")], batch=2))
    names = ["b.FLAC", "a.wav", "silence.wav", "a.wav", "b.FLAC", "long.ogg", "silence.wav", "a.wav"]
    assert [Path(heard.file).name for heard in found] == names and not any(heard.error for heard in found)
    assert found[1].text == found[3].text == found[7].text == text_of(sounds / "a.wav") != ""
    assert found[0].text == text_of(sounds / "deep/er/b.FLAC") and found[2].text == ""
    assert found[2].seconds == 2.0 and found[2].segments == []
    long = found[5]
    assert len(long.segments) == 9 and long.text == " ".join(part.text for part in long.segments)
    assert all(0 <= part.start < part.end <= long.seconds for part in long.segments)


def test_files_that_cannot_be_read_do_not_stop_the_others(sounds: Path, tmp_path: Path) -> None:
    whole = (sounds / "a.wav").read_bytes()
    broken = {
        "empty.wav": b"",
        "half.wav": whole[: len(whole) // 2],
        "text.wav": b"hello " * 99,
        "bad.jsonl": b'{"a": 1}',
    }
    for name, data in broken.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "nothing").mkdir()
    given = [*(tmp_path / name for name in broken), tmp_path / "nothing", tmp_path / "gone.wav", sounds / "a.wav"]
    found = list(transcribe(MODEL, given))
    for heard, words in zip(
        found,
        ("not readable", "truncated", "not readable", 'no "audio"', "no sound file in this", "no such audio"),
        strict=False,
    ):
        assert (
            heard.error
            and words in heard.error
            and heard.file in heard.error
            and heard.row().keys() == {"file", "error"}
        )
    assert found[-1].error is None and found[-1].text == text_of(sounds / "a.wav")


def test_a_folder_that_may_not_be_read(sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)  # a superuser may read everything
    found = list(transcribe(MODEL, [sounds / "deep", sounds / "a.wav"]))
    assert "deep: cannot be read (Permission denied)" in str(found[0].error) and found[-1].text


def test_telephone_stereo(tmp_path: Path) -> None:
    samples = audio.soxr.resample(models.clip("cab deed face"), 16_000, 8_000)
    soundfile.write(tmp_path / "a.wav", np.stack([samples, samples], axis=1), 8_000)
    (heard,) = transcribe(MODEL, [tmp_path / "a.wav"])
    assert heard.error is None and heard.text and heard.seconds == pytest.approx(1.3, abs=0.01)


def test_of_a_ctc_model_and_with_beams(sounds: Path) -> None:
    (heard,) = transcribe(shipped("data/foundations/conformer-micro"), [sounds / "a.wav"], beams=3)
    assert heard.error is None and isinstance(heard.text, str)


def test_mistakes(sounds: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no sound file given"):
        list(transcribe(MODEL, []))
    with pytest.raises(MissingError, match="no such folder"):
        list(transcribe("./nowhere", [sounds / "a.wav"]))
    with pytest.raises(RecipeError, match="not a language of"):
        list(transcribe(MODEL, [sounds / "a.wav"], language="de"))
    with pytest.raises(RecipeError, match="choose one of these endings"):
        write(tmp_path / "a.docx", [])
    with pytest.raises(RecipeError, match=r"\.srt holds one recording and 2 were given"):
        write(tmp_path / "a.srt", [Heard("a"), Heard("b")])
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="a file stands where a folder is needed"):
        write(tmp_path / "file/a.jsonl", [])


def call(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asr_analogy", "transcribe", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def test_the_command(sounds: Path, tmp_path: Path) -> None:
    done = call(MODEL, sounds / "a.wav", tmp_path / "gone.wav", sounds / "silence.wav", code=3)
    expected = f"{sounds / 'a.wav'}\t{text_of(sounds / 'a.wav')}\n{sounds / 'silence.wav'}\t\n"
    assert done.stdout == expected
    assert done.stderr.splitlines()[-1].startswith("asr-analogy: 1 of 3 files")
    assert f"{tmp_path / 'gone.wav'}: no such audio file" in done.stderr
    rows = [json.loads(line) for line in call(MODEL, sounds, "--json", "--beams", 2, "--batch", 3).stdout.splitlines()]
    assert [len(row["segments"]) for row in rows] == [1, 1, 9, 0]
    assert "choose one of these endings" in call(MODEL, sounds, "--out", tmp_path / "a.pdf", code=2).stderr


def test_files_of_transcripts(sounds: Path, tmp_path: Path) -> None:
    long = sounds / "long.ogg"
    (heard,) = transcribe(MODEL, [long])
    texts = [part.text for part in heard.segments if part.text]
    assert call(MODEL, long, "--out", tmp_path / "sub/a.txt").stdout == ""
    assert (tmp_path / "sub/a.txt").read_text().splitlines() == texts
    write(tmp_path / "a.srt", [heard])
    write(tmp_path / "a.vtt", [heard])
    write(tmp_path / "a.jsonl", [heard, heard])
    assert [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()] == [heard.row()] * 2
    blocks = (tmp_path / "a.srt").read_text().split("\n\n")
    assert blocks[0].splitlines()[0] == "1" and [block.splitlines()[2] for block in blocks] == texts
    assert re.fullmatch(r"00:00:0\d,\d{3} --> 00:00:0\d,\d{3}", blocks[0].splitlines()[1])
    assert (tmp_path / "a.vtt").read_text().startswith("WEBVTT\n\n00:00:0")


def spoken(texts: list[str]) -> list[np.ndarray]:
    """The texts in two voices of the embedded speaker."""
    from asr_analogy.tts.espeak import RATE, Request, Workers

    voices = ("gmw/en-US", "gmw/en-GB-x-rp+f5")
    with Workers(1) as workers:
        found = list(workers.speak([Request(text, voices[index % 2], 150) for index, text in enumerate(texts)]))
    assert not any(status for status, _ in found)
    return [audio.resample(np.frombuffer(pcm, np.int16) / np.float32(32768), RATE) for _, pcm in found]


@pytest.mark.parametrize("name", ["whisper-micro", "conformer-micro"])
def test_a_long_recording_has_the_words_of_its_clips(name: str, tmp_path: Path) -> None:
    """Read sentences with pauses between, in one recording and clip by clip: at most 3 % of the words differ."""
    texts = shipped("data/text/general.test.txt").read_text().splitlines()[:24]
    clips = [audio.trim(clip) for clip in spoken(texts)]
    random, paths, whole = np.random.default_rng(0), [], list[np.ndarray]()
    for number, clip in enumerate(clips):
        paths.append(tmp_path / f"{number:02d}.wav")
        soundfile.write(paths[-1], clip, 16_000)
        pause = random.uniform(0.7, 2.0)
        whole += [clip, (0.0005 * random.standard_normal(int(16_000 * pause))).astype(np.float32)]
    soundfile.write(tmp_path / "whole.wav", np.concatenate(whole), 16_000)
    folder = shipped(f"data/foundations/{name}")
    *alone, long = transcribe(folder, [*paths, tmp_path / "whole.wav"])
    assert long.seconds > 60 and 24 <= len(long.segments) <= 40
    counts = total(count_words([" ".join(heard.text for heard in alone)], [long.text]))
    assert counts.words > 100 and counts.rate <= 3.0
