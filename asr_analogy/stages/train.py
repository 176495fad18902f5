"""train: fine-tune the base once per arm.

Arms A (general-synthetic) and B (general-real) see the same sentences in the same batches and order, with the same seed
and steps. Every arm runs a fixed number of steps; with `train.patience` each may stop earlier, by utterances of its own
corpus that it does not train on, so that none of the target's real audio chooses anything. With `train.seeds` an arm is the mean of one run per seed, each a folder of its own in `seeds/`. Torch is imported only where an
arm is to be trained, so that finished arms are skipped at once.
"""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from asr_analogy.asr.hub import find, parameters
from asr_analogy.errors import DataError, RecipeError
from asr_analogy.recipe import Recipe, Train
from asr_analogy.speech.corpus import Corpus, lengths, read_corpus
from asr_analogy.workspace import Folder, Step, Workspace, content, digest, follower, processes, write_whole

log = logging.getLogger("asr_analogy")

ARMS = {"general-synthetic": "A", "general-real": "B", "domain-synthetic": "C"}
"""The three arms of the analogy and the letter each has in the formula."""
ORACLE = "domain-real"
"""Trained where real domain audio exists; never part of the product."""
PAIRED = ("general-synthetic", "general-real")
CORPORA = {
    **dict.fromkeys(PAIRED, PAIRED),
    "joint": ("general-real", "domain-synthetic"),
    "general-mixed": PAIRED,
    "continued": ("domain-synthetic",),
}
"""The corpora that an arm depends on, where it is not the one of its name."""
EXTRA = ("joint", "general-mixed", "continued")
"""Arms that no product is made of: what it has to beat."""
SLOWER = 0.1
"""Factor on the rate of the arm that continues another (SYN2REAL's own baseline)."""
METRICS = "metrics.jsonl"
NO_INPUT = {"checkpoint_minutes", "tracker", "mix", "start_from"}
"""Options of train that change no weight, or those of one arm only."""
MEMORY = {"precision", "freeze", "lora", "average", "pack", "timestamps", "gradient_checkpointing", "optimizer"}
"""Options of train by which a batch takes more memory or less."""


def arms(recipe: Recipe) -> list[str]:
    """The arms that the recipe trains, in order; a stored vector stands for A and B."""
    own = [arm for arm in ARMS if recipe.general.vector is None or arm not in PAIRED]
    return [*own, *recipe.train.further_arms, *([ORACLE] if recipe.domain.real is not None else [])]


def folder(recipe: Recipe, workspace: Workspace, arm: str, force: bool = False, seed: int | None = None) -> Folder:
    """The model folder of an arm, or of its run with one of `train.seeds`, with everything it depends on.

    Raises DataError if its corpora are not prepared, or the arm that it continues is not trained.
    """
    options, root = recipe.train, workspace.root
    inputs = {
        "arm": arm,
        "base": digest(find(recipe.base)),
        "corpora": {name: content(root / "prepared" / name) for name in CORPORA.get(arm, (arm,))},
        "train": options.model_dump(exclude=NO_INPUT if seed is None else {*NO_INPUT, "seeds"}),
        "language": recipe.language,
        "seed": recipe.seed if seed is None else seed,
    }
    if arm == "joint":
        inputs["mix"] = options.mix
    if arm == "continued":
        inputs["start"] = content(root / "models" / str(options.start_from))
    return workspace.folder(f"models/{arm}" if seed is None else f"seeds/{arm}-{seed}", inputs, force)


