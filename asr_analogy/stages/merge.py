"""merge: C + scale * (B - A), checked for common parents, written as a model folder like any other.

Torch is imported only where something is to be merged.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from asr_analogy.asr.hub import find, parameters, read_config
from asr_analogy.errors import DataError, RecipeError
from asr_analogy.recipe import Recipe
from asr_analogy.workspace import Folder, Step, Workspace, content, digest, read_record

log = logging.getLogger("asr_analogy")

ARMS = {"--to": "domain-synthetic", "--plus": "general-real", "--minus": "general-synthetic"}
"""The arm of a recipe that each option of a merge by folders stands for."""


def folder(recipe: Recipe, workspace: Workspace, force: bool = False) -> Folder:
    """The folder of the merged model with everything it depends on. Raises DataError if an arm is not trained."""
    arms = {name.removeprefix("--"): content(workspace.root / "models" / arm) for name, arm in ARMS.items()}
    return workspace.folder("models/merged", {"arms": arms, "scale": recipe.merge.scale}, force)


def estimate(recipe: Recipe, workspace: Workspace) -> list[Step]:
    """What merge would do."""
    try:
        done = folder(recipe, workspace).done()
    except DataError:  # its arms are not trained yet
        done = False
    count = parameters(find(recipe.base))
    cost, megabytes = 0.0 if done else round(1 + count * 5e-9, 1), round(4e-6 * count, 1)
    return [Step("models/merged", done, f"scale {recipe.merge.scale:g}", 0.0, cost, megabytes)]


def merge(recipe: Recipe, workspace: Workspace, force: bool = False) -> None:
    """Merge the recipe's arms into `models/merged`; skipped if it is there."""
    place = folder(recipe, workspace, force)
    if place.done():
        log.info("merge: merged is there")
        return
    models = {name: workspace.root / "models" / arm for name, arm in ARMS.items()}
    with place.writing() as out:
        _merge(models, recipe.merge.scale, out)


def merge_folders(
    to: Path | str, plus: Path | str, minus: Path | str, scale: float, out: Path, force: bool = False
) -> None:
    """Merge any three model folders (or hub ids) into `out`; the base cancels, so it is not needed.

    Raises DataError for weights that do not fit or are pickled, RecipeError for models of different bases or an `out`
    that is taken.
    """
    models = {"--to": find(str(to)), "--plus": find(str(plus)), "--minus": find(str(minus))}
    for name, path in models.items():
        if path.resolve().is_relative_to(out.resolve()):
            raise RecipeError(f"--out {out}: would replace {name} {path}; give another folder")
    inputs = {name: digest(path) for name, path in models.items()} | {"scale": scale}
    place = Workspace(out.resolve().parent).folder(out.resolve().name, inputs, force)
    if place.done():
        log.info("merge: %s is there", out)
        return
    with place.writing() as partial:
        _merge(models, scale, partial)


def _merge(models: Mapping[str, Path], scale: float, out: Path) -> None:
    from asr_analogy.asr.folder import anatomy, copy_settings
    from asr_analogy.vectors.stream import merge as stream

    _check_parents(models)
    to = models["--to"]
    copy_settings(to, out)
    summary = stream(to, models["--plus"], models["--minus"], scale, out, *anatomy(to))
    share = summary.vector_norm / summary.to_norm if summary.to_norm else 0.0
    log.info("merge: %d tensors, scale %g, vector %.2f %% of the model's norm", summary.parameters, scale, 100 * share)


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
