"""merge: C + scale * (B - A), checked for common parents, written as a model folder like any other."""

import logging
import shutil
from pathlib import Path

from asr_analogy.asr.cost import parameters
from asr_analogy.asr.family import anatomy, find, read_config, vocabulary
from asr_analogy.errors import DataError, RecipeError
from asr_analogy.recipe import Recipe
from asr_analogy.vectors.stream import Summary
from asr_analogy.vectors.stream import merge as stream
from asr_analogy.workspace import RECORD, Folder, Step, Workspace, content, digest, read_record

log = logging.getLogger("asr_analogy")

WEIGHT_FILES = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json")
NOT_COPIED = (RECORD, "metrics.jsonl")
VARYING = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")
"""Keys of config.json that do not shape the weights."""


def folder(recipe: Recipe, workspace: Workspace, force: bool = False) -> Folder:
    """The folder of the merged model with everything it depends on."""
    arms = {letter: content(workspace.root / "models" / arm) for letter, arm in _arms().items()}
    return workspace.folder("models/merged", {"arms": arms, "scale": recipe.merge.scale}, force)


def _arms() -> dict[str, str]:
    return {"to": "domain-synthetic", "plus": "general-real", "minus": "general-synthetic"}


def estimate(recipe: Recipe, workspace: Workspace) -> list[Step]:
    """What merge would do."""
    try:
        done = folder(recipe, workspace).done()
    except DataError:  # its arms are not trained yet
        done = False
    count = parameters(find(recipe.base))
    return [Step("models/merged", done, f"scale {recipe.merge.scale:g}", 0.0, round(1 + count * 5e-9, 1), 4e-6 * count)]


def merge(recipe: Recipe, workspace: Workspace, force: bool = False) -> None:
    """Merge the recipe's arms into `models/merged`; skipped if it is there."""
    place = folder(recipe, workspace, force)
    if place.done():
        log.info("merge: merged is there")
        return
    models = {letter: workspace.root / "models" / arm for letter, arm in _arms().items()}
    with place.writing() as out:
        _merge(models["to"], models["plus"], models["minus"], recipe.merge.scale, out)


def merge_folders(
    to: Path | str, plus: Path | str, minus: Path | str, scale: float, out: Path, force: bool = False
) -> None:
    """Merge any three model folders (or hub ids) into `out`; the base cancels, so it is not needed.

    Raises DataError for weights that do not fit, RecipeError for models of different bases or an `out` that is taken.
    """
    paths = {"--to": find(str(to)), "--plus": find(str(plus)), "--minus": find(str(minus))}
    inputs = {name: digest(path) for name, path in paths.items()} | {"scale": scale}
    place = Workspace(out.resolve().parent).folder(out.name, inputs, force)
    if place.done():
        log.info("merge: %s is there", out)
        return
    with place.writing() as partial:
        _merge(paths["--to"], paths["--plus"], paths["--minus"], scale, partial)


def _merge(to: Path, plus: Path, minus: Path, scale: float, out: Path) -> Summary:
    _check_parents({"--to": to, "--plus": plus, "--minus": minus})
    buffers, ties = anatomy(to)
    for file in sorted(to.iterdir()):
        if file.is_file() and file.name not in NOT_COPIED and not file.name.endswith(WEIGHT_FILES):
            shutil.copyfile(file, out / file.name)
    summary = stream(to, plus, minus, scale, out, buffers, ties)
    share = summary.vector_norm / summary.to_norm if summary.to_norm else 0.0
    log.info("merge: %d tensors, scale %g, vector %.2f %% of the model's norm", summary.parameters, scale, 100 * share)
    return summary


def _check_parents(folders: dict[str, Path]) -> None:
    """Refuse models of different families, shapes, bases or vocabularies; say so where a common base is unproven."""
    configs = {name: read_config(path) for name, path in folders.items()}
    first, *others = folders
    for other in others:
        for key in sorted({*configs[first], *configs[other]} - {*VARYING}):
            if configs[first].get(key) != configs[other].get(key):
                values = f"{configs[first].get(key)} against {configs[other].get(key)}"
                raise RecipeError(
                    f"{other} {folders[other]}: another model than {first}: {key} is {values}; merge fine-tunes of one base"
                )
    bases = {name: (read_record(path) or {}).get("inputs", {}).get("base") for name, path in folders.items()}
    known = {base for base in bases.values() if base}
    if len(known) > 1:
        odd = next(name for name in others if bases[name] and bases[name] != bases[first])
        raise RecipeError(
            f"{odd} {folders[odd]}: fine-tuned from another base than {first}; merge fine-tunes of one base"
        )
    if None in bases.values():
        unproven = next(name for name, base in bases.items() if not base)
        log.warning("merge: %s %s does not say which base it comes from; taken on trust", unproven, folders[unproven])
    vocabularies = {name: vocabulary(path) for name, path in folders.items()}
    for other in others:
        if vocabularies[other] != vocabularies[first]:
            raise DataError(
                f"{other} {folders[other]}: another vocabulary than {first}; its outputs do not mean the same"
            )
