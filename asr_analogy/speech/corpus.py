"""Prepared corpora: the utterances of one arm or test set, kept in Parquet shards.

A prepared corpus is a folder of shards with the columns of SCHEMA (audio as 16 kHz mono FLAC bytes in a plain struct,
so that no decoder is needed to open it) and `dropped.jsonl`, one row for every utterance left out and why.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    ]
)
EMPTY = {"id": "", "text": "", "tts_text": "", "speaker": "", "duration": 0.0, "source": "", "seed": 0}


@dataclass(frozen=True)
class Utterance:
    """One row of a prepared corpus; `flac` holds 16 kHz mono FLAC bytes, `duration` is in seconds."""

    id: str
    flac: bytes
    text: str
    tts_text: str
    speaker: str
    duration: float
    source: str
    seed: int

    def samples(self) -> np.ndarray:
        """Decode the sound: float32 mono at SAMPLE_RATE, shape (n,)."""
        return audio.read(self.flac, self.id)


def write_shard(path: Path, utterances: Sequence[Utterance]) -> None:
    """Write one Parquet shard, whole or not at all."""
    columns: dict[str, list] = {
        field: [getattr(utterance, field) for utterance in utterances] for field in SCHEMA.names if field != "audio"
    }
    columns["audio"] = [{"bytes": utterance.flac, "path": f"{utterance.id}.flac"} for utterance in utterances]
    buffer = pa.BufferOutputStream()
    table = pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)
    pq.write_table(table, buffer, compression="none")
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
            sound = record.pop("audio", None) or {"bytes": b""}
            yield Utterance(flac=sound["bytes"], **{**EMPTY, **record})


def lengths(folder: Path) -> tuple[float, int]:
    """Seconds of sound in a prepared corpus, and its number of utterances; one shard in memory at a time."""
    seconds, count = 0.0, 0
    for file in sorted(folder.glob("*.parquet")):
        column = pq.ParquetFile(file).read(columns=["duration"])["duration"]
        seconds, count = seconds + sum(column.to_pylist()), count + len(column)
    return seconds, count
