"""The clips that travel inside the page: which ones, in what form, how many the budget holds."""

import base64
import io
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.speech.corpus import Corpus

SMALL = 0.9
"""libsndfile's compression level of an MP3: about 24 kbit/s at SAMPLE_RATE, which speech stands."""


def order(gains: Sequence[int], seed: int) -> Iterator[int]:
    """Numbers of utterances, each once: in turn the largest gain, the largest loss and one drawn by `seed`."""
    numbers = range(len(gains))
    drawn = random.Random(seed).sample(numbers, len(gains))
    best = [number for number in sorted(numbers, key=lambda number: -gains[number]) if gains[number] > 0]
    worst = [number for number in sorted(numbers, key=lambda number: gains[number]) if gains[number] < 0]
    seen = set[int]()
    lists = [iter(best), iter(worst), iter(drawn)]
    for _ in numbers:
        for one in lists:
            number = next((number for number in one if number not in seen), None)
            if number is not None:
                seen.add(number)
                yield number


def data_uri(samples: np.ndarray) -> str:
    """Sound as a data URI that every browser plays: MP3, or FLAC where libsndfile writes no MP3."""
    buffer, small = io.BytesIO(), "MP3" in soundfile.available_formats()
    if small:
        soundfile.write(
            buffer, samples, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III",
            compression_level=SMALL, bitrate_mode="CONSTANT",
        )  # fmt: skip
    else:
        soundfile.write(buffer, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return f"data:audio/{'mpeg' if small else 'flac'};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def embedded(folder: Path, ids: Sequence[str], numbers: Iterator[int], budget: int) -> dict[int, str]:
    """Data URIs of the clips of a prepared corpus by their place in `ids`, taken in the order of `numbers`.

    It ends where five clips in turn no longer fit into `budget` (characters). Empty without the corpus.
    """
    if not ids or not any(folder.glob("*.parquet")):
        return {}
    corpus = Corpus(folder)
    places = {row.id: place for place, row in enumerate(corpus.rows)}
    found, left, misses = dict[int, str](), budget, 0
    for number in numbers:
        if misses == 5:
            break
        place = places.get(ids[number])
        if place is None:
            continue
        uri = data_uri(corpus[place].samples())
        misses = 0 if len(uri) <= left else misses + 1
        if len(uri) <= left:
            found[number], left = uri, left - len(uri)
    return found