def estimate(recipe: Recipe, workspace: Workspace, hours: Mapping[str, float]) -> list[Step]:
    """What train would do; `hours` holds the audio of each prepared corpus, as known or estimated."""
    from asr_analogy.asr.cost import TYPICAL, seconds
    from asr_analogy.asr.family import open_recogniser
    from asr_analogy.asr.packing import packs, share

    base = find(recipe.base)
    window = open_recogniser(base, recipe.language, weights=False).window
    shared = packs(recipe.train.pack, window, [TYPICAL])
    each = share(window, TYPICAL) if shared and window is not None else 1.0
    recipe, fits = _foreseen(recipe, workspace, each)
    options = recipe.train
    runs = len(options.seeds or [recipe.seed])
    heard = runs * options.steps * options.accumulate * options.clips * each
    cost = round(seconds(base, window, heard, 3), 1)
    megabytes = round(4e-6 * parameters(base), 1)
    steps = []
    for arm in arms(recipe):
        try:
            done = folder(recipe, workspace, arm).done()
        except DataError:  # its corpora are not prepared yet
            done = False
        detail = f"{options.steps} steps, {fits}" + (f", {runs} seeds" if runs > 1 else "")
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
    recipe = _settled(recipe, workspace, force)
    for arm in only or arms(recipe):
        place = folder(recipe, workspace, arm, force)
        if place.done():
            log.info("train: %s is there", arm)
            continue
        if recipe.train.seeds:
            _train_seeds(recipe, workspace, arm, place, force)
            continue
        with place.writing() as out:
            _train(recipe, workspace, arm, out, recipe.seed)
        _meet()


def _train_seeds(recipe: Recipe, workspace: Workspace, arm: str, place: Folder, force: bool) -> None:
    """Train an arm with every seed, finished ones skipped, and write the mean of their weights."""
    runs = {seed: folder(recipe, workspace, arm, force, seed) for seed in recipe.train.seeds or []}
    for seed, run in runs.items():
        if run.done():
            log.info("train: %s with seed %d is there", arm, seed)
            continue
        with run.writing() as out:
            _train(recipe, workspace, arm, out, seed)
        _meet()
    if not follower():
        _average(recipe, runs, place)
    _meet()


def _average(recipe: Recipe, runs: Mapping[int, Folder], place: Folder) -> None:
    """Write the mean of an arm's runs, by seed, into `place`."""
    from asr_analogy.asr.averaging import mean_folder

    with place.writing() as out:
        mean_folder([run.path for run in runs.values()], recipe.language, find(recipe.base), out)
        lines = [(seed, line) for seed, run in runs.items() for line in (run.path / METRICS).read_text().splitlines()]
        _write_metrics(out, [{"seed": seed, **json.loads(line)} for seed, line in lines])


def _meet() -> None:
    """Wait for the other processes of a launcher, if there are any."""
    if processes() > 1:
        from asr_analogy.asr.ranks import meet

        meet()


def _batch_folder(recipe: Recipe, workspace: Workspace, force: bool = False) -> Folder:
    """The folder that keeps the batch that `auto` found, so that every arm and every later call takes the same."""
    inputs = {
        "base": digest(find(recipe.base)),
        "corpora": {name: content(workspace.root / "prepared" / name) for name in _corpora(recipe)},
        "train": recipe.train.model_dump(include=MEMORY),
    }
    return workspace.folder("batch", inputs, force)


def _corpora(recipe: Recipe) -> list[str]:
    """The prepared corpora that the recipe's arms are trained on."""
    return sorted({name for arm in arms(recipe) for name in CORPORA.get(arm, (arm,))})


def _settled(recipe: Recipe, workspace: Workspace, force: bool) -> Recipe:
    """The recipe with a number for `batch: auto`: the largest that fits, found once in a workspace."""
    if recipe.train.batch != "auto":
        return recipe
    place = _batch_folder(recipe, workspace, force)
    if not follower():
        with workspace.turn("batch"):
            _settle(recipe, workspace, place)
    _meet()
    found = json.loads((place.path / "batch.json").read_text())
    log.info("train: batch of %d, found in %s", found["batch"], place.path)
    return _with_batch(recipe, found["batch"])


def _settle(recipe: Recipe, workspace: Workspace, place: Folder) -> None:
    if place.done():
        return
    from asr_analogy.asr.probe import largest_batch

    columns = ["id", "text", "duration"]
    rows = [row for name in _corpora(recipe) for row in read_corpus(workspace.root / "prepared" / name, columns)]
    with place.writing() as out:
        found = largest_batch(find(recipe.base), recipe.language, recipe.train, rows)
        write_whole(out / "batch.json", json.dumps(found, indent=1))


def _with_batch(recipe: Recipe, batch: int) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"batch": batch})})


