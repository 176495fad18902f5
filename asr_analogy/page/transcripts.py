"""Transcripts as the page keeps them: each hypothesis by its edits against the reference, small enough for 10,000 rows.

A hypothesis is written as words with a sign before each, in order: `7` for seven words as in the reference, `-` (or `-3`)
for words left out, `~word` for a word in the place of another, `+word` for one too many. Where only keywords are known,
`!2` (keywords missed) comes first and every word of the hypothesis after it.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from asr_analogy.text.alignment import align
from asr_analogy.text.normaliser import Normaliser
from asr_analogy.text.recall import keyword_counts

_UNSPACED = re.compile(r"[A-Za-z0-9À-ɏ']+|\S")


@dataclass(frozen=True)
class Line:
    """One utterance: its normalised reference (or its keywords) as units joined by spaces, and a code for each system."""

    id: str
    speaker: str
    seconds: float
    reference: str
    codes: tuple[str, ...]

    def errors(self, system: int) -> int:
        """Edits of one system, or the keywords it missed."""
        return errors(self.codes[system])


@dataclass(frozen=True)
class Transcripts:
    """One test set: its systems in the order of the codes, and its utterances in the order of the corpus."""

    systems: tuple[str, ...]
    lines: tuple[Line, ...]
    places: tuple[int, ...]
    """Number of each line in the corpus."""
    transcribed: bool
    by_character: bool

    def gains(self, ours: str, theirs: str) -> list[int]:
        """By line: how many errors fewer `ours` makes than `theirs`."""
        one, other = self.systems.index(ours), self.systems.index(theirs)
        return [line.errors(other) - line.errors(one) for line in self.lines]

    def only(self, systems: Sequence[str]) -> "Transcripts":
        """The same lines with the codes of these systems."""
        places = [self.systems.index(name) for name in systems]
        lines = tuple(replace(line, codes=tuple(line.codes[place] for place in places)) for line in self.lines)
        return replace(self, systems=tuple(systems), lines=lines)

    def chosen(self, numbers: Sequence[int]) -> "Transcripts":
        """The lines with these numbers."""
        return replace(
            self,
            lines=tuple(self.lines[number] for number in numbers),
            places=tuple(self.places[number] for number in numbers),
        )


def units(text: str, form: Normaliser) -> list[str]:
    """What edits are counted in: normalised words; where a language writes none, its characters and foreign words."""
    found = form(text)
    return list(_characters(found)) if form.by_character else found.split()


def _characters(text: str) -> Iterator[str]:
    """Letters with the marks that belong to them; a run of Latin letters or digits is one."""
    held = ""
    for part in _UNSPACED.findall(text):
        if held and unicodedata.category(part[0])[0] == "M":
            held += part
            continue
        if held:
            yield held
        held = part
    if held:
        yield held


def code(reference: Sequence[str], hypothesis: Sequence[str]) -> str:
    """The edits from `reference` to `hypothesis`, as described above."""
    found = list[str]()
    for kind, steps in groupby(align(reference, hypothesis), key=lambda step: step[0]):
        places = [step[2] for step in steps]
        if kind == "equal":
            found.append(str(len(places)))
        elif kind == "delete":
            found.append("-" if len(places) == 1 else f"-{len(places)}")
        else:
            found += [("~" if kind == "substitute" else "+") + hypothesis[place] for place in places]
    return " ".join(found)


def errors(code: str) -> int:
    """The number of edits (or of missed keywords) in a code."""
    parts = code.split()
    if parts and parts[0].startswith("!"):
        return int(parts[0][1:])
    return sum(int(part[1:] or 1) if part[0] == "-" else part[0] in "~+" for part in parts)


def heard(reference: Sequence[str], code: str) -> list[str]:
    """The hypothesis that a code stands for."""
    found, place = list[str](), 0
    for part in code.split():
        if part[0] in "~+":
            found.append(part[1:])
            place += part[0] == "~"
        elif part[0] == "-":
            place += int(part[1:] or 1)
        elif part[0] != "!":
            found += reference[place : place + int(part)]
            place += int(part)
    return found


def read(folder: Path, systems: Sequence[str], form: Normaliser, transcribed: bool = True) -> Transcripts | None:
    """The transcripts below `hypotheses/<test>`; None if no system's are there or they are not of the same utterances."""
    found = {name: rows for name in systems if (rows := _rows(folder / name / "hypotheses.jsonl"))}
    if not found:
        return None
    first = next(iter(found.values()))
    names = [row["id"] for row in first]
    if any([row["id"] for row in rows] != names for rows in found.values()):
        return None
    lines = []
    for number, row in enumerate(first):
        texts = [rows[number]["hypothesis"] for rows in found.values()]
        reference, codes = (_spoken if transcribed else _keywords)(row, texts, form)
        speaker = row.get("speaker") or ""
        lines.append(Line(row["id"], speaker, round(row.get("duration") or 0.0, 2), reference, codes))
    return Transcripts(tuple(found), tuple(lines), tuple(range(len(lines))), transcribed, form.by_character)


def _spoken(row: Mapping, texts: Sequence[str], form: Normaliser) -> tuple[str, tuple[str, ...]]:
    reference = units(row["reference"] or "", form)
    return " ".join(reference), tuple(code(reference, units(text, form)) for text in texts)


def _keywords(row: Mapping, texts: Sequence[str], form: Normaliser) -> tuple[str, tuple[str, ...]]:
    listed = list(row.get("keywords") or ())
    codes = []
    for text in texts:
        counts = keyword_counts([listed], [text], form)
        codes.append(" ".join([f"!{counts.said - counts.both}", *("+" + unit for unit in units(text, form))]))
    return "; ".join(listed), tuple(codes)


def _rows(file: Path) -> list[dict]:
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="\n") as lines:  # a text may hold other line ends
        return [json.loads(line) for line in lines]
