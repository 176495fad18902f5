"""Prepared corpora: the utterances of one arm or test set, kept in Parquet shards.

A prepared corpus is a folder of shards with the columns of SCHEMA (audio as 16 kHz mono FLAC bytes in a plain struct,
so that no decoder is needed to open it) and `dropped.jsonl`, one row for every utterance left out and why.
`Corpus` reads single utterances by their number, `read_corpus` all of them.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from asr_analogy.errors import DataError
from asr_analogy.speech import audio
from asr_analogy.workspace import write_whole

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("text", pa.string()),
        ("tts_text", pa.string()),
        ("speaker", pa.string()),
        ("duration", pa.float64()),
        ("source", pa.string()),
        ("seed", pa.int64()),
        ("keywords", pa.list_(pa.string())),
    ]
)
GROUP = 8
"""Utterances that can only be read together: fewer make larger files (8: half a percent), more make reading slower."""

EMPTY = {"id": "", "text": "", "tts_text": "", "speaker": "", "duration": 0.0, "source": "", "seed": 0}


@dataclass(frozen=True)
class Utterance:
    """One row of a prepared corpus; `flac` holds 16 kHz mono FLAC bytes, `duration` is in seconds.

    `keywords` are known to be said in a clip of a test set; its `text` is then empty where nobody wrote a transcript.
    """

    id: str
    flac: bytes
    text: str
    tts_text: str
    speaker: str
    duration: float
    source: str
    seed: int
    keywords: tuple[str, ...] = field(default=(), kw_only=True)

    def samples(self) -> np.ndarray:
        """Decode the sound: float32 mono at SAMPLE_RATE, shape (n,)."""
        return audio.read(self.flac, self.id)


def write_shard(path: Path, utterances: Sequence[Utterance]) -> None:
    """Write one Parquet shard, whole or not at all."""
    columns: dict[str, list] = {
        name: [getattr(utterance, name) for utterance in utterances] for name in SCHEMA.names if name != "audio"
    }
    columns["audio"] = [{"bytes": utterance.flac, "path": f"{utterance.id}.flac"} for utterance in utterances]
    buffer = pa.BufferOutputStream()
    table = pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)
    pq.write_table(table, buffer, compression="none", row_group_size=GROUP)
    write_whole(path, buffer.getvalue())


def read_corpus(folder: Path, columns: Sequence[str] | None = None) -> list[Utterance]:
    """All utterances of a prepared corpus, as `each_utterance` yields them."""
    return list(each_utterance(folder, columns))


def each_utterance(folder: Path, columns: Sequence[str] | None = None) -> Iterator[Utterance]:
    """The utterances of a prepared corpus, in order, a shard in memory at a time; columns not asked for are empty.

    Raises DataError for a shard that cannot be read.
    """
    for file in sorted(folder.glob("*.parquet")):
        try:
            table = pq.ParquetFile(file).read(columns=list(columns) if columns else None)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{file}: damaged ({error}); delete its folder and run prepare again") from error
        for record in table.to_pylist():
            yield utterance(record)


def utterance(record: dict[str, Any]) -> Utterance:
    """An utterance from a row of a shard; columns that it lacks are empty."""
    sound = record.get("audio") or {"bytes": b""}
    found = {**EMPTY, **record, "keywords": tuple(record.get("keywords") or ())}
    return Utterance(flac=sound["bytes"], **{name: value for name, value in found.items() if name != "audio"})


class Corpus(Sequence[Utterance]):
    """Prepared corpora, one after another, whose sound stays on disk until an utterance is asked for."""

    def __init__(self, *folders: Path) -> None:
        """Read everything but the sound. Raises DataError for a shard that cannot be read."""
        columns = [name for name in SCHEMA.names if name != "audio"]
        self.rows = [row for folder in folders for row in each_utterance(folder, columns)]
        """The utterances without their sound."""
        self._files = [
            pq.ParquetFile(file, memory_map=True) for place in folders for file in sorted(place.glob("*.parquet"))
        ]
        self._places: list[tuple[int, int, int]] = []  # shard, row group, row
        for number, file in enumerate(self._files):
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                self._places += [(number, group, row) for row in range(size)]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> list[Utterance]: ...
    def __getitem__(self, index: int | slice) -> Utterance | list[Utterance]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number, group, row = self._places[index]
        sound = self._files[number].read_row_group(group, columns=["audio"])["audio"][row]
        return replace(self.rows[index], flac=sound["bytes"].as_py())

    def ordered(self, ids: Sequence[str]) -> "Corpus":
        """The utterances with these ids, in their order. Raises KeyError for an id that the corpus lacks."""
        numbers = {row.id: number for number, row in enumerate(self.rows)}
        return self.chosen([numbers[name] for name in ids])

    def chosen(self, numbers: Sequence[int]) -> "Corpus":
        """The utterances with these numbers, in their order; one that comes again is heard again."""
        found = copy(self)
        found.rows = [self.rows[number] for number in numbers]
        found._places = [self._places[number] for number in numbers]
        return found


def lengths(folder: Path) -> tuple[float, int]:
    """Seconds of sound in a prepared corpus, and its number of utterances; one shard in memory at a time."""
    seconds, count = 0.0, 0
    for file in sorted(folder.glob("*.parquet")):
        column = pq.ParquetFile(file).read(columns=["duration"])["duration"]
        seconds, count = seconds + sum(column.to_pylist()), count + len(column)
    return seconds, count
