"""Which utterances go together: seeded batches of like length for training, pieces of long clips for decoding."""

from collections.abc import Sequence

import numpy as np

from asr_analogy.speech.audio import SAMPLE_RATE

POOL = 50
"""Batches whose utterances are sorted by length together; larger pools pad less and mix less."""


def plan(durations: Sequence[float], batch: int, count: int, seed: int) -> list[list[int]]:
    """`count` batches of `batch` indices into `durations`, epoch after epoch in a seeded order.

    Every epoch visits each utterance at most once; within a pool, batches hold utterances of about the same length.
    """
    lengths = np.asarray(durations)
    batches: list[list[int]] = []
    epoch = 0
    while len(batches) < count:
        random = np.random.default_rng((seed, epoch))
        order = random.permutation(len(lengths))
        size = min(batch, len(lengths))
        found: list[list[int]] = []
        for start in range(0, len(order), POOL * size):
            pool = order[start : start + POOL * size]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            found += [pool[index : index + size].tolist() for index in range(0, len(pool) - size + 1, size)]
        batches += [found[index] for index in random.permutation(len(found))]
        epoch += 1
    return batches[:count]


def pieces(clip: np.ndarray, longest: float) -> list[np.ndarray]:
    """Cut `clip` into pieces of at most `longest` seconds, each at the quietest 20 ms of its last third."""
    window, frame = int(longest * SAMPLE_RATE), SAMPLE_RATE // 50
    found = []
    while len(clip) > window:
        tail = clip[window * 2 // 3 : window]
        energy = np.square(tail[: len(tail) // frame * frame]).reshape(-1, frame).sum(axis=1)
        cut = window * 2 // 3 + int(energy.argmin()) * frame + frame // 2
        found.append(clip[:cut])
        clip = clip[cut:]
    return [*found, clip]
