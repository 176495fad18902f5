"""Batches for the training loop: read, decoded, featurised and labelled one thread ahead of the optimiser."""

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from asr_analogy.asr.family import Recogniser
from asr_analogy.asr.packing import Passage
from asr_analogy.speech.corpus import Utterance

AHEAD = 2
"""Batches made ahead of the optimiser."""

Batch = tuple[list[Utterance], Mapping[str, torch.Tensor]]
"""What one forward pass hears, and the model's inputs."""


def feed(recogniser: Recogniser, utterances: Sequence[Utterance], batches: Sequence[Sequence[int]]) -> Generator[Batch]:
    """The `batches` of `utterances`, in order."""

    def make(indices: Sequence[int]) -> Batch:
        chosen = [utterances[index] for index in indices]
        return chosen, recogniser.batch([row.samples() for row in chosen], [_label(recogniser, row) for row in chosen])

    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(make, indices) for indices in batches[:AHEAD]]
        for index in range(len(batches)):
            yield waiting.pop(0).result()
            if index + AHEAD < len(batches):
                waiting.append(pool.submit(make, batches[index + AHEAD]))


def _label(recogniser: Recogniser, row: Utterance) -> list[int]:
    if isinstance(row, Passage) and row.window.timed and row.text:
        return recogniser.timed_label(row.timed())
    return recogniser.label(row.text)
