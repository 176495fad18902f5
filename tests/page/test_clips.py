"""Which clips the page carries, and that they are what was recorded."""

import base64
import io
from pathlib import Path

import numpy as np
import soundfile

from asr_analogy.page.clips import data_uri, embedded, order
from asr_analogy.speech.audio import SAMPLE_RATE, encode
from asr_analogy.speech.corpus import Utterance, write_shard


def tone(seconds: float, pitch: float = 300.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * pitch * np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


def test_gains_losses_and_drawn_ones_take_turns_and_each_comes_once() -> None:
    gains = [0, 3, -2, 0, 1, -5]
    found = list(order(gains, seed=1))
    assert sorted(found) == list(range(6))
    assert found[:2] == [1, 5] and found == list(order(gains, seed=1))
    assert list(order([], seed=1)) == []
    assert list(order([0] * 50, seed=1)) != list(order([0] * 50, seed=2))


def test_a_clip_sounds_as_before() -> None:
    head, text = data_uri(tone(1.0)).split(",")
    assert head.startswith("data:audio/")
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(text)))
    assert rate == SAMPLE_RATE and abs(len(samples) / rate - 1.0) < 0.15
    assert abs(np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples) - 300) < 2


def test_the_budget_holds(tmp_path: Path) -> None:
    clips = [Utterance(f"u{i}", encode(tone(0.4 + i / 10)), "", "", "", 1.0, "", 0) for i in range(4)]
    write_shard(tmp_path / "00000.parquet", clips)
    ids = ["u3", "gone", "u0", "u1"]
    everything = embedded(tmp_path, ids, iter(range(4)), 10**6)
    assert set(everything) == {0, 2, 3}
    small = embedded(tmp_path, ids, iter(range(4)), len(everything[2]) + 10)
    assert list(small) == [2] and embedded(tmp_path / "none", ids, iter(range(4)), 10**6) == {}
