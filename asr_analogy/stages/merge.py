"""merge: C + scale * (B - A), or another rule on the same vectors, checked for common parents, written as a model folder.

Torch is imported only where something is to be merged.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_analogy.asr.hub import FAMILIES, find, parameters, read_config, read_json
from asr_analogy.errors import DataError, RecipeError
from asr_analogy.recipe import SPARSE, Merge, Recipe
from asr_analogy.tts.voice import load_card
from asr_analogy.workspace import Folder, Step, Workspace, content, digest, read_record

if TYPE_CHECKING:
    from asr_analogy.vectors.record import Record

log = logging.getLogger("asr_analogy")

ARMS = {"--to": "domain-synthetic", "--plus": "general-real", "--minus": "general-synthetic"}
"""The arm of a recipe that each option of a merge by folders stands for."""

RANDOM = ("dare", "dare-ties", "della")
"""Rules whose result depends on the seed."""

VOCABULARIES = ("vocab.json", "tokenizer.json")


def folder(recipe: Recipe, workspace: Workspace, force: bool = False) -> Folder:
    """The folder of the merged model with everything it depends on. Raises DataError if an arm is not trained."""
    if recipe.general.vector is not None:
        from asr_analogy.vectors.store import Store

        inputs = {"vector": Store().find(recipe.general.vector).record.sha256, "scale": recipe.merge.scale}
        inputs["to"] = content(workspace.root / "models" / ARMS["--to"])
        return workspace.folder("models/merged", inputs, force)
    arms = {name.removeprefix("--"): content(workspace.root / "models" / arm) for name, arm in ARMS.items()}
    return workspace.folder("models/merged", {"arms": arms, **_settings(recipe.merge, recipe.seed)}, force)


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
    parts += [f"scale {how.scale:g}"] + ([f"density {how.density:g}"] if how.rule in SPARSE else [])
    return ", ".join([*parts, *(f"{part} {factor}" for part, factor in how.where.items())])


def merge(recipe: Recipe, workspace: Workspace, force: bool = False) -> None:
    """Merge the recipe's arms into `models/merged`; skipped if it is there."""
    place = folder(recipe, workspace, force)
    if place.done():
        log.info("merge: merged is there")
        return
    if recipe.general.vector is not None:
        if recipe.merge.rule != "analogy" or recipe.merge.where:
            raise RecipeError(
                "merge.rule, merge.where: a stored vector (general.vector) is added as it is; leave them out"
            )
        _check_voices(recipe, recipe.general.vector)
    models = {name: workspace.root / "models" / arm for name, arm in ARMS.items()}
    if recipe.merge.rule != "analogy":
        models["--base"] = find(recipe.base)
    with place.writing() as out:
        if recipe.general.vector is not None:
            _equip(models["--to"], {recipe.general.vector: recipe.merge.scale}, recipe.base, out)
            return
        _merge(models, recipe.merge, recipe.seed, out)


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
    vector, rule = Vector(plus, minus, how.scale, how.where), Rule(how.rule, how.density, seed)
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
