"""A recogniser as an ear: clips in, transcripts out, however many clips there are."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from asr_analogy.asr.cost import memory_errors
from asr_analogy.asr.family import ready

Listen = Callable[[Sequence[np.ndarray]], list[str]]
"""Clips (float32 mono at SAMPLE_RATE) to transcripts, in order."""


def listener(folder: Path, language: str, batch: int) -> Listen:
    """The recogniser in `folder`, ready to listen to `batch` clips of like length at a time.

    Raises what `open_recogniser` raises; the returned function raises ResourceError when memory runs out.
    """
    recogniser = ready(folder, language)

    def listen(clips: Sequence[np.ndarray]) -> list[str]:
        order = sorted(range(len(clips)), key=lambda index: len(clips[index]))
        texts = [""] * len(clips)
        with memory_errors(f"try --set evaluate.batch={max(1, batch // 2)}"):
            for start in range(0, len(order), batch):
                part = order[start : start + batch]
                heard = recogniser.transcribe([clips[index] for index in part])
                for index, text in zip(part, heard, strict=True):
                    texts[index] = text
        return texts

    return listen
