"""evaluate: transcribe the test sets first, score the transcripts afterwards.

Hypotheses are kept, so scoring can be run again (another normaliser, more draws) without a model. Torch is
imported only where something is to be transcribed.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from asr_analogy.asr.hub import read_config
from asr_analogy.asr.panel import BASE, MIXTURES, PROMPTED, Panel, systems
from asr_analogy.errors import DataError, RecipeError
from asr_analogy.progress import progress
from asr_analogy.recipe import Evaluate, Recipe
from asr_analogy.speech.corpus import Corpus, Utterance
from asr_analogy.speech.jargon import jargon
from asr_analogy.text.scores import Scorer, rounded
from asr_analogy.workspace import (
    Folder,
    Step,
    Workspace,
    content,
    follower,
    hash_of,
    read_record,
    write_whole,
)

if TYPE_CHECKING:
    from asr_analogy.asr.family import Recogniser

log = logging.getLogger("asr_analogy")

FORMAT = 2
"""Of scores.json: scores of another one are made again."""


def _folder(panel: Panel, workspace: Workspace, system: str, test: str, force: bool = False) -> Folder:
    """The folder of one system's transcripts of one test set."""
    inputs = {
        "model": panel.model(system),
        "test": content(workspace.root / "prepared" / test),
        "language": panel.language,
        "batch": panel.options.batch,
        **({"beams": panel.options.beams} if panel.options.beams > 1 else {}),
        **({"prompt": list(panel.prompt)} if system == PROMPTED else {}),
    }
    return workspace.folder(f"hypotheses/{test}/{system}", inputs, force)


def estimate(recipe: Recipe, workspace: Workspace, hours: Mapping[str, float]) -> list[Step]:
    """What evaluate would do; `hours` holds the audio of each prepared corpus, as known or estimated."""
    from asr_analogy.asr.cost import TYPICAL, seconds
    from asr_analogy.asr.family import open_recogniser

    wanted = PROMPTED in systems(recipe)
    panel = Panel.of(recipe, workspace, jargon(recipe, workspace, keep=False) if wanted else None)
    base = panel.folders[BASE]
    window = open_recogniser(base, recipe.language, weights=False).window
    steps = []
    for test in panel.tests:
        audio = hours.get(test, 0.0)
        cost = round(seconds(base, window, 3600 * audio / TYPICAL, 2), 1)
        for system in panel.systems:
            try:
                done = _folder(panel, workspace, system, test).done()
            except DataError:  # its model or test set is not there yet
                done = False
            steps.append(Step(f"hypotheses/{test}/{system}", done, "", audio, 0.0 if done else cost, 0.1))
    return steps


def evaluate(recipe: Recipe, workspace: Workspace, force: bool = False) -> None:
    """Transcribe every test set with every system and score; finished parts are skipped."""
    terms = jargon(recipe, workspace)
    panel = Panel.of(recipe, workspace, terms)
    panel.form  # a fault in the spellings is found before hours of decoding  # noqa: B018
    if PROMPTED in panel.systems:
        _check_prompt(panel)
    _transcribe_all(panel, workspace, force)
    _score(panel, workspace, None if terms is None else [one.term for one in terms])


def _check_prompt(panel: Panel) -> None:
    """Refuse to prompt a base that takes no prompt, or with nothing."""
    if read_config(panel.folders[BASE])["model_type"] != "whisper":
        raise RecipeError("evaluate.baselines: prompted: only a Whisper base takes a prompt; leave prompted out")
    if not panel.prompt:
        raise RecipeError("evaluate.baselines: prompted: no terms of the domain are known; leave prompted out")


def evaluate_models(
    models: Sequence[str], workspace: Workspace, language: str, options: Evaluate, seed: int = 1, force: bool = False
) -> dict[str, Any]:
    """Let any models transcribe the prepared test set TEST, score them against the first, and return the scores.

    Models are folders or hub ids. Raises RecipeError if one is given twice, MissingError if one is not there.
    """
    panel = Panel.given(models, language, options, seed)
    panel.form  # noqa: B018
    _transcribe_all(panel, workspace, force)
    _score(panel, workspace, None)
    found: dict[str, Any] = json.loads((workspace.root / "scores" / "scores.json").read_text())
    return found


def _transcribe_all(panel: Panel, workspace: Workspace, force: bool) -> None:
    """Let every system transcribe the test sets that it has not transcribed yet."""
    for system in panel.systems:
        todo = [(test, _folder(panel, workspace, system, test, force)) for test in panel.tests]
        todo = [(test, place) for test, place in todo if not place.done()]
        if not todo:
            continue
        from asr_analogy.asr.family import ready

        with _opened(panel, workspace, system) as model:
            recogniser = ready(model, panel.language)
            for test, place in todo:
                corpus = workspace.root / "prepared" / test
                prompt = panel.prompt if system == PROMPTED else ()
                _transcribe(recogniser, panel.options, corpus, f"{system} on {test}", place, prompt)


