"""Where everything came from: the folders of a run, what each was made from, with seeds, versions and commits."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_analogy.page.tables import NONE, Table
from asr_analogy.workspace import read_record

PLACES = ("prepared", "models", "terms", "hypotheses", "scores", "geometry", "audit")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Lineage:
    """The table of folders, the versions (one line for each set of them), and the commits."""

    table: Table | None
    versions: tuple[str, ...]
    commits: tuple[str, ...]


def lineage(root: Path) -> Lineage:
    """Read the run.json of every folder of a workspace."""
    records = {
        str(file.parent.relative_to(root)): record
        for place in PLACES
        for file in sorted((root / place).rglob("run.json"))
        if (record := read_record(file.parent))
    }
    known = {record["content"]: name for name, record in records.items()}
    rows = []
    for name, record in records.items():
        origin = ", ".join(dict.fromkeys(_origins(record["inputs"], known, ""))) or NONE
        seed = _seed(record["inputs"])
        seconds = f"{record.get('seconds', 0):,.1f}"
        commit = (record.get("commit") or NONE)[:10]
        rows.append((name, record["content"][:12], origin, NONE if seed is None else str(seed), seconds, commit))
    heads = ("folder", "content", "made from", "seed", "seconds", "commit")
    versions = dict.fromkeys(
        ", ".join(f"{key} {value}" for key, value in (record.get("versions") or {}).items())
        for record in records.values()
    )
    commits = dict.fromkeys(commit for record in records.values() if (commit := record.get("commit")))
    table = Table("Folders of the run", heads, tuple(rows), frozenset((0, 1, 2, 5))).trimmed()
    return Lineage(table, tuple(one for one in versions if one), tuple(commits))


def _origins(value: Any, known: Mapping[str, str], key: str) -> Iterator[str]:
    """Every hash in the inputs of a folder: by the name of the folder that has it, else shortened with its key."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _origins(inner, known, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _origins(inner, known, key)
    elif isinstance(value, str) and _HASH.fullmatch(value):
        yield known.get(value) or f"{key} {value[:12]}"


def _seed(inputs: Mapping[str, Any]) -> Any:
    if inputs.get("seed") is not None:
        return inputs["seed"]
    inner = (value.get("seed") for value in inputs.values() if isinstance(value, Mapping))
    return next((seed for seed in inner if seed is not None), None)
