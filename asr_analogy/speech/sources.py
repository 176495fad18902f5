"""Sources: the places that speech with transcripts is read from, all seen as rows."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from asr_analogy.errors import DataError, MissingError
from asr_analogy.recipe import Source, shipped
from asr_analogy.speech import audio
from asr_analogy.workspace import digest, hash_of

SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
SPEAKERS = ("speaker", "speaker_id", "client_id")
EDGE = 1 << 16
"""Bytes at the start and at the end of a sound file that its fingerprint covers (with its size)."""


class Record(NamedTuple):
    """One row as it stands in its file; paths in its columns start at `folder` (None: as they are)."""

    columns: dict[str, Any]
    place: str
    """Where it came from, the same on every machine: file name and row."""
    where: str
    """The same with the full path, for errors."""
    folder: Path | None = None


@dataclass(frozen=True)
class Row:
    """One utterance as a source gives it: transcript, sound (file or encoded bytes), speaker, and where it stands.

    `keywords` are said in it; only rows of a test set have them, and only these may be without a transcript ("").
    """

    text: str
    sound: Path | bytes
    speaker: str
    source: str
    keywords: tuple[str, ...] = ()

    def samples(self) -> np.ndarray:
        """Decode the sound: float32 mono at SAMPLE_RATE. Raises DataError naming the file or row."""
        return audio.read(self.sound, None if isinstance(self.sound, Path) else self.source)


def rows(source: Source, sound: bool = True, testing: bool = False) -> Iterator[Row]:
    """Yield the utterances of a hub data set, manifest, audiofolder or Parquet source, filtered and limited.

    Without `sound`, encoded bytes are not loaded (`Row.sound` is then empty); paths are given in any case. `testing`
    reads a test set: keywords as well, and rows without a transcript. Raises DataError for a row without audio, or else
    without text, MissingError for files, folders or data sets that are not there.
    """
    count, seen = 0, dict[str, Any]()
    for record in _records(source, sound):
        seen = seen or record.columns
        if not _wanted(record.columns, source):
            continue
        yield _row(record, source, testing)
        count += 1
        if count == source.limit:
            return
    if count == 0:
        why = f" matches where: {source.where} (columns: {_names(seen)})" if source.where and seen else " there"
        raise DataError(f"{_origin(source)}: no utterance{why}")


def fingerprint(source: Source, testing: bool = False) -> str | None:
    """Hash of what `rows` yields: texts, keywords, speakers, sound (of a file its size, start and end; Parquet in full).

    None for a hub data set, which is known by its name. Raises what `rows` raises.
    """
    if source.hub is not None:
        return None
    files = _parquet_files(shipped(source.parquet)) if source.parquet else []
    read = rows(source, sound=False, testing=testing)
    found = ((row.text, row.speaker, row.source, _edges(row.sound), *row.keywords) for row in read)
    return hash_of(chain(map(digest, files), chain.from_iterable(found)))


def _edges(sound: Path | bytes) -> str:
    if isinstance(sound, bytes):
        return ""
    try:
        with sound.open("rb") as file:
            size, start = sound.stat().st_size, file.read(EDGE)
            file.seek(max(len(start), size - EDGE))
            return f"{size}:{hash_of([start, file.read()])}"
    except OSError:
        return "missing"


def _origin(source: Source) -> str:
    return ", ".join(map(str, source.manifest or [source.hub or source.audiofolder or source.parquet]))


def _records(source: Source, sound: bool) -> Iterator[Record]:
    if source.hub is not None:
        return _hub_records(source, sound)
    if source.manifest is not None:
        return _manifest_records([shipped(path) for path in source.manifest])
    if source.audiofolder is not None:
        return _folder_records(shipped(source.audiofolder), source)
    assert source.parquet is not None, "a simulated source has no rows"
    return _parquet_records(shipped(source.parquet), source, sound)


def _wanted(columns: dict[str, Any], source: Source) -> bool:
    for column, value in source.where.items():
        wanted = value if isinstance(value, list) else [value]
        if columns.get(column) not in wanted and str(columns.get(column)) not in map(str, wanted):
            return False
    return True


def _row(record: Record, source: Source, testing: bool) -> Row:
    columns, names = record.columns, _names(record.columns)
    text, sound = columns.get(source.text_column), columns.get(source.audio_column)
    if sound is None and source.audio_column == "audio":
        sound = columns.get("audio_filepath")
    text = text.strip() if isinstance(text, str) else ""
    if not text and (not testing or source.audiofolder):
        advice = "put a .txt beside it" if source.audiofolder else "name the column with text_column"
        raise DataError(
            f'{record.where}: no "{source.text_column}", and every utterance needs a transcript; {advice} '
            f"(columns: {names})"
        )
    if columns.get("offset"):
        raise DataError(
            f"{record.where}: starts at an offset in a longer recording, which is not read yet; cut it out first"
        )
    if isinstance(sound, dict):
        sound = sound.get("bytes") or sound.get("path")
    if isinstance(sound, str) and sound:
        sound = record.folder / sound if record.folder else Path(sound)
    if not isinstance(sound, Path | bytes):
        raise DataError(
            f'{record.where}: no "{source.audio_column}"; name the column with audio_column (columns: {names})'
        )
    speaker = next((str(columns[key]) for key in SPEAKERS if columns.get(key) not in (None, "")), "")
    return Row(text, sound, speaker, record.place, _keywords(record) if testing else ())


def _keywords(record: Record) -> tuple[str, ...]:
    """What a row lists as said in it. Raises DataError for anything but a list of texts."""
    found = record.columns.get("keywords")
    if found is None or found != found:  # tables without a value there have NaN
        return ()
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        shown = repr(found) if len(repr(found)) <= 40 else repr(found)[:40] + "..."
        raise DataError(f'{record.where}: "keywords" is {shown}; write a list of texts, "keywords": ["habeas corpus"]')
    return tuple(one.strip() for one in found if one.strip())


def _names(columns: dict[str, Any]) -> str:
    return ", ".join(map(str, columns))


def _manifest_records(paths: Sequence[Path]) -> Iterator[Record]:
    for path in paths:
        name = path.name if len(paths) == 1 else f"{path.resolve().parent.name}/{path.name}"
        for number, line in enumerate(_read(path).split("\n"), 1):
            if line.strip():
                try:
                    columns = json.loads(line)
                except ValueError as error:
                    raise DataError(f"{path}:{number}: not a JSON object ({error})") from error
                if not isinstance(columns, dict):
                    raise DataError(f"{path}:{number}: not a JSON object")
                yield Record(columns, f"{name}:{number}", f"{path}:{number}", path.parent)


def _folder_records(folder: Path, source: Source) -> Iterator[Record]:
    if not folder.is_dir():
        raise MissingError(f"{folder}: no such folder")
    table = folder / "metadata.csv"
    if table.is_file():
        lines = csv.DictReader(io.StringIO(_read(table), newline=""), restkey="more")
        for row in lines:
            name, place = row.pop("file_name", None) or row.get(source.audio_column), f"{table.name}:{lines.line_num}"
            yield Record({**row, source.audio_column: name}, place, str(folder / place), folder)
        return
    for sound in sorted(file for file in folder.rglob("*") if file.suffix.lower() in SOUNDS):
        script = sound.with_suffix(".txt")
        text = " ".join(_read(script).split()) if script.is_file() else None
        name = sound.relative_to(folder).as_posix()
        speaker = sound.parent.name if sound.parent != folder else ""
        columns = {source.audio_column: name, source.text_column: text, "speaker": speaker}
        yield Record(columns, name, str(sound), folder)


def _parquet_files(path: Path) -> list[Path]:
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise MissingError(f"{path}: no Parquet file there")
    return files


def _parquet_records(path: Path, source: Source, sound: bool) -> Iterator[Record]:
    for file in _parquet_files(path):
        number = 0
        try:
            table = pq.ParquetFile(file)
            names, filler = table.schema_arrow.names, dict[str, Any]()
            column = source.audio_column
            if not sound and column in names and not pa.types.is_string(table.schema_arrow.field(column).type):
                names, filler = [name for name in names if name != column], {column: b""}
            for batch in table.iter_batches(batch_size=64, columns=names):
                for row in batch.to_pylist():
                    yield Record({**row, **filler}, f"{file.name}:{number}", f"{file}:{number}", file.parent)
                    number += 1
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{file}: not readable as Parquet ({error})") from error


def _hub_records(source: Source, sound: bool) -> Iterator[Record]:
    from datasets import Audio, load_dataset

    assert source.hub is not None
    try:
        table = load_dataset(source.hub, source.config, split=source.split)
    except (OSError, ValueError) as error:
        raise MissingError(
            f"{source.hub}: data set not available here ({' '.join(str(error).split())}); go online once to fill the "
            "cache, or give a manifest"
        ) from error
    if source.audio_column not in table.column_names:
        raise DataError(
            f"{source.hub}: no column {source.audio_column}; name it with audio_column ({', '.join(table.column_names)})"
        )
    if sound:
        table = table.cast_column(source.audio_column, Audio(decode=False))
    else:
        table = table.remove_columns(source.audio_column)
    for number, row in enumerate(table):
        place = f"{source.hub}:{source.split}:{number}"
        yield Record(row if sound else {**row, source.audio_column: b""}, place, place)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise MissingError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
