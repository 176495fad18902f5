"""geometry: how the vectors of a run, or any vectors, lie to one another. Costs one reading of the models."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_analogy.asr.hub import find
from asr_analogy.errors import DataError, RecipeError
from asr_analogy.recipe import Recipe
from asr_analogy.workspace import Workspace, content, digest, read_record, write_whole

if TYPE_CHECKING:
    from asr_analogy.vectors.difference import Delta
    from asr_analogy.vectors.store import Store

log = logging.getLogger("asr_analogy")

DOMAIN, VECTOR = "tau(C)", "B - A"
"""The two vectors of a run: what C learnt from the domain's synthetic speech, and the Synthetic2Real vector."""
SIZES = ("group", "vector", "norm", "% of base", "moved %")
PAIRS = ("group", "left", "right", "cosine", "overlap", "conflicts", "in top")


def geometry(recipe: Recipe, workspace: Workspace) -> None:
    """Compare C - base with the Synthetic2Real vector and write `geometry/`; skipped if it was made from these models.

    A base whose weights are pickled is left out with a line in the log. Raises DataError if an arm is not trained.
    """
    models = workspace.root / "models"
    arms = {name: content(models / name) for name in ("domain-synthetic", "general-real", "general-synthetic")
            if recipe.general.vector is None or name == "domain-synthetic"}  # fmt: skip
    inputs: dict[str, Any] = {"base": digest(find(recipe.base)), "arms": arms}
    if recipe.general.vector is not None:
        inputs["vector"] = _store(None).find(recipe.general.vector).record.sha256
    place = workspace.folder("geometry", inputs, force=True)
    record = read_record(place.path)
    if record is not None and record["inputs"] == place.inputs:
        return
    place.done()  # refuses a folder that is not ours
    try:
        found = _of_run(recipe, models)
    except DataError as error:
        log.warning("geometry: left out: %s", error)
        return
    with place.writing() as out:
        write_whole(out / "geometry.json", json.dumps(found, indent=1))


def _of_run(recipe: Recipe, models: Path) -> dict[str, Any]:
    from asr_analogy.asr.folder import anatomy
    from asr_analogy.vectors.difference import Difference
    from asr_analogy.vectors.geometry import measure
    from asr_analogy.vectors.record import norms
    from asr_analogy.vectors.stream import Weights

    base = find(recipe.base)
    buffers, ties = anatomy(base)
    vector: Delta
    if recipe.general.vector is not None:
        vector = _store(None).find(recipe.general.vector)
    else:
        vector = Difference.between(models / "general-synthetic", models / "general-real", buffers, ties)
    domain = Difference.between(base, models / "domain-synthetic", buffers, ties)
    return measure({DOMAIN: domain, VECTOR: vector}, norms(Weights.open(base), ties))


def _store(root: Path | None) -> "Store":
    from asr_analogy.vectors.store import Store

    return Store(root)


def deltas(store: "Store", names: Sequence[str], base: str | None = None) -> "dict[str, Delta]":
    """The vectors that `names` mean: of the store, vector folders, or (with `base`) fine-tunes of it.

    Raises RecipeError if two are of different bases.
    """
    from asr_analogy.asr.folder import anatomy
    from asr_analogy.vectors.difference import Difference

    found: dict[str, Delta] = {}
    for name in names:
        if name in found:
            raise RecipeError(f"vectors compare: {name} is given twice; a vector equals itself")
        if not ((folder := Path(name)) / "config.json").is_file():
            found[name] = store.find(name)
        elif base is None:
            raise RecipeError(f"{name}: a model folder is compared by what it learnt; give its --base")
        else:
            found[name] = Difference.between(find(base), folder, *anatomy(folder))
    return found


def compare(store: "Store", names: Sequence[str], base: str | None = None, top: float = 10.0) -> dict[str, Any]:
    """The geometry of two or more vectors (see vectors/geometry.py), as plain numbers.

    Raises RecipeError if two are of different bases, or not of `base`.
    """
    from asr_analogy.asr.folder import anatomy
    from asr_analogy.vectors.geometry import measure
    from asr_analogy.vectors.record import fingerprints
    from asr_analogy.vectors.record import norms as norms_of
    from asr_analogy.vectors.stream import Weights

    if len(names) < 2:
        raise RecipeError("vectors compare: give at least two vectors")
    found = deltas(store, names, base)
    records = [vector.record for vector in found.values() if hasattr(vector, "record")]
    for record in records[1:]:
        records[0].check_base(record.base.id, record.base.tensors)
    norms = {name: entry.base for name, entry in records[0].tensors.items() if entry.base} if records else {}
    if base is not None:
        weights, ties = Weights.open(find(base)), anatomy(find(base))[1]
        norms = norms_of(weights, ties)
        for record in records[:1]:
            record.check_base(base, fingerprints(weights, ties))
    return measure(found, norms, top)


def compared(found: dict[str, Any], layers: bool = False) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Table cells of sizes and of pairs, in the order of SIZES and PAIRS; single layers only if asked for."""
    sizes, pairs = list[tuple[str, ...]](), list[tuple[str, ...]]()
    for group, part in found["groups"].items():
        if group.startswith("layer ") and not layers:
            continue
        for label, one in part["sizes"].items():
            share = "" if one["relative"] is None else f"{100 * one['relative']:.3f}"
            sizes.append((group, label, f"{one['norm']:.4g}", share, f"{100 * one['moved']:.1f}"))
        for one in part["pairs"]:
            cells = [one["cosine"], one["overlap"], one["conflict"], one["conflict_top"]]
            numbers = [
                "" if value is None else f"{value:{'+' if index == 0 else ''}.3f}" for index, value in enumerate(cells)
            ]
            pairs.append((group, one["left"], one["right"], *numbers))
    return sizes, pairs
