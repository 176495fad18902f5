"""Recordings as utterances: rows of a source are read, and left out with a reason where they are of no use."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from asr_analogy.errors import DataError
from asr_analogy.speech import audio
from asr_analogy.speech.corpora import Corpus
from asr_analogy.speech.corpus import Utterance
from asr_analogy.speech.shards import Job, Maker, Refused, Reject, batched
from asr_analogy.speech.sources import Row, rows
from asr_analogy.text.leakage import HeldOut

READ = 500
"""Recordings per Parquet shard; of spoken utterances the voice card says how many. A killed run loses the one in hand."""

NOTHING_TO_SCORE = 'neither "text" nor "keywords"; give one, or name the column of transcripts with text_column'

Tests = Callable[[], HeldOut]


def recordings(corpus: Corpus, tests: Tests | None, reject: Reject) -> tuple[int, Job]:
    """How many recordings a corpus has, and how they are read. `tests` is what no training corpus may hold."""
    source, testing = corpus.source, not corpus.training
    assert source is not None
    total = sum(1 for _ in rows(source, sound=False, testing=testing))
    parts = lambda: batched(enumerate(rows(source, testing=testing)), READ)  # noqa: E731
    return total, Job(parts, lambda: _reader(tests() if tests else None), reject)


def _reader(tests: HeldOut | None) -> Maker:
    """A function that reads recordings; in a training corpus none that says what a test set holds."""

    def read(part: Sequence[tuple[int, Row]]) -> Iterator[Utterance | Refused]:
        for number, row in part:
            name = f"{number:07d}"
            reason = tests.reason(row.text) if tests else None
            reason = reason if row.text or row.keywords else NOTHING_TO_SCORE
            try:
                if reason is None:
                    made = spoken(name, row.text, row.source, row.samples(), row.text, row.speaker, 0)
                    yield replace(made, keywords=row.keywords)
                    continue
            except DataError as error:
                reason = str(error)
            yield Refused(name, row.text, row.source, reason)

    return read


def spoken(name: str, text: str, source: str, samples: np.ndarray, tts_text: str, speaker: str, seed: int) -> Utterance:
    """An utterance from its sound, which is encoded."""
    duration = round(len(samples) / audio.SAMPLE_RATE, 4)
    return Utterance(name, audio.encode(samples), text, tts_text, speaker, duration, source, seed)
