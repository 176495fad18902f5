"""Reading sound files of every sort and state, and writing them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_analogy.errors import DataError
from asr_analogy.speech import audio


def tone(seconds: float = 1.0, rate: int = audio.SAMPLE_RATE, pitch: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * pitch * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def pitch_of(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * audio.SAMPLE_RATE / len(samples))


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_formats(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, tone(), audio.SAMPLE_RATE)
    samples = audio.read(path)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert len(samples) == pytest.approx(audio.SAMPLE_RATE, abs=1200)  # MP3 pads
    assert pitch_of(samples) == pytest.approx(440, abs=2)
    assert np.array_equal(audio.read(path.read_bytes()), samples)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_stereo_is_averaged(tmp_path: Path, ending: str) -> None:
    left, right = tone(pitch=400), tone(pitch=1000) / 2
    soundfile.write(tmp_path / f"a.{ending}", np.stack([left, right], axis=1), audio.SAMPLE_RATE)
    samples = audio.read(tmp_path / f"a.{ending}")
    assert np.abs(samples - (left + right) / 2).max() < (0.05 if ending == "ogg" else 1e-4)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_keep_duration_and_pitch(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.5, rate), rate)
    samples = audio.read(tmp_path / "a.wav")
    assert len(samples) == pytest.approx(1.5 * audio.SAMPLE_RATE, abs=2)
    assert pitch_of(samples) == pytest.approx(440, abs=1)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(DataError, match=f"{path}: no such audio file"):
            audio.read(path)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "aiff"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_truncated(tmp_path: Path, ending: str, share: float) -> None:
    path = tmp_path / f"cut.{ending}"
    noise = np.random.default_rng(1).standard_normal(32_000).astype(np.float32) / 10
    soundfile.write(path, noise, audio.SAMPLE_RATE)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=f"{path}: (truncated|not readable as audio)"):
        audio.read(path)


def test_wav_from_a_pipe_is_whole(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), audio.SAMPLE_RATE, subtype="PCM_16")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"  # what ffmpeg and sox write when they cannot seek back
    assert len(audio.read(bytes(data))) == audio.SAMPLE_RATE


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(16_000), "silent"),
        (np.full(16_000, 1e-4), "silent"),
        (np.where(np.arange(16_000) == 9, np.nan, 0.1), "NaN or infinite"),
        (np.where(np.arange(16_000) == 9, np.inf, 0.1), "NaN or infinite"),
        (tone(0.05), "0.05 s is too short"),
        (np.zeros(0), "no sound"),
    ],
)
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_unusable_samples(tmp_path: Path, samples: np.ndarray, message: str, rate: int) -> None:
    if message.startswith("0.05"):
        samples = tone(0.05, rate)
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    with pytest.raises(DataError, match=f"a.wav: .*{message}"):
        audio.read(tmp_path / "a.wav")


@pytest.mark.parametrize("data", [b"", b"RIFF", b"\x00" * 2000, b"hello " * 500])
def test_not_audio(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(DataError, match="a.wav: not readable as audio"):
        audio.read(tmp_path / "a.wav")
    with pytest.raises(DataError, match="row 7: not readable as audio"):
        audio.read(data, "row 7")


def test_encode_round_trip() -> None:
    samples = tone()
    data = audio.encode(samples)
    assert data[:4] == b"fLaC" and audio.encode(samples) == data
    assert np.abs(audio.read(data) - samples).max() < 1 / 32_000


def test_encode_scales_a_loud_clip_down() -> None:
    heard = audio.read(audio.encode(4 * tone()))
    assert np.abs(heard).max() == pytest.approx(0.999, abs=1e-3)
    assert np.corrcoef(heard, tone())[0, 1] > 0.99999  # clipping would bend it


def test_level() -> None:
    for factor in (0.001, 1.0):
        rms = np.sqrt(np.mean(np.square(audio.level(factor * tone()))))
        assert 20 * np.log10(rms) == pytest.approx(-26, abs=0.01)
    click = np.zeros(16_000, np.float32)
    click[5] = 0.1
    assert np.abs(audio.level(click)).max() == pytest.approx(0.99)
    assert not audio.level(np.zeros(10, np.float32)).any()


def test_trim() -> None:
    quiet = np.zeros(8_000, np.float32)
    trimmed = audio.trim(np.concatenate([quiet, tone(), quiet]))
    assert len(trimmed) == pytest.approx(audio.SAMPLE_RATE * 1.2, abs=20)
    assert len(audio.trim(tone())) == pytest.approx(audio.SAMPLE_RATE, abs=20)
    assert len(audio.trim(quiet)) == len(quiet)
