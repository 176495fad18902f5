"""Measurements on tones, harmonics and noise of which the truth is known."""

import math

import numpy as np
import pytest

from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.speech.audit import (
    CEILING,
    MEASURES,
    distance,
    level,
    measure,
    medians,
    mistakes,
    pause_share,
    pitch,
    rate,
    snr,
    spread,
)
from asr_analogy.speech.histogram import BINS, edges, shares, svg

TIME = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE


def voice(hertz: float, first: int = 1) -> np.ndarray:
    """Two seconds of a buzz: harmonics from the `first` on that fall by 6 dB an octave, at about -17 dBFS."""
    numbers = range(first, int(7000 / hertz))
    return 0.2 * np.sum([np.sin(2 * np.pi * hertz * number * TIME + number) / number for number in numbers], axis=0)


def noise(count: int, power: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count) * math.sqrt(power)


@pytest.mark.parametrize("hertz", [65, 80, 123.4, 220, 300, 390])
def test_pitch_of_tones_and_of_noisy_voices(hertz: float) -> None:
    tone, buzz = 0.3 * np.sin(2 * np.pi * hertz * TIME), voice(hertz)
    assert pitch(tone.astype(np.float32)) == pytest.approx(hertz, rel=2e-3)
    noisy = buzz + noise(len(buzz), np.mean(buzz**2) / 10)
    assert pitch(noisy.astype(np.float32)) == pytest.approx(hertz, rel=5e-3)


def test_pitch_without_the_fundamental_and_without_any_pitch() -> None:
    assert pitch(voice(150, first=3)) == pytest.approx(150, rel=2e-3)
    half = np.concatenate([voice(110), noise(len(TIME), 0.01), np.zeros(len(TIME))])
    assert pitch(half) == pytest.approx(110, rel=5e-3)
    assert math.isnan(pitch(noise(len(TIME), 0.01)))
    assert math.isnan(pitch(np.zeros(len(TIME), dtype=np.float32)))
    assert math.isnan(pitch(voice(150)[:100]))


@pytest.mark.parametrize("decibels", [5, 10, 20, 30, 40])
def test_snr_and_pauses_of_a_voice_in_white_noise(decibels: float) -> None:
    speech = voice(150)
    power = float(np.mean(speech**2))
    speech[: SAMPLE_RATE // 2] = 0
    speech[-SAMPLE_RATE // 4 :] = 0
    noisy = speech + noise(len(speech), power / 10 ** (decibels / 10))
    assert snr(noisy) == pytest.approx(decibels, abs=1.5)
    if decibels >= 20:
        assert pause_share(noisy) == pytest.approx(37.5, abs=2)


def test_snr_at_its_limits() -> None:
    speech = voice(150)
    speech[: SAMPLE_RATE // 2] = 0
    assert snr(speech) == CEILING
    assert snr(noise(len(TIME), 0.01)) < 0
    assert math.isnan(snr(speech[:1000]))


def test_short_gaps_are_no_pauses() -> None:
    speech = voice(150)
    assert pause_share(speech) == 0
    speech[SAMPLE_RATE : SAMPLE_RATE + SAMPLE_RATE // 12] = 0
    assert pause_share(speech) == 0
    speech[SAMPLE_RATE : SAMPLE_RATE + SAMPLE_RATE // 5] = 0
    assert pause_share(speech) == 10


def test_rate_level_and_duration() -> None:
    sine = np.sin(2 * np.pi * 200 * TIME).astype(np.float32)
    assert level(sine) == pytest.approx(-3.01, abs=0.01) and level(sine / 10) == pytest.approx(-23.01, abs=0.01)
    assert level(np.zeros(100)) == -100
    assert rate(sine, "So it's 12!") == 3.5
    found = measure(sine, "So it's 12!")
    assert (
        found.keys() == MEASURES.keys() and found["duration"] == 2.0 and found["pitch"] == pytest.approx(200, rel=1e-3)
    )
    assert medians([found, {**found, "pitch": math.nan}])["pitch"] == pytest.approx(200, rel=1e-3)
    assert medians([{**found, "pitch": math.nan}])["pitch"] is None


def test_distance_of_distributions() -> None:
    assert distance([1, 2, 3, 4], [1, 2, 3, 4]) == 0
    assert distance([1, 2], [3, 4, math.nan]) == 1
    assert distance([1, 2, 3, 4], [3, 4, 5, 6]) == 0.5
    assert distance([1, 1, 1, 2], [1, 2, 2, 2]) == 0.5
    assert math.isnan(distance([math.nan], [1.0]))


def test_mistakes_count_against_the_nearer_form() -> None:
    assert mistakes("Pay $5 now.", "en", "pay five dollars now").errors == 0
    assert mistakes("abcd", "en", "abcx").errors == 1
    assert mistakes("abcd", "en", "").rate == 100


def test_spread_is_even_and_complete() -> None:
    assert spread(3, 5) == [0, 1, 2] and spread(10, 5) == [0, 2, 4, 6, 8] and len(set(spread(999, 50))) == 50


def test_histogram_counts_every_value_once() -> None:
    groups = {"real <a>": [float(number) for number in range(1000)], "other": [5.0, math.nan, 2000.0]}
    borders = edges(groups)
    assert len(borders) == BINS + 1 and borders == sorted(borders)
    found = {name: shares(values, borders) for name, values in groups.items()}
    assert all(sum(values) == pytest.approx(100, abs=0.1) for values in found.values())
    assert found["other"][-1] == 50
    picture = svg("rate", "1/s", borders, found)
    assert picture.startswith("<svg ") and "real &lt;a&gt;" in picture and picture.count('<path d="M46.0') == 2
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert len(edges({"none": [math.nan]})) == BINS + 1 and len(edges({"same": [3.0, 3.0]})) == BINS + 1
