"""transcribe: what a model makes of any sound files, at once.

A file that cannot be read is named and does not stop the others. Torch is imported only inside `transcribe`.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from asr_analogy.asr.hub import find, read_json
from asr_analogy.errors import DataError, MissingError, RecipeError
from asr_analogy.progress import progress
from asr_analogy.speech import audio
from asr_analogy.text.subtitles import srt, vtt
from asr_analogy.workspace import disk_errors, write_whole

if TYPE_CHECKING:
    from asr_analogy.asr.listening import Segment

log = logging.getLogger("asr_analogy")

MANIFESTS = (".jsonl", ".json")
SUFFIXES = (".jsonl", ".txt", ".srt", ".vtt")
"""Kinds of --out."""

TOGETHER = 8
"""Batches of files that are sorted by length together; the first texts appear after so many."""


@dataclass(frozen=True)
class Heard:
    """What was heard in one file, or why nothing could be."""

    file: str
    text: str = ""
    seconds: float = 0.0
    segments: "list[Segment]" = field(default_factory=list)
    """Text with its start and end in seconds, piece by piece where the file is longer than the model hears at once."""
    error: str | None = None

    def row(self) -> dict[str, Any]:
        """As a JSON line shows it."""
        if self.error is not None:
            return {"file": self.file, "error": self.error}
        parts = [
            {"start": round(part.start, 2), "end": round(part.end, 2), "text": part.text} for part in self.segments
        ]
        return {"file": self.file, "text": self.text, "duration": round(self.seconds, 3), "segments": parts}


class _Files(Sequence[np.ndarray]):
    """Sound files that are read when they are heard; one that cannot be read is silent, and its error is kept."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.errors: dict[int, str] = {}
        self.seconds = [_length(path) for path in paths]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        try:
            samples = audio.load(self.paths[index])
        except DataError as error:
            self.errors[index] = str(error)
            return np.empty(0, dtype=np.float32)
        self.seconds[index] = len(samples) / audio.SAMPLE_RATE
        return samples


def _length(path: Path) -> float:
    """Seconds of a sound file by its header; 0 if it has none that can be read."""
    try:
        return float(soundfile.info(path).duration)
    except (soundfile.LibsndfileError, RuntimeError, OSError):
        return 0.0


def transcribe(
    model: str | Path, files: Sequence[str | Path], language: str | None = None, batch: int = 32, beams: int = 1,
) -> Iterator[Heard]:  # fmt: skip
    """What `model` (a folder or hub id) makes of sound files, of those in folders, and of those that a JSON-lines manifest
    lists ("audio" or "audio_filepath"), in that order.

    Without `language` it is the model's own, or English. Raises MissingError without the model or any file, RecipeError
    for a language it does not know, ResourceError when memory runs out; files that cannot be read come with their error.
    """
    from asr_analogy.asr.cost import memory_errors
    from asr_analogy.asr.family import ready
    from asr_analogy.asr.listening import joined, segments

    entries = [entry for given in files for entry in _listed(Path(given))]
    if not entries:
        raise MissingError("transcribe: no sound file given")
    folder = find(str(model))
    recogniser = ready(folder, language or _language(folder))
    with progress("transcribing", len(entries)) as advance, memory_errors(f"try --batch {max(1, batch // 2)}"):
        for start in range(0, len(entries), TOGETHER * batch):
            part = entries[start : start + TOGETHER * batch]
            sounds = _Files([path for path, _ in part])
            found = dict[int, list["Segment"]]()
            for number, heard in segments(recogniser, sounds, list(sounds.seconds), batch, beams):
                found[number] = heard
                advance(1, "")
            for number, (path, error) in enumerate(part):
                error = error or sounds.errors.get(number)
                yield Heard(str(path), joined(found[number]), sounds.seconds[number], found[number], error)


def _listed(path: Path) -> Iterator[tuple[Path, str | None]]:
    """The sound files that `path` stands for, each with what is already known to be wrong with it."""
    try:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if _is_sound(file))
            list(path.iterdir())  # rglob passes over a folder that may not be read
            yield from ((file, None) for file in found)
            if not found:
                yield path, f"{path}: no sound file in this folder"
        elif path.suffix.lower() in MANIFESTS:
            yield from ((file, None) for file in _manifest(path))
        else:
            yield path, None
    except OSError as error:
        yield path, f"{path}: cannot be read ({error.strerror})"
    except DataError as error:
        yield path, str(error)


def _is_sound(file: Path) -> bool:
    known = {*soundfile.available_formats(), "OPUS", "AIF", "OGA"} - {"RAW"}
    return file.suffix[1:].upper() in known and file.is_file()


def _manifest(path: Path) -> list[Path]:
    found = []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}:{number}: not a JSON object ({error})") from error
        sound = (row.get("audio") or row.get("audio_filepath")) if isinstance(row, dict) else None
        if not isinstance(sound, str):
            raise DataError(f'{path}:{number}: no "audio" with the name of a sound file')
        found.append(path.parent / sound)
    return found


def _language(folder: Path) -> str:
    """The language that a model folder says it transcribes, or English."""
    named = (read_json(folder / "generation_config.json") or {}).get("language")
    return named.strip("<|>") if isinstance(named, str) and named.startswith("<|") else named or "en"


def check_out(out: Path) -> None:
    """Raises RecipeError for a file of a kind that transcripts are not written in."""
    if out.suffix.lower() not in SUFFIXES:
        raise RecipeError(f"--out {out}: transcripts are written as {', '.join(SUFFIXES)}; choose one of these endings")


def write(out: Path, found: Sequence[Heard]) -> None:
    """Write transcripts in the form that the ending of `out` names, whole or not at all.

    Raises RecipeError for subtitles of more than one recording.
    """
    check_out(out)
    kind = out.suffix.lower()
    if kind == ".jsonl":
        data = "".join(json.dumps(heard.row(), ensure_ascii=False) + "\n" for heard in found)
    elif len(found) != 1:
        raise RecipeError(f"--out {out}: {kind} holds one recording and {len(found)} were given; write .jsonl")
    elif kind == ".txt":
        data = "".join(part.text + "\n" for part in found[0].segments if part.text)
    else:
        data = (srt if kind == ".srt" else vtt)([(part.text, part.start, part.end) for part in found[0].segments])
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, data)
