"""Where long recordings are cut."""

import numpy as np
import pytest

from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.speech.pauses import FRAME, MARGIN, spans

TEETH = 0.02
"""Seconds by which a found edge may differ."""


def speech(seconds: float, level: float = 0.1, seed: int = 0) -> np.ndarray:
    """Noise in syllables, four a second."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    syllables = 0.2 + np.square(np.sin(2 * np.pi * 2 * time))
    return (level * syllables * np.random.default_rng(seed).standard_normal(len(time))).astype(np.float32)


def noise(seconds: float, level: float = 0.001, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(int(seconds * SAMPLE_RATE))).astype(np.float32)


def seconds(samples: np.ndarray, longest: float = 10.0, together: bool = False) -> list[tuple[float, float]]:
    return [(start / SAMPLE_RATE, end / SAMPLE_RATE) for start, end in spans(samples, longest, together)]


@pytest.mark.parametrize("floor", [0.0, 1e-4, 0.005])
def test_speech_is_found_between_pauses(floor: float) -> None:
    quiet = [noise(length, floor, index) for index, length in enumerate((1.0, 0.8, 3.0))]
    samples = np.concatenate([quiet[0], speech(4), quiet[1], speech(3, 0.05), quiet[2]])
    (start, end), (second, last) = seconds(samples)
    edge = MARGIN * FRAME / SAMPLE_RATE
    found, wanted = [start, end, second, last], [1 - edge, 5 + edge, 5.8 - edge, 8.8 + edge]
    assert found == pytest.approx(wanted, abs=0.1)


def test_short_pauses_stand_inside_sentences() -> None:
    samples = np.concatenate([speech(3), noise(0.3), speech(3)])
    assert len(seconds(samples)) == 1


def test_the_threshold_follows_a_far_speaker() -> None:
    """40 dB below the first, hidden in the noise that the first does not care about."""
    samples = np.concatenate([speech(60, 0.3), noise(1, 1e-4), speech(60, 0.003), noise(1, 1e-4), speech(50, 0.003)])
    found = seconds(samples, 100.0)
    assert [round(start) for start, _ in found] == [0, 61, 122]


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    samples = speech(25)
    found = spans(samples, 10.0, False)
    assert found[0][0] == 0 and found[-1][1] == len(samples)
    assert all(left[1] == right[0] for left, right in zip(found, found[1:], strict=False)) and len(found) >= 3
    assert max(end - start for start, end in found) <= 10 * SAMPLE_RATE
    samples[130_000:131_000] = 0
    assert 130_000 <= spans(samples, 10.0, False)[0][1] <= 131_000


def test_noise_and_clicks_are_no_speech() -> None:
    samples = noise(30)
    samples[100_000:100_400] = 0.3
    assert len(seconds(samples, 40.0)) <= 1  # nothing stands out of even noise: all of it may be speech
    samples = np.concatenate([samples, speech(5)])
    assert [round(start) for start, _ in seconds(samples)] == [30]
    assert seconds(np.zeros(40 * SAMPLE_RATE, dtype=np.float32)) == []


def test_several_stretches_fill_a_window_together() -> None:
    samples = np.concatenate([part for index in range(6) for part in (speech(4, seed=index), noise(1))])
    alone, together = seconds(samples), seconds(samples, together=True)
    assert len(alone) == 6 and len(together) == 3
    assert [pair[0] for pair in together] == [pair[0] for pair in alone[::2]]
    assert [pair[1] for pair in together] == [pair[1] for pair in alone[1::2]]


def test_nothing_at_all() -> None:
    assert spans(np.zeros(0, dtype=np.float32), 10.0, True) == []
    assert len(spans(speech(0.3), 0.1, True)) >= 3
