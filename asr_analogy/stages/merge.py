"""merge: C + scale * (B - A), or another rule on the same vectors, checked for common parents, written as a model folder.

Torch is imported only where something is to be merged.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asr_analogy.asr.hub import FAMILIES, find, parameters, read_config, read_json
from asr_analogy.errors import DataError, RecipeError
from asr_analogy.recipe import SPARSE, Merge, Recipe
from asr_analogy.workspace import Folder, Step, Workspace, content, digest, read_record

log = logging.getLogger("asr_analogy")

ARMS = {"--to": "domain-synthetic", "--plus": "general-real", "--minus": "general-synthetic"}
"""The arm of a recipe that each option of a merge by folders stands for."""

CHOICE = Path("choice") / "choice.json"
"""Where the scale stands that was chosen for a recipe, in its workspace."""

RANDOM = ("dare", "dare-ties", "della")
"""Rules whose result depends on the seed."""

VOCABULARIES = ("vocab.json", "tokenizer.json")


def folder(recipe: Recipe, workspace: Workspace, force: bool = False) -> Folder:
    """The folder of the merged model with everything it depends on.

    Raises DataError if an arm is not trained, or the scale is not chosen yet.
    """
    how, by = _settled(recipe.merge, workspace), recipe.merge.scale
    arms = {name.removeprefix("--"): content(workspace.root / "models" / arm) for name, arm in ARMS.items()}
    chosen = {"by": by} if isinstance(by, str) else {}
    return workspace.folder("models/merged", {"arms": arms, **_settings(how, recipe.seed), **chosen}, force)


def _settled(how: Merge, workspace: Workspace) -> Merge:
    """The options with the scale that was chosen, and where it acts, if the recipe only says how to choose it."""
    if not isinstance(how.scale, str):
        return how
    content(workspace.root / CHOICE.parent)
    found = json.loads((workspace.root / CHOICE).read_text())
    where = how.where if found["where"] is None else found["where"]
    return how.model_copy(update={"scale": found["chosen"], "where": where, "max_forgetting": None})


def _settings(how: Merge, seed: int) -> dict[str, Any]:
    """The options that shape a merge; the plain analogy depends on its scale alone."""
    found: dict[str, Any] = {"scale": how.scale}
    if how.rule != "analogy":
        found |= {"rule": how.rule}
    if how.rule in SPARSE:
        found |= {"density": how.density}
    if how.rule in RANDOM:
        found |= {"seed": seed}
    return found | ({"where": [list(part) for part in how.where.items()]} if how.where else {})


def estimate(recipe: Recipe, workspace: Workspace) -> list[Step]:
    """What merge would do."""
    try:
        done = folder(recipe, workspace).done()
    except DataError:  # its arms are not trained yet
        done = False
    count = parameters(find(recipe.base))
    cost, megabytes = 0.0 if done else round(1 + count * 5e-9, 1), round(4e-6 * count, 1)
    return [Step("models/merged", done, describe(recipe.merge), 0.0, cost, megabytes)]


def describe(how: Merge) -> str:
    """The options of a merge in a few words."""
    parts: list[str] = [] if how.rule == "analogy" else [how.rule]
    scale = f"scale by {how.scale}" if isinstance(how.scale, str) else f"scale {how.scale:g}"
    parts += [scale] + ([f"density {how.density:g}"] if how.rule in SPARSE else [])
    return ", ".join([*parts, *(f"{part} {factor}" for part, factor in how.where.items())])


def merge(recipe: Recipe, workspace: Workspace, force: bool = False) -> None:
    """Merge the recipe's arms into `models/merged`; skipped if it is there."""
    if recipe.general.vector is not None:
        raise RecipeError("general.vector: a stored vector stands for A and B; call equip, which adds it to C")
    place = folder(recipe, workspace, force)
    if place.done():
        log.info("merge: merged is there")
        return
    models = {name: workspace.root / "models" / arm for name, arm in ARMS.items()}
    if recipe.merge.rule != "analogy":
        models["--base"] = find(recipe.base)
    how = _settled(recipe.merge, workspace)
    with place.writing() as out:
        _merge(models, how, recipe.seed, out)
        if how is not recipe.merge:
            shutil.copyfile(workspace.root / CHOICE, out / CHOICE.name)


