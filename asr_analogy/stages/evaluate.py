"""evaluate: transcribe the test sets first, score the transcripts afterwards.

Hypotheses are kept, so scoring can be run again (another normaliser, more draws) without a model. Torch is
imported only where something is to be transcribed.
"""

import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_analogy.asr.hub import find
from asr_analogy.errors import DataError
from asr_analogy.progress import progress
from asr_analogy.recipe import Recipe
from asr_analogy.speech.corpus import Corpus, Utterance
from asr_analogy.text.normaliser import normaliser
from asr_analogy.text.scoring import Counts, bootstrap, count_characters, count_words, paired_bootstrap, raw, total
from asr_analogy.workspace import (
    Folder,
    Step,
    Workspace,
    content,
    digest,
    follower,
    read_record,
    write_whole,
)

if TYPE_CHECKING:
    from asr_analogy.asr.family import Recogniser

log = logging.getLogger("asr_analogy")

BASE, BASELINE = "base", "domain-synthetic"
SYSTEMS = (BASE, "general-real", BASELINE, "joint", "general-mixed", "continued", "merged", "domain-real")
"""Systems in the order of the table; the last is the oracle. It and the arms beside the analogy's are there if trained."""
TESTS = ("domain-test", "general-test")


def systems(recipe: Recipe) -> list[str]:
    """The systems that the recipe's table shows."""
    left_out = {"joint", "general-mixed", "continued"} - set(recipe.train.further_arms)
    left_out |= {"domain-real"} if recipe.domain.real is None else set()
    left_out |= {"general-real"} if recipe.general.vector is not None else set()
    return [name for name in SYSTEMS if name not in left_out]


def tests(recipe: Recipe) -> list[str]:
    """The test sets that the recipe gives."""
    return [name for name in TESTS if name != "general-test" or recipe.general.test is not None]


def folder(recipe: Recipe, workspace: Workspace, system: str, test: str, force: bool = False) -> Folder:
    """The folder of one system's transcripts of one test set."""
    model = digest(find(recipe.base)) if system == BASE else content(workspace.root / "models" / system)
    inputs = {
        "model": model,
        "test": content(workspace.root / "prepared" / test),
        "language": recipe.language,
        "batch": recipe.evaluate.batch,
        **({"beams": recipe.evaluate.beams} if recipe.evaluate.beams > 1 else {}),
    }
    return workspace.folder(f"hypotheses/{test}/{system}", inputs, force)


def scores_folder(recipe: Recipe, workspace: Workspace, force: bool = False) -> Folder:
    """The folder of the scores of all systems."""
    found = {
        f"{test}/{name}": content(workspace.root / "hypotheses" / test / name)
        for test in tests(recipe)
        for name in systems(recipe)
    }
    inputs = {
        "hypotheses": found,
        "normaliser": normaliser(recipe.language).name,
        "draws": recipe.evaluate.draws,
        "group": recipe.evaluate.group,
        "seed": recipe.seed,
    }
    return workspace.folder("scores", inputs, force)


def estimate(recipe: Recipe, workspace: Workspace, hours: Mapping[str, float]) -> list[Step]:
    """What evaluate would do; `hours` holds the audio of each prepared corpus, as known or estimated."""
    from asr_analogy.asr.cost import TYPICAL, seconds
    from asr_analogy.asr.family import open_recogniser

    base = find(recipe.base)
    window = open_recogniser(base, recipe.language, weights=False).window
    steps = []
    for test in tests(recipe):
        audio = hours.get(test, 0.0)
        cost = round(seconds(base, window, 3600 * audio / TYPICAL, 2), 1)
        for system in systems(recipe):
            try:
                done = folder(recipe, workspace, system, test).done()
            except DataError:  # its model or test set is not there yet
                done = False
            steps.append(Step(f"hypotheses/{test}/{system}", done, "", audio, 0.0 if done else cost, 0.1))
    return steps


