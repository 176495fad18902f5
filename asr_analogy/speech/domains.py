"""The source domains of general speech: one file each, so that every domain can play the target in turn."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from asr_analogy.errors import RecipeError
from asr_analogy.recipe import PER_DOMAIN, Recipe, shipped
from asr_analogy.speech.corpus import Utterance
from asr_analogy.text.checks import fingerprint

FOLDER = "leave-one-out"
"""Folder of the arms of single domains, in `models/`."""
HELD_OUT, LEAST = 0.1, 50
"""Share of a domain's sentences that its arms do not hear, and how many at least; never more than half."""


@dataclass(frozen=True)
class Domain:
    """A source domain: its name, and the file that the `source` of its utterances names."""

    name: str
    file: str

    def holds(self, row: Utterance) -> bool:
        """Whether the utterance is of this domain."""
        return row.source.rpartition(":")[0] == self.file

    def arm(self, corpus: str) -> str:
        """The arm that is trained on this domain's part of `corpus`, as a path below models/."""
        return f"{FOLDER}/{self.name}-{corpus.removeprefix('general-')}"


def domains(recipe: Recipe) -> list[Domain]:
    """The source domains of a recipe, in its order.

    Raises RecipeError if general's speech does not come in a file per domain.
    """
    manifests = recipe.general.real is not None and recipe.general.real.manifest is not None
    paths = [shipped(path) for path in recipe.general.files]
    for path in paths:
        if path.is_dir() or "*" in str(path):
            raise RecipeError(f"general: {path}: a source domain is one file; list the files, one per domain")
    stems = [path.stem for path in paths]
    names = [path.resolve().parent.name if stems.count(path.stem) > 1 else path.stem for path in paths]
    files = [_manifest(path) if manifests else path.name for path in paths]
    if len(set(names)) < len(names) or len(set(files)) < len(files):
        raise RecipeError("general: two source domains have files of one name; rename one of them")
    return [Domain(re.sub(r"[^\w.-]+", "-", name), file) for name, file in zip(names, files, strict=True)]


def _manifest(path: Path) -> str:
    """A manifest among several, as speech/sources.py names it."""
    return f"{path.resolve().parent.name}/{path.name}"


def arms(recipe: Recipe) -> dict[str, tuple[Domain, str]]:
    """The arms of single domains that the recipe's merge asks for: arm -> (domain, corpus it is a part of)."""
    if recipe.merge.scale not in PER_DOMAIN:
        return {}
    corpora = ("general-synthetic", "general-real")
    return {domain.arm(corpus): (domain, corpus) for domain in domains(recipe) for corpus in corpora}


def held_out(rows: Iterable[Utterance], domain: Domain) -> set[str]:
    """Ids of the domain's utterances that its arms do not hear, the same on every machine.

    They are those of the sentences whose hashes are smallest: HELD_OUT of them, LEAST or more, half of them at most. All
    readings of a sentence fall on one side.
    """
    marks = {row.id: fingerprint(row.text) for row in rows if domain.holds(row)}
    order = sorted(set(marks.values()))
    count = min(max(LEAST, round(HELD_OUT * len(order))), len(order) // 2)
    chosen = set(order[:count])
    return {name for name, mark in marks.items() if mark in chosen}
