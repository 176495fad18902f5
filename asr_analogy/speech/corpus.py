"""Utterance tables: where speech with transcripts is read from, and the Parquet shards it is kept in.

A prepared corpus is a folder of Parquet shards with the columns of SCHEMA (audio as 16 kHz mono FLAC bytes in a plain
struct, so that no decoder is needed to open it) and `dropped.jsonl`, one row for every utterance left out and why.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from asr_analogy.errors import DataError, MissingError
from asr_analogy.recipe import Source
from asr_analogy.speech import audio

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
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True)
class Row:
    """One utterance as a source gives it: transcript, sound (file or encoded bytes), speaker, and where it stands."""

    text: str
    sound: Path | bytes
    speaker: str
    source: str

    def samples(self) -> np.ndarray:
        """Decode the sound: float32 mono at SAMPLE_RATE. Raises DataError naming the file or row."""
        return audio.read(self.sound, None if isinstance(self.sound, Path) else self.source)


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


def rows(source: Source) -> Iterator[Row]:
    """Yield the utterances of a hub data set, manifest, audiofolder or Parquet source, filtered and limited.

    Raises DataError for a row without audio or text, MissingError for files, folders or data sets that are not there.
    """
    readers = {"hub": _hub_rows, "manifest": _manifest_rows, "audiofolder": _folder_rows, "parquet": _parquet_rows}
    name = next(kind for kind in readers if getattr(source, kind) is not None)
    count = 0
    for place, record, folder in readers[name](source):
        if not _wanted(record, source):
            continue
        yield _row(place, record, folder, source)
        count += 1
        if count == source.limit:
            return
    if count == 0:
        raise DataError(
            f"{getattr(source, name)}: no utterance" + (f" matches where: {source.where}" if source.where else "")
        )


def _wanted(record: dict[str, Any], source: Source) -> bool:
    for column, wanted in source.where.items():
        if record.get(column) not in (wanted if isinstance(wanted, list) else [wanted]):
            return False
    return True


def _row(place: str, record: dict[str, Any], folder: Path | None, source: Source) -> Row:
    text, sound = record.get(source.text_column), record.get(source.audio_column)
    if sound is None and source.audio_column == "audio":
        sound = record.get("audio_filepath")
    if not isinstance(text, str) or not text.strip():
        raise DataError(
            f'{place}: no "{source.text_column}"; every utterance needs a transcript (columns: {", ".join(record)})'
        )
    if isinstance(sound, dict):
        sound = sound.get("bytes") or sound.get("path")
    if isinstance(sound, str):
        sound = (folder / sound) if folder else Path(sound)
    if not isinstance(sound, Path | bytes):
        raise DataError(
            f'{place}: no "{source.audio_column}"; name the column with audio_column (columns: {", ".join(record)})'
        )
    speaker = next((str(record[key]) for key in ("speaker", "speaker_id", "client_id") if record.get(key)), "")
    return Row(text.strip(), sound, speaker, place)


def _manifest_rows(source: Source) -> Iterator[tuple[str, dict[str, Any], Path]]:
    path = source.manifest
    assert path is not None
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            try:
                record = json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}:{number}: not a JSON object ({error})") from error
            if not isinstance(record, dict):
                raise DataError(f"{path}:{number}: not a JSON object")
            yield f"{path.name}:{number}", record, path.parent


def _folder_rows(source: Source) -> Iterator[tuple[str, dict[str, Any], Path]]:
    folder = source.audiofolder
    assert folder is not None
    if not folder.is_dir():
        raise MissingError(f"{folder}: no such folder")
    table = folder / "metadata.csv"
    if table.is_file():
        for number, record in enumerate(csv.DictReader(_lines(table)), 2):
            name = record.pop("file_name", None) or record.get(source.audio_column)
            yield f"{table.name}:{number}", {**record, source.audio_column: name}, folder
        return
    for sound in sorted(file for file in folder.rglob("*") if file.suffix.lower() in SOUNDS):
        script = sound.with_suffix(".txt")
        text = "\n".join(_lines(script)) if script.is_file() else None
        name = str(sound.relative_to(folder))
        speaker = sound.parent.name if sound.parent != folder else ""
        yield name, {source.audio_column: name, source.text_column: text, "speaker": speaker}, folder


def _parquet_rows(source: Source) -> Iterator[tuple[str, dict[str, Any], None]]:
    path = source.parquet
    assert path is not None
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise MissingError(f"{path}: no Parquet file there")
    for file in files:
        number = 0
        try:
            for batch in pq.ParquetFile(file).iter_batches(batch_size=64):
                for record in batch.to_pylist():
                    yield f"{file.name}:{number}", record, None
                    number += 1
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{file}: not readable as Parquet ({error})") from error


def _hub_rows(source: Source) -> Iterator[tuple[str, dict[str, Any], None]]:
    from datasets import Audio, load_dataset

    assert source.hub is not None
    try:
        table = load_dataset(source.hub, source.config, split=source.split or "train")
        table = table.cast_column(source.audio_column, Audio(decode=False))
    except (OSError, ValueError, ConnectionError) as error:
        raise MissingError(f"{source.hub}: data set not available here ({' '.join(str(error).split())})") from error
    for number, record in enumerate(table):
        yield f"{source.hub}:{source.split}:{number}", record, None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise MissingError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def write_shard(path: Path, utterances: Sequence[Utterance]) -> None:
    """Write one Parquet shard, whole or not at all."""
    columns = {
        field: [getattr(utterance, field) for utterance in utterances] for field in SCHEMA.names if field != "audio"
    }
    columns["audio"] = [{"bytes": utterance.flac, "path": f"{utterance.id}.flac"} for utterance in utterances]
    table = pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)
    part = path.with_name(path.name + ".part")
    pq.write_table(table, part, compression="none")
    part.replace(path)


def read_corpus(folder: Path, columns: Sequence[str] | None = None) -> list[Utterance]:
    """All utterances of a prepared corpus, in order; columns that are not asked for are empty."""
    found: list[Utterance] = []
    for file in sorted(folder.glob("*.parquet")):
        for record in pq.read_table(file, columns=list(columns) if columns else None).to_pylist():
            sound = record.pop("audio", None) or {"bytes": b""}
            empty = {"id": "", "text": "", "tts_text": "", "speaker": "", "duration": 0.0, "source": "", "seed": 0}
            found.append(Utterance(flac=sound["bytes"], **{**empty, **record}))
    return found
