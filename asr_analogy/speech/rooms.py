"""Simulated channels: what a room, a microphone and other people do to clean speech.

A room is our stand-in for recordings that a machine does not have. Whatever was made with one is called a stand-in
wherever it is shown. The impulse response is stochastic: a direct path, a handful of early reflections and Gaussian
noise that decays by 60 dB in the reverberation time (Polack's model, Jot 1992).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr_analogy.speech.audio import SAMPLE_RATE, level

Range = tuple[float, float]


@dataclass(frozen=True)
class Room:
    """A family of channels; every recording draws its own value from each range.

    reverberation: seconds until the tail has decayed by 60 dB. direct: direct-to-reverberant ratio, dB.
    low, high: corner frequencies of the microphone, Hz. noise: signal-to-noise ratio of the room's noise, dB.
    babble: signal-to-babble ratio, dB, or None for a room without other speakers. Both ratios hold in the room, between
    reverberant speech and what disturbs it, over all frequencies: before the microphone's band.
    """

    reverberation: Range
    direct: Range
    low: Range
    high: Range
    noise: Range
    babble: Range | None = None

    def record(self, speech: np.ndarray, random: np.random.Generator, others: Sequence[np.ndarray] = ()) -> np.ndarray:
        """Return `speech` (mono at SAMPLE_RATE) as this room's microphone hears it: same length, level -26 dBFS.

        `others` are clips of other speakers for the babble; without them a room with babble falls back to noise alone.
        """
        reverberant = _convolve(speech, self._impulse_response(random))[: len(speech)]
        power = float(np.mean(np.square(reverberant))) + 1e-12
        mixed = reverberant + _scaled(_noise(len(speech), random), power, random.uniform(*self.noise))
        if self.babble is not None and len(others):
            mixed = mixed + _scaled(_babble(others, len(speech), random), power, random.uniform(*self.babble))
        return level(_band(mixed, random.uniform(*self.low), random.uniform(*self.high)))

    def _impulse_response(self, random: np.random.Generator) -> np.ndarray:
        decay = random.uniform(*self.reverberation)
        time = np.arange(int(decay * SAMPLE_RATE)) / SAMPLE_RATE
        tail = random.standard_normal(len(time)) * 10 ** (-3 * time / decay)
        start = int(random.uniform(0.002, 0.008) * SAMPLE_RATE)
        tail[:start] = 0.0
        for _ in range(6):
            place = start + int(random.exponential(0.01) * SAMPLE_RATE)
            if place < len(tail):
                tail[place] += random.choice((-1, 1)) * random.uniform(1, 4) * 10 ** (-3 * time[place] / decay)
        tail *= 10 ** (-random.uniform(*self.direct) / 20) / (np.sqrt(np.sum(np.square(tail))) + 1e-12)
        tail[0] = 1.0
        return tail.astype(np.float32)


ROOMS = {
    "office": Room(reverberation=(0.08, 0.3), direct=(4, 14), low=(40, 150), high=(4500, 7800), noise=(15, 38)),
    "meeting-room": Room(  # people around a conference telephone, recorded from its line
        reverberation=(0.15, 0.3),
        direct=(6, 12),
        low=(250, 350),
        high=(3200, 3600),
        noise=(22, 35),
        babble=(24, 34),
    ),
}
"""Rooms by the name that `simulate: <name>` takes."""


def _convolve(signal: np.ndarray, response: np.ndarray) -> np.ndarray:
    size = 1 << (len(signal) + len(response) - 2).bit_length()
    product = np.fft.rfft(signal, size) * np.fft.rfft(response, size)
    return np.fft.irfft(product, size)[: len(signal) + len(response) - 1].astype(np.float32)


def _scaled(noise: np.ndarray, power: float, ratio: float) -> np.ndarray:
    """Scale `noise` so that `power` stands `ratio` dB above it."""
    return noise * np.sqrt(power / 10 ** (ratio / 10) / (float(np.mean(np.square(noise))) + 1e-12)).astype(np.float32)


def _noise(count: int, random: np.random.Generator) -> np.ndarray:
    """Noise with a random spectral slope between white and brown, shape (count,)."""
    size = 1 << (count - 1).bit_length()
    spectrum = np.fft.rfft(random.standard_normal(size))
    frequency = np.maximum(np.arange(len(spectrum)), size * 50 / SAMPLE_RATE)
    return np.fft.irfft(spectrum / frequency ** random.uniform(0, 1), size)[:count].astype(np.float32)


def _babble(others: Sequence[np.ndarray], count: int, random: np.random.Generator, voices: int = 4) -> np.ndarray:
    """Sum of `voices` clips drawn from `others`, each repeated and rotated to `count` samples."""
    total = np.zeros(count, dtype=np.float32)
    for index in random.integers(len(others), size=voices):
        clip = others[index]
        total += np.roll(np.resize(clip, max(count, len(clip))), int(random.integers(len(clip))))[:count]
    return total


def _band(signal: np.ndarray, low: float, high: float) -> np.ndarray:
    """Fourth-order Butterworth-shaped band limit between `low` and `high` Hz, zero phase."""
    size = 1 << (len(signal) - 1).bit_length()
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    gain = 1 / np.sqrt(1 + (frequency / high) ** 8) / np.sqrt(1 + (low / np.maximum(frequency, 1e-3)) ** 8)
    return np.fft.irfft(np.fft.rfft(signal, size) * gain, size)[: len(signal)].astype(np.float32)
