"""train: fine-tune the base once per arm.

Arms A (general-synthetic) and B (general-real) see the same sentences in the same batches and order, with the same seed
and steps. Every arm runs a fixed number of steps: no dev set chooses anything, so none of the target's real audio can. Torch is imported only where an arm is to
be trained, so that finished arms are skipped at once.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from asr_analogy.asr.hub import find, parameters
from asr_analogy.errors import DataError, RecipeError
from asr_analogy.recipe import Recipe
from asr_analogy.speech.corpus import Corpus, read_corpus
from asr_analogy.workspace import Folder, Step, Workspace, content, digest

log = logging.getLogger("asr_analogy")

ARMS = {"general-synthetic": "A", "general-real": "B", "domain-synthetic": "C"}
"""The three arms of the analogy and the letter each has in the formula."""
ORACLE = "domain-real"
"""Trained where real domain audio exists; never part of the product."""
PAIRED = ("general-synthetic", "general-real")


def arms(recipe: Recipe) -> list[str]:
    """The arms that the recipe trains, in order."""
    return [*ARMS, *([ORACLE] if recipe.domain.real is not None else [])]


def folder(recipe: Recipe, workspace: Workspace, arm: str, force: bool = False) -> Folder:
    """The model folder of an arm with everything it depends on. Raises DataError if its corpora are not prepared."""
    corpora = PAIRED if arm in PAIRED else (arm,)
    inputs = {
        "arm": arm,
        "base": digest(find(recipe.base)),
        "corpora": {name: content(workspace.root / "prepared" / name) for name in corpora},
        "train": recipe.train.model_dump(exclude={"checkpoint_minutes"}),
        "language": recipe.language,
        "seed": recipe.seed,
    }
    return workspace.folder(f"models/{arm}", inputs, force)


def estimate(recipe: Recipe, workspace: Workspace, hours: Mapping[str, float]) -> list[Step]:
    """What train would do; `hours` holds the audio of each prepared corpus, as known or estimated."""
    from asr_analogy.asr.cost import TYPICAL, seconds
    from asr_analogy.asr.family import open_recogniser
    from asr_analogy.asr.packing import packs, share

    base, options = find(recipe.base), recipe.train
    window = open_recogniser(base, recipe.language, weights=False).window
    heard: float = options.steps * options.accumulate * options.batch
    if window is not None and packs(options.pack, window, [TYPICAL]):
        heard *= share(window, TYPICAL)
    cost = round(seconds(base, window, heard, 3), 1)
    megabytes = round(4e-6 * parameters(base), 1)
    steps = []
    for arm in arms(recipe):
        try:
            done = folder(recipe, workspace, arm).done()
        except DataError:  # its corpora are not prepared yet
            done = False
        detail = f"{options.steps} steps"
        steps.append(Step(f"models/{arm}", done, detail, hours.get(arm, 0.0), 0.0 if done else cost, megabytes))
    return steps


def train(recipe: Recipe, workspace: Workspace, only: Sequence[str] = (), force: bool = False) -> None:
    """Train every arm of the recipe (or `only` these) into `models/`; finished ones are skipped.

    Raises Interrupted on SIGINT or SIGTERM (a checkpoint is written first), DataError on a loss that is not finite,
    ResourceError when memory or the disk runs out.
    """
    unknown = sorted(set(only) - set(arms(recipe)))
    if unknown:
        raise RecipeError(f"--arm {unknown[0]}: no such arm in this recipe; arms: {', '.join(arms(recipe))}")
    for arm in only or arms(recipe):
        place = folder(recipe, workspace, arm, force)
        if place.done():
            log.info("train: %s is there", arm)
            continue
        with place.writing() as out:
            _train(recipe, workspace, arm, out)


def _train(recipe: Recipe, workspace: Workspace, arm: str, out: Path) -> None:
    """Fine-tune the base on one arm's corpus and write a model folder into `out`."""
    from accelerate.utils import set_seed

    from asr_analogy.asr.checkpoint import CHECKPOINT
    from asr_analogy.asr.family import open_recogniser
    from asr_analogy.asr.fitting import fit
    from asr_analogy.asr.folder import save
    from asr_analogy.asr.packing import planned

    options, base = recipe.train, find(recipe.base)
    utterances, durations = _utterances(workspace, arm)
    set_seed(recipe.seed)
    recogniser = open_recogniser(base, recipe.language)
    texts = [row.text for row in utterances.rows]
    heard, batches = planned(recogniser, utterances, texts, durations, options, recipe.seed)
    metrics = fit(arm, recogniser, heard, batches, options, out)
    save(recogniser, out, base)
    (out / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics))
    (out / CHECKPOINT).unlink(missing_ok=True)


def _utterances(workspace: Workspace, arm: str) -> tuple[Corpus, list[float]]:
    """The arm's utterances and the durations its batches are planned by.

    For a paired arm those of the longer reading of each sentence that both have, in the order of A.
    """
    prepared = workspace.root / "prepared"
    own = Corpus(prepared / arm)
    if arm not in PAIRED:
        return own, [row.duration for row in own.rows]
    synthetic, real = (
        {row.id: row.duration for row in read_corpus(prepared / name, ["id", "duration"])} for name in PAIRED
    )
    common = [name for name in synthetic if name in real]
    if not common:
        raise DataError(f"{arm}: no sentence is left in both general arms; see dropped.jsonl in {prepared}")
    return own.ordered(common), [max(synthetic[name], real[name]) for name in common]