@contextmanager
def _opened(panel: Panel, workspace: Workspace, system: str) -> Iterator[Path]:
    """The model folder of a system; a mixture is made for the while it is needed."""
    if system in panel.folders:
        yield panel.folders[system]
        return
    from asr_analogy.asr.folder import anatomy, as_safetensors, copy_settings
    from asr_analogy.vectors.stream import Vector, combine

    plus, minus, scale = MIXTURES[system]
    to = panel.folders[panel.baseline]
    with (
        TemporaryDirectory(prefix=f".{system}.", dir=workspace.root) as place,
        as_safetensors(panel.folders[minus]) as below,
    ):
        copy_settings(to, Path(place))
        buffers, ties = anatomy(to)
        combine(to, [Vector(panel.folders[plus], below, scale)], Path(place), buffers=buffers, ties=ties)
        yield Path(place)


def _transcribe(
    recogniser: "Recogniser", options: Evaluate, corpus: Path, title: str, place: Folder, prompt: Sequence[str] = ()
) -> None:
    """Write hypotheses.jsonl, in corpus order, and cost.json; several processes may do it together."""
    from asr_analogy.asr.transcripts import sum_up, write_parts

    utterances, out = Corpus(corpus), place.partial
    started = time.time()
    with place.shared() as claims:
        with progress(title, len(utterances)) as advance:
            write_parts(out, claims, recogniser, utterances, options.batch, options.beams, prompt, advance)

        def finish() -> None:
            sum_up(out, utterances, options.batch, _row)
            place.publish(started)

        claims.once("folder", place.done, finish)
    log.info("  %s: %d utterances", title, len(utterances))


def _row(utterance: Utterance, text: str) -> dict[str, Any]:
    """A line of hypotheses.jsonl."""
    row: dict[str, Any] = {"id": utterance.id, "reference": utterance.text, "hypothesis": text}
    row |= {"speaker": utterance.speaker, "duration": utterance.duration}
    return row | ({"keywords": list(utterance.keywords)} if utterance.keywords else {})


def _score(panel: Panel, workspace: Workspace, terms: Sequence[str] | None) -> None:
    """Write `scores/`, unless it was made from these transcripts in this way. Scores cost little: they are never refused."""
    if follower():  # scores are the first process's
        return
    root = workspace.root / "hypotheses"
    inputs = {
        "format": FORMAT,
        "hypotheses": {f"{test}/{name}": content(root / test / name) for test in panel.tests for name in panel.systems},
        "normaliser": panel.form.name,
        "terms": None if terms is None else hash_of(terms),
        "draws": panel.options.draws,
        "group": panel.options.group,
        "seed": panel.seed,
        "baseline": panel.baseline,
    }
    place = workspace.folder("scores", inputs, force=True)
    record = read_record(place.path)
    if record is not None and record["inputs"] == place.inputs:
        log.info("eval: scores are there")
        return
    place.done()  # refuses a folder that is not ours
    with place.writing() as out:
        write_whole(out / "scores.json", json.dumps(_scores(panel, workspace, terms), indent=1))


def _scores(panel: Panel, workspace: Workspace, terms: Sequence[str] | None) -> dict[str, Any]:
    """All counts, rates and intervals, per test set and system."""
    options = panel.options
    scorer = Scorer(panel.form, panel.baseline, terms, options.draws, options.group, panel.seed)
    found: dict[str, Any] = {"normaliser": scorer.form.name, "rate": "cer" if scorer.form.by_character else "wer"}
    found |= {"baseline": panel.baseline, "draws": options.draws, "group": options.group}
    found |= {"terms": None if terms is None else len(terms), "tests": {}}
    heard = {}
    for test, kind in panel.tests.items():
        rows = {name: _rows(workspace.root / "hypotheses" / test / name) for name in panel.systems}
        heard[test] = scorer.hear(test, rows)
        found["tests"][test] = {"kind": kind, **scorer.table(heard[test], rows)}
        found["tests"][test] |= _origin(workspace.root / "prepared" / test)
        for name, row in found["tests"][test]["systems"].items():
            row |= _cost(workspace.root / "hypotheses" / test / name)
    found["domains"] = scorer.over({test: heard[test] for test, kind in panel.tests.items() if kind == "domain"})
    return found


def _origin(prepared: Path) -> dict[str, Any]:
    """Whether a test set is a stand-in, and how many of its utterances were dropped."""
    record = read_record(prepared) or {"inputs": {}}
    dropped = json.loads((prepared / "summary.json").read_text())["dropped"]
    return {"stand_in": bool(record["inputs"].get("stand_in")), "dropped": dropped}


def _cost(hypotheses: Path) -> dict[str, Any]:
    """Real-time factor and memory of a decoding, where they were measured."""
    file = hypotheses / "cost.json"
    cost = json.loads(file.read_text()) if file.is_file() else {}
    audio = cost.get("audio_seconds")
    factor = rounded(cost["seconds"] / audio) if audio else None
    return {"real_time_factor": factor, "peak_mib": cost.get("peak_mib")}


def _rows(folder: Path) -> list[dict[str, Any]]:
    with (folder / "hypotheses.jsonl").open(encoding="utf-8", newline="\n") as lines:  # a text may hold other line ends
        return [json.loads(line) for line in lines]
