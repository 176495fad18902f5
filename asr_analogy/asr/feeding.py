"""Batches for the training loop: decoded, featurised and labelled one thread ahead of the optimiser."""

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from asr_analogy.asr.family import Recogniser
from asr_analogy.speech.corpus import Utterance

AHEAD = 2
"""Batches made ahead of the optimiser."""

Batch = tuple[list[Utterance], Mapping[str, torch.Tensor]]
"""What one forward pass hears, and the model's inputs."""


def feed(recogniser: Recogniser, utterances: Sequence[Utterance], batches: Sequence[Sequence[int]]) -> Generator[Batch]:
    """The `batches` of `utterances`, in order."""

    def make(indices: Sequence[int]) -> Batch:
        chosen = [utterances[index] for index in indices]
        clips, labels = [row.samples() for row in chosen], [recogniser.label(row.text) for row in chosen]
        return chosen, recogniser.batch(clips, labels)

    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(make, indices) for indices in batches[:AHEAD]]
        for index in range(len(batches)):
            yield waiting.pop(0).result()
            if index + AHEAD < len(batches):
                waiting.append(pool.submit(make, batches[index + AHEAD]))
