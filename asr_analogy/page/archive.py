"""The transcripts and clips that the page carries, as compact JSON within its budget."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_analogy.page.clips import embedded, order
from asr_analogy.page.names import short
from asr_analogy.page.tables import Table, number
from asr_analogy.page.transcripts import Transcripts, heard
from asr_analogy.text.recall import term_counts
from asr_analogy.text.scoring import raw

PAGE, SOUND, TEXT = 4_700_000, 2_500_000, 3_300_000
"""Characters: of what the page carries in all, of its clips and of its transcripts, at most."""
TERMS = 300
"""Terms that can be chosen from, at most: the ones said most often."""

Found = dict[str, Transcripts]


@dataclass(frozen=True)
class Archive:
    """Two pieces of JSON, and how many clips the second holds."""

    transcripts: str
    clips: str
    count: int


def packed(value: Any) -> str:
    """JSON that can stand inside a script tag: no text in it can end the tag or open a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def archive(
    found: Found, corpora: Path, kinds: Mapping[str, str], judged: tuple[str, str], terms: Sequence[str], language: str, seed: int
) -> Archive:  # fmt: skip
    """Pack the transcripts of all test sets and as many clips of `corpora/<test>` as fit; `judged` is product, baseline."""
    ours, theirs = judged
    kept = _within(found, ours, theirs)
    clips = _clips(kept, corpora, kinds, judged, min(SOUND, PAGE - _size(kept)), seed)
    tests = [_test(name, one, len(found[name].lines), clips.get(name, {})) for name, one in kept.items()]
    numbers = {name: place for place, name in enumerate(kept)}
    sounds = {f"{numbers[name]}:{line}": uri for name, one in clips.items() for line, uri in one.items()}
    content = {"product": ours, "baseline": theirs, "language": language, "terms": list(terms)[:TERMS], "tests": tests}
    return Archive(packed(content), packed(sounds), len(sounds))


def _test(name: str, found: Transcripts, size: int, clips: Mapping[int, str]) -> dict[str, Any]:
    speakers = list(dict.fromkeys(line.speaker for line in found.lines))
    places = {speaker: place for place, speaker in enumerate(speakers)}
    lines = [[places[line.speaker], line.seconds, line.id, line.reference, *line.codes] for line in found.lines]
    return {
        "name": name,
        "transcribed": found.transcribed,
        "tight": found.by_character,
        "systems": [[system, short(system)] for system in found.systems],
        "speakers": speakers,
        "total": size,
        "sounding": sorted(clips),
        "lines": lines,
    }


def _size(found: Found) -> int:
    """About how many bytes the transcripts take."""
    return sum(
        len(line.id.encode()) + 22 + len(line.reference.encode()) + sum(len(code.encode()) + 3 for code in line.codes)
        for one in found.values()
        for line in one.lines
    )


def _within(found: Found, ours: str, theirs: str) -> Found:
    """Everything if it fits; else the main systems; else of these the utterances in which most changed."""
    if _size(found) <= TEXT:
        return found
    main = ("base", theirs, ours, "domain-real")
    found = {name: one.only([system for system in one.systems if system in main]) for name, one in found.items()}
    share = TEXT / _size(found)
    if share >= 1:
        return found
    return {name: _changed(one, ours, theirs, int(share * len(one.lines))) for name, one in found.items()}


def _changed(found: Transcripts, ours: str, theirs: str, count: int) -> Transcripts:
    gains = _gains(found, ours, theirs)
    most = sorted(range(len(gains)), key=lambda place: (-abs(gains[place]), place))[:count]
    return found.chosen(sorted(most))


def _gains(found: Transcripts, ours: str, theirs: str) -> list[int]:
    if ours in found.systems and theirs in found.systems:
        return found.gains(ours, theirs)
    return [0] * len(found.lines)


def _clips(
    found: Found, corpora: Path, kinds: Mapping[str, str], judged: tuple[str, str], budget: int, seed: int
) -> dict[str, dict[int, str]]:
    """Clips of every test set; those of the domain share four fifths of the budget, the rest gets what is left."""
    clips: dict[str, dict[int, str]] = {}
    names = sorted(found, key=lambda name: kinds[name] != "domain")
    domain = sum(kinds[name] == "domain" for name in names)
    for place, name in enumerate(names):
        left = budget - sum(len(uri) for one in clips.values() for uri in one.values())
        ours = kinds[name] == "domain" and domain < len(names)
        share = left * 0.8 / (domain - place) if ours else left / (len(names) - place)
        ids = [line.id for line in found[name].lines]
        clips[name] = embedded(corpora / name, ids, order(_gains(found[name], *judged), seed), int(share))
    return {name: clips[name] for name in found}


def term_table(found: Transcripts, terms: Sequence[str], judged: tuple[str, str]) -> Table | None:
    """Every term that was said: how often, and how often each of the judged systems wrote it."""
    if not terms or not found.transcribed:
        return None
    references = [line.reference for line in found.lines]
    systems = [system for system in (judged[1], judged[0]) if system in found.systems]
    counts = []
    for system in dict.fromkeys(systems):
        place = found.systems.index(system)
        texts = [" ".join(heard(line.reference.split(), line.codes[place])) for line in found.lines]
        counts.append(term_counts(references, texts, terms, raw).by_term)
    if not counts:
        return None
    said = {term: one[0] for term, one in counts[0].items() if one[0]}
    rows = []
    for term in sorted(said, key=lambda term: (-said[term], term))[:TERMS]:
        both = [one.get(term, (0, 0, 0))[2] for one in counts]
        change = number(both[-1] - both[0], 0, True) if len(both) > 1 and both[-1] != both[0] else ""
        rows.append((term, str(said[term]), *map(str, both), *([change] if len(both) > 1 else [])))
    heads = (
        "term",
        "said",
        *(f"found by {short(system)}" for system in systems),
        *(["change"] if len(counts) > 1 else []),
    )
    return Table("Terms of the domain, those said most often first", heads, tuple(rows)) if rows else None