def merge_folders(
    to: Path | str, plus: Path | str, minus: Path | str, scale: float, out: Path, force: bool = False,
    base: Path | str | None = None, how: Merge | None = None, seed: int = Recipe.model_fields["seed"].default,
) -> None:  # fmt: skip
    """Merge any three model folders (hub ids, plain safetensors files) into `out`, by the plain analogy or as `how` says.

    In the analogy the base cancels; the other rules need it as `base`. Raises DataError for weights that do not fit or are
    pickled, RecipeError for models of different bases, a base that is missing, or an `out` that is taken.
    """
    how = (how or Merge()).model_copy(update={"scale": scale})
    if how.rule != "analogy" and base is None:
        raise RecipeError(f"merge: rule {how.rule} combines vectors from the base on; give --base, a folder or hub id")
    given = {"--to": to, "--plus": plus, "--minus": minus} | (
        {"--base": base} if base and how.rule != "analogy" else {}
    )
    models = {name: Path(path) if Path(str(path)).is_file() else find(str(path)) for name, path in given.items()}
    for name, path in models.items():
        if path.resolve().is_relative_to(out.resolve()):
            raise RecipeError(f"--out {out}: would replace {name} {path}; give another folder")
    inputs = {name: digest(path) for name, path in models.items()} | _settings(how, seed)
    place = Workspace(out.resolve().parent).folder(out.resolve().name, inputs, force)
    if place.done():
        log.info("merge: %s is there", out)
        return
    with place.writing() as partial:
        _merge(models, how, seed, partial)


def _merge(models: Mapping[str, Path], how: Merge, seed: int, out: Path) -> None:
    from asr_analogy.asr.folder import anatomy, copy_files, copy_settings
    from asr_analogy.vectors.plan import Rule
    from asr_analogy.vectors.stream import Vector, combine

    to, plus, minus = (models[name] for name in ARMS)
    buffers: list[str] = []
    ties: dict[str, str] = {}
    if _is_plain(to):
        _check_plain(models)
        copy_files(to, out)
    else:
        _check_parents({name: models[name] for name in ARMS})
        copy_settings(to, out)
        buffers, ties = anatomy(to)
    _check_base(models)
    vector, rule = Vector(plus, minus, how.number, how.where), Rule(how.rule, how.density, seed)
    summary = combine(to, [vector], out, rule, models.get("--base"), buffers=buffers, ties=ties)
    share = summary.vector_norm / summary.to_norm if summary.to_norm else 0.0
    size = 100 * share
    log.info("merge: %d tensors, %s, vector %.2f %% of the model's norm", summary.parameters, describe(how), size)


def _is_plain(model: Path) -> bool:
    """True for weights of an architecture that we do not know: arithmetic needs no more than names and shapes."""
    return model.is_file() or (read_json(model / "config.json") or {}).get("model_type") not in FAMILIES


def _check_plain(models: Mapping[str, Path]) -> None:
    """Refuse a mixture of plain weights and models of a known family, and tokenizers that differ."""
    (first, leader), *others = models.items()
    for name, path in others:
        if not _is_plain(path):
            raise RecipeError(f"{name} {path}: another model than {first} {leader}; merge fine-tunes of one base")
        for file in VOCABULARIES:
            if all((each / file).is_file() for each in (leader, path)) and digest(leader / file) != digest(path / file):
                raise DataError(f"{name} {path}: another {file} than {first} {leader}; merge fine-tunes of one base")
    log.warning("merge: %s %s is of no known family; merged by the names and shapes of its tensors", first, leader)


def _check_base(models: Mapping[str, Path]) -> None:
    """Refuse a --base that one of the models says it was not fine-tuned from."""
    if "--base" not in models:
        return
    for name in ARMS:
        known = (read_record(models[name]) or {}).get("inputs", {}).get("base")
        if known and known != digest(models["--base"]):
            raise RecipeError(
                f"{name} {models[name]}: fine-tuned from another base than --base {models['--base']}; give its own"
            )


def _check_parents(models: Mapping[str, Path]) -> None:
    """Refuse models of other families, shapes, bases or vocabularies than the first; say where a base is unproven."""
    from asr_analogy.asr.folder import architecture, vocabulary

    (first, leader), *others = models.items()
    for path in models.values():
        read_config(path)
    ours, letters = architecture(leader), vocabulary(leader)
    bases = {name: (read_record(path) or {}).get("inputs", {}).get("base") for name, path in models.items()}
    for name, path in others:
        theirs = architecture(path)
        for key in sorted({*ours, *theirs}):
            if ours.get(key) != theirs.get(key):
                raise RecipeError(
                    f"{name} {path}: another model than {first} {leader}: {key} is {theirs.get(key)} against "
                    f"{ours.get(key)}; merge fine-tunes of one base"
                )
        if bases[first] and bases[name] and bases[name] != bases[first]:
            raise RecipeError(
                f"{name} {path}: fine-tuned from another base than {first} {leader}; merge fine-tunes of one base"
            )
        if vocabulary(path) != letters:
            raise DataError(
                f"{name} {path}: another vocabulary than {first} {leader}, so its outputs do not mean the same; "
                "merge fine-tunes of one base"
            )
    for name, path in models.items():
        if not bases[name]:
            log.warning("merge: %s %s does not say which base it comes from; taken on trust", name, path)