def _foreseen(recipe: Recipe, workspace: Workspace, each: float) -> tuple[Recipe, str]:
    """The recipe with a number for its batch, and what is to be said of it: whether it fits, by an estimate.

    `each` is the share of a window that an utterance takes.
    """
    from asr_analogy.asr.memory import for_base, free

    need, space = for_base(find(recipe.base), recipe.train, recipe.prepare.longest), free()
    most = int(need.batch(space) / each)
    if recipe.train.batch == "auto":
        with suppress(DataError, RecipeError):  # not prepared yet, or found for other inputs
            place = _batch_folder(recipe, workspace)
            if place.done():
                most = json.loads((place.path / "batch.json").read_text())["batch"]
        return _with_batch(recipe, max(1, most)), f"batch auto, about {most}"
    wanted = need.total(math.ceil(recipe.train.clips * each))
    fits = "" if wanted <= space else f" of {space / 1e9:.1f} free: batches up to about {most} fit"
    return recipe, f"{wanted / 1e9:.1f} GB of memory{fits}"


def _write_metrics(out: Path, metrics: Sequence[Mapping[str, float]]) -> None:
    (out / METRICS).write_text("".join(json.dumps(line) + "\n" for line in metrics))


def _train(recipe: Recipe, workspace: Workspace, arm: str, out: Path, seed: int) -> None:
    """Fine-tune the base on one arm's corpus and write a model folder into `out`."""
    from accelerate.utils import set_seed

    from asr_analogy.asr.augmentation import heard
    from asr_analogy.asr.checkpoint import remove
    from asr_analogy.asr.family import open_recogniser
    from asr_analogy.asr.fitting import fit
    from asr_analogy.asr.folder import save
    from asr_analogy.asr.packing import planned

    _meet()
    options, base = recipe.train, find(recipe.base)
    utterances, durations = _utterances(workspace, arm) if arm not in EXTRA else _mixed(options, workspace, arm)
    held_out: Corpus | tuple[()] = ()
    if options.patience is not None:
        utterances, durations, held_out = _apart(utterances, durations)
    set_seed(seed)
    start = workspace.root / "models" / str(options.start_from)
    if arm == "continued":
        options = options.model_copy(update={"rate": options.rate * SLOWER})
    recogniser = open_recogniser(start if arm == "continued" else base, recipe.language)
    texts = [row.text for row in utterances.rows]
    clips, batches = planned(recogniser, utterances, texts, durations, options, seed)
    clips, visits = heard(recogniser, clips, batches, options.augment, seed)
    metrics = fit(arm, recogniser, clips, visits, options, out, workspace.root / "tracker", held_out)
    if not follower():
        save(recogniser, out, base)
        _write_metrics(out, metrics)
        remove(out)


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


def _apart(corpus: Corpus, durations: Sequence[float]) -> tuple[Corpus, list[float], Corpus]:
    """What is left to train on, its durations, and the utterances kept out of it, each once."""
    from asr_analogy.asr.stopping import kept_out

    ids = [row.id for row in corpus.rows]
    out = kept_out(ids)
    numbers = [number for number, name in enumerate(ids) if name not in out]
    apart = {name: number for number, name in enumerate(ids) if name in out}
    return corpus.chosen(numbers), [durations[number] for number in numbers], corpus.chosen(list(apart.values()))


def _mixed(options: Train, workspace: Workspace, arm: str) -> tuple[Corpus, list[float]]:
    """The utterances of an arm of EXTRA and their durations; joint repeats those of one corpus to reach its share."""
    folders = [workspace.root / "prepared" / name for name in CORPORA[arm]]
    found = Corpus(*folders)
    sizes = [lengths(folder)[1] for folder in folders]
    if arm == "joint" and options.mix and all(sizes):
        real, synthetic = sizes
        counts = (
            max(real, round(synthetic * (1 - options.mix) / options.mix)),
            max(synthetic, round(real * options.mix / (1 - options.mix))),
        )
        numbers = [index % real for index in range(counts[0])]
        found = found.chosen([*numbers, *(real + index % synthetic for index in range(counts[1]))])
    return found, [row.duration for row in found.rows]