def evaluate(recipe: Recipe, workspace: Workspace, force: bool = False) -> None:
    """Transcribe every test set with every system and score; finished parts are skipped."""
    for system in systems(recipe):
        todo = [(test, folder(recipe, workspace, system, test, force)) for test in tests(recipe)]
        todo = [(test, place) for test, place in todo if not place.done()]
        if not todo:
            continue
        from asr_analogy.asr.family import ready

        recogniser = ready(find(recipe.base) if system == BASE else workspace.root / "models" / system, recipe.language)
        for test, place in todo:
            _transcribe(recogniser, recipe, workspace.root / "prepared" / test, f"{system} on {test}", place)
    if follower():  # scores are the first process's
        return
    place = scores_folder(recipe, workspace, force)
    if place.done():
        log.info("eval: scores are there")
        return
    with place.writing() as out:
        write_whole(out / "scores.json", json.dumps(_scores(recipe, workspace), indent=1))


def _transcribe(
    recogniser: "Recogniser", recipe: Recipe, corpus: Path, title: str, place: Folder, prompt: Sequence[str] = ()
) -> None:
    """Write hypotheses.jsonl, in corpus order, and cost.json; several processes may do it together."""
    from asr_analogy.asr.transcripts import sum_up, write_parts

    utterances, options, out = Corpus(corpus), recipe.evaluate, place.partial
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
    return row | {"speaker": utterance.speaker, "duration": utterance.duration}


def _scores(recipe: Recipe, workspace: Workspace) -> dict[str, Any]:
    """All counts, rates and intervals, per test set and system."""
    form = normaliser(recipe.language)
    found: dict[str, Any] = {
        "normaliser": form.name,
        "draws": recipe.evaluate.draws,
        "group": recipe.evaluate.group,
        "tests": {},
    }
    for test in tests(recipe):
        rows = {name: _rows(workspace.root / "hypotheses" / test / name) for name in systems(recipe)}
        references = [row["reference"] for row in rows[BASELINE]]
        groups = [row["speaker"] or row["id"] for row in rows[BASELINE]] if recipe.evaluate.group == "speaker" else None
        hypotheses = {name: [row["hypothesis"] for row in lines] for name, lines in rows.items()}
        words = {name: count_words(references, texts, form) for name, texts in hypotheses.items()}
        if not total(words[BASELINE]).words:
            raise DataError(f"{test}: its transcripts hold no word to score; give a test set with transcripts")
        table = {}
        for name, texts in hypotheses.items():
            table[name] = _system(recipe, words[name], words[BASELINE], groups)
            table[name]["cer"] = _round(total(count_characters(references, texts, form)).rate)
            table[name]["raw_wer"] = _round(total(count_words(references, texts, raw)).rate)
        record = read_record(workspace.root / "prepared" / test) or {"inputs": {}}
        found["tests"][test] = {
            "utterances": len(references),
            "words": total(words[BASELINE]).words,
            "speakers": len({row["speaker"] for row in rows[BASELINE]}),
            "stand_in": bool(record["inputs"].get("stand_in")),
            "dropped": json.loads((workspace.root / "prepared" / test / "summary.json").read_text())["dropped"],
            "systems": table,
        }
    return found


def _system(recipe: Recipe, own: list[Counts], baseline: list[Counts], groups: list[str] | None) -> dict[str, Any]:
    draws, seed, counts = recipe.evaluate.draws, recipe.seed, total(own)
    interval = bootstrap(own, groups, draws, seed)
    difference = paired_bootstrap(own, baseline, groups, draws, seed)
    reference = total(baseline).rate
    return {
        "wer": _round(counts.rate),
        "wer_interval": [_round(interval.low), _round(interval.high)],
        "substitutions": counts.substitutions,
        "deletions": counts.deletions,
        "insertions": counts.insertions,
        "difference_to_c": _round(counts.rate - reference),
        "difference_interval": [_round(difference.low), _round(difference.high)],
        "relative_to_c": _round(100 * (counts.rate - reference) / reference) if reference else None,
        "probability_better": _round(difference.better),
    }


def _rows(folder: Path) -> list[dict[str, Any]]:
    with (folder / "hypotheses.jsonl").open(encoding="utf-8", newline="\n") as lines:  # a text may hold other line ends
        return [json.loads(line) for line in lines]


def _round(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)
