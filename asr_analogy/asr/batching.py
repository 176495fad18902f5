"""Which utterances go together: seeded batches of like length for training."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from asr_analogy.errors import DataError

POOL = 50
"""Batches whose utterances are sorted by length together; larger pools pad less and mix less."""

IGNORED = -100
"""Label that no loss counts."""


def plan(durations: Sequence[float], batch: int, count: int, seed: int) -> list[list[int]]:
    """`count` batches of `batch` indices into `durations`, epoch after epoch in a seeded order.

    Every epoch visits each utterance at most once; within a pool, batches hold utterances of about the same length.
    With fewer utterances than `batch`, every batch holds them all. Raises DataError when there are none.
    """
    lengths = np.asarray(durations)
    size = min(batch, len(lengths))
    batches: list[list[int]] = []
    for random, pools in epochs(len(lengths), size, seed):
        found: list[list[int]] = []
        for pool in pools:
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            found += [pool[index : index + size].tolist() for index in range(0, len(pool), size)]
        batches += [found[index] for index in random.permutation(len(found))]
        if len(batches) >= count:
            break
    return batches[:count]


def epochs(total: int, size: int, seed: int) -> Iterator[tuple[np.random.Generator, list[np.ndarray]]]:
    """Without end: a generator for the epoch, and `total` indices in its order, in pools of up to POOL batches of `size`.

    What does not fill a batch is left out here: after sorting it would be the longest, every time. Raises DataError when
    there are no indices.
    """
    if not total:
        raise DataError("nothing to train on: the corpus is empty; see its dropped.jsonl")
    for epoch in itertools.count():
        random = np.random.default_rng((seed, epoch))
        order = random.permutation(total)[: total // size * size]
        yield random, [order[start : start + POOL * size] for start in range(0, len(order), POOL * size)]


def padded(labels: Sequence[Sequence[int]]) -> torch.Tensor:
    """Label ids as one int64 tensor, (batch, longest), filled with IGNORED."""
    table = torch.full((len(labels), max(map(len, labels))), IGNORED)
    for row, label in zip(table, labels, strict=True):
        row[: len(label)] = torch.tensor(label)
    return table
