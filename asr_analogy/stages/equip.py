"""equip: C with a stored Synthetic2Real vector, or any model folder with several, checked for a common base.

Torch is imported only where something is to be equipped.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asr_analogy.asr.hub import find, parameters, read_config
from asr_analogy.errors import DataError, RecipeError
from asr_analogy.recipe import Recipe
from asr_analogy.tts.voice import load_card
from asr_analogy.workspace import Folder, Step, Workspace, content, digest, read_record

if TYPE_CHECKING:
    from asr_analogy.vectors.record import Record

log = logging.getLogger("asr_analogy")

TO = "domain-synthetic"
"""The arm of a recipe that gets the vector."""


def folder(recipe: Recipe, workspace: Workspace, force: bool = False) -> Folder:
    """The folder of the equipped model with everything it depends on.

    Raises DataError if the arm is not trained, MissingError for a vector that is not in the store.
    """
    from asr_analogy.vectors.store import Store

    assert recipe.general.vector is not None
    inputs = {"vector": Store().find(recipe.general.vector).record.sha256, "scale": recipe.merge.number}
    inputs["to"] = content(workspace.root / "models" / TO)
    return workspace.folder("models/merged", inputs, force)


def estimate(recipe: Recipe, workspace: Workspace) -> list[Step]:
    """What equip would do."""
    try:
        done = folder(recipe, workspace).done()
    except DataError:  # its arm is not trained yet
        done = False
    count = parameters(find(recipe.base))
    cost, megabytes = 0.0 if done else round(1 + count * 5e-9, 1), round(4e-6 * count, 1)
    return [Step("models/merged", done, f"scale {recipe.merge.number:g}", 0.0, cost, megabytes)]


def equip(recipe: Recipe, workspace: Workspace, force: bool = False) -> None:
    """Write C with the recipe's stored vector (general.vector) into `models/merged`; skipped if it is there."""
    if recipe.general.vector is None:
        raise RecipeError("general.vector: names no stored vector to equip; give one, or merge the recipe's own arms")
    place = folder(recipe, workspace, force)
    if place.done():
        log.info("merge: merged is there")
        return
    if recipe.merge.rule != "analogy" or recipe.merge.where:
        raise RecipeError("merge.rule, merge.where: a stored vector (general.vector) is added as it is; leave them out")
    _check_voices(recipe, recipe.general.vector)
    with place.writing() as out:
        _equip(workspace.root / "models" / TO, {recipe.general.vector: recipe.merge.number}, recipe.base, out)


def equip_folders(
    to: Path | str, vectors: Sequence[str], scale: float, out: Path, base: str | None = None,
    store: Path | None = None, force: bool = False,
) -> dict[str, float]:  # fmt: skip
    """Add stored vectors to the model folder `to`: NAME (with `scale`) or NAME=WEIGHT each. Returns name -> weight.

    `to` is the vectors' base, or says in its run.json that it was fine-tuned from it; for any other model `base` names
    the base it comes from. Raises RecipeError for another base, MissingError for a vector that is not in the store.
    """
    from asr_analogy.vectors.store import Store

    weights = dict(_weighted(text, scale) for text in vectors)
    if len(weights) != len(vectors):
        raise RecipeError("merge: a --vector is named twice; name each once and give it a weight, NAME=0.5")
    model, shelf = find(str(to)), Store(store)
    if model.resolve().is_relative_to(out.resolve()):
        raise RecipeError(f"--out {out}: would replace --to {model}; give another folder")
    inputs = {"--to": digest(model), "vectors": {shelf.find(name).record.sha256: w for name, w in weights.items()}}
    place = Workspace(out.resolve().parent).folder(out.resolve().name, inputs, force)
    if place.done():
        log.info("merge: %s is there", out)
        return weights
    with place.writing() as partial:
        _equip(model, weights, base, partial, store)
    return weights


def _weighted(text: str, scale: float) -> tuple[str, float]:
    """NAME or NAME=WEIGHT."""
    name, separator, weight = text.partition("=")
    try:
        return name, float(weight) if separator else scale
    except ValueError:
        raise RecipeError(f"--vector {text}: write NAME, or NAME=0.5") from None


def _equip(to: Path, weights: Mapping[str, float], base: str | None, out: Path, store: Path | None = None) -> None:
    """Check that every vector is of the model's base, then write the model with the vectors into `out`."""
    from asr_analogy.asr.folder import anatomy, copy_settings
    from asr_analogy.vectors.equip import equip
    from asr_analogy.vectors.store import Store

    read_config(to)
    buffers, ties = anatomy(to)
    found = [(name, Store(store).find(name), weight) for name, weight in weights.items()]
    for name, vector, _ in found:
        _check_vector(name, vector.record, to, base, ties)
    copy_settings(to, out)
    equip(to, found, out, buffers, ties)
    for name, vector, weight in found:
        log.info("merge: %g of the vector %s (%s)", weight, name, vector.record.encoding)


def _check_vector(name: str, record: "Record", to: Path, base: str | None, ties: Mapping[str, str]) -> None:
    """Refuse a model of another base than the vector's; say where the base is taken on trust."""
    from asr_analogy.asr.folder import as_safetensors
    from asr_analogy.vectors.record import fingerprints
    from asr_analogy.vectors.stream import Weights

    claimed = (read_record(to) or {}).get("inputs", {}).get("base")
    if base is not None:
        folder = find(base)
        with as_safetensors(folder) as place:
            record.check_base(base, fingerprints(Weights.open(place), ties))
        if claimed and claimed != digest(folder):
            raise RecipeError(f"{to}: fine-tuned from another base than {base}; equip fine-tunes of {record.base.id}")
    elif claimed:
        if claimed != record.base.folder:
            raise RecipeError(
                f"vector {name}: made for the base {record.base.id}, and {to} says that it was fine-tuned from another "
                "folder; if that is a copy of the same base, name it with --base"
            )
        return
    else:
        record.check_base(
            str(to), fingerprints(Weights.open(to), ties), ", or name the base that it comes from with --base"
        )
        return
    if not claimed:
        log.warning("merge: %s does not say which base it comes from; %s is taken on trust", to, base)


def _check_voices(recipe: Recipe, name: str) -> None:
    """Say it if the vector was learnt with other voices than those of the recipe: it repairs the accent of its own."""
    from asr_analogy.vectors.store import Store

    arm = Store().find(name).record.arms.get("minus")
    card = json.loads(load_card(recipe.voices).model_dump_json(exclude={"licence"}))
    if arm is not None and arm.voices is not None and arm.voices != card:
        log.warning(
            "merge: the vector %s was learnt with other voices than %s; it fits its own best", name, recipe.voices
        )
