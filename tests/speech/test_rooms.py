"""Simulated rooms: deterministic, as loud and as noisy as they say."""

from dataclasses import replace

import numpy as np
import pytest

from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.speech.rooms import ROOMS, Room

DRY = Room(reverberation=(0.08, 0.08), direct=(90, 90), low=(1, 1), high=(30_000, 30_000), noise=(90, 90))
"""A room that changes nothing, to change one thing at a time."""


def speech(seed: int = 1, seconds: float = 2.0) -> np.ndarray:
    """Noise that comes and goes like syllables."""
    random = np.random.default_rng(seed)
    count = int(seconds * SAMPLE_RATE)
    envelope = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * np.arange(count) / SAMPLE_RATE)
    return (0.1 * envelope * random.standard_normal(count)).astype(np.float32)


def power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))


def disturbance(room: Room, others: list[np.ndarray] | None = None) -> float:
    """Signal-to-disturbance ratio in dB of what the room records, by least squares against the clean speech."""
    clean = speech().astype(np.float64)
    heard = room.record(speech(), np.random.default_rng(3), others or []).astype(np.float64)
    kept = clean * (clean @ heard) / (clean @ clean)
    return 10 * np.log10(power(kept) / power(heard - kept))


@pytest.mark.parametrize("name", ROOMS)
def test_recording(name: str) -> None:
    clip, others = speech(), [speech(2), speech(3, 0.7)]
    first = ROOMS[name].record(clip, np.random.default_rng(7), others)
    assert np.array_equal(first, ROOMS[name].record(clip, np.random.default_rng(7), others))
    assert not np.allclose(first, ROOMS[name].record(clip, np.random.default_rng(8), others))
    assert first.shape == clip.shape and first.dtype == np.float32 and np.isfinite(first).all()
    assert 10 * np.log10(power(first)) == pytest.approx(-26, abs=0.1)
    assert np.array_equal(clip, speech())


@pytest.mark.parametrize("ratio", [0, 10, 20])
def test_noise_reaches_its_ratio(ratio: float) -> None:
    assert disturbance(replace(DRY, noise=(ratio, ratio))) == pytest.approx(ratio, abs=0.5)


@pytest.mark.parametrize("ratio", [0, 12])
def test_babble_reaches_its_ratio_and_is_left_out_without_others(ratio: float) -> None:
    room = replace(DRY, babble=(ratio, ratio))
    assert disturbance(room, [speech(5), speech(6, 0.5), speech(7, 5)]) == pytest.approx(ratio, abs=0.7)
    assert disturbance(room) > 40
    assert disturbance(DRY, [speech(5)]) == disturbance(DRY) == disturbance(room)


def test_reverberation_reaches_its_ratio() -> None:
    for ratio in (0, 10):
        room = replace(DRY, reverberation=(0.5, 0.5), direct=(ratio, ratio))
        assert disturbance(room) == pytest.approx(ratio, abs=1.5)


def test_microphone_band() -> None:
    spectrum = np.square(np.abs(np.fft.rfft(replace(DRY, low=(300, 300), high=(3_000, 3_000)).record(
        speech(), np.random.default_rng(1)
    ))))  # fmt: skip
    frequency = np.fft.rfftfreq(len(speech()), 1 / SAMPLE_RATE)

    def level(low: float, high: float) -> float:
        return 10 * np.log10(spectrum[(frequency >= low) & (frequency < high)].mean())

    inside = level(600, 2_000)
    assert level(20, 150) < inside - 20 and level(6_000, 7_900) < inside - 20
    assert level(290, 310) == pytest.approx(inside - 3, abs=2)


@pytest.mark.parametrize("samples", [1_600, 1_601, 4_096])
def test_short_clips(samples: int) -> None:
    heard = ROOMS["meeting-room"].record(speech()[:samples], np.random.default_rng(1), [speech(2)])
    assert len(heard) == samples and np.isfinite(heard).all()
