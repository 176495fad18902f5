"""A test set decoded part by part: killed, shared, put together."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import models
import pytest
import yaml

from asr_analogy.asr import transcripts
from asr_analogy.asr.panel import Panel
from asr_analogy.asr.transcripts import BATCHES, SECONDS, parts
from asr_analogy.recipe import Recipe
from asr_analogy.speech.jargon import jargon
from asr_analogy.stages.evaluate import _folder, evaluate
from asr_analogy.stages.merge import merge
from asr_analogy.stages.train import train
from asr_analogy.workspace import Folder, Workspace, content

TEXTS = [text + " " + other for text in models.TEXTS for other in models.TEXTS]


def folder(recipe: Recipe, place: Workspace, system: str, test: str) -> Folder:
    return _folder(Panel.of(recipe, place), place, system, test)


def prepared(base: Path, root: Path, **settings: Any) -> tuple[Recipe, Workspace]:
    """A run with trained arms and 64 utterances to test on: 4 parts of 2 clips at a time."""
    recipe, place = models.recipe(base, train={"steps": 1}, evaluate={"batch": 2, **settings}), Workspace(root)
    models.prepare(root, models.TEXTS)
    place.root.joinpath("prepared/domain-test").rename(root / "small")
    models.write_corpus(root, "domain-test", models.utterances(TEXTS, 3))
    train(recipe, place)
    merge(recipe, place)
    return recipe, place


def test_parts_go_from_short_to_long_and_hold_every_clip_once() -> None:
    durations = [float(number % 7 + 1) for number in range(100)]
    found = parts(durations, 4)
    assert sorted(sum(found, [])) == list(range(100)) and {len(part) for part in found[:-1]} == {4 * BATCHES}
    assert [durations[number] for number in sum(found, [])] == sorted(durations)
    assert parts([SECONDS, 1.0, 3 * SECONDS, 2.0, 2 * SECONDS], 4) == [[1, 3], [0], [4], [2]]
    assert parts([], 4) == []


@pytest.mark.parametrize("family", models.FAMILIES)
def test_a_killed_evaluation_goes_on_where_it_stood(family: str, tmp_path: Path) -> None:
    base = models.tiny(family, tmp_path / "base")
    recipe, place = prepared(base, tmp_path / "run")
    file, test = tmp_path / "recipe.yaml", place.root / "hypotheses/domain-test"
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json", exclude_defaults=True)))
    slow = (
        "import sys, time; from asr_analogy.asr import transcripts; real = transcripts.write_whole\n"
        "transcripts.write_whole = lambda *a: (real(*a), time.sleep(0.3))\n"
        "from asr_analogy.cli import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", slow, "eval", str(file), "--workspace", str(place.root)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(test.glob(".base.partial/0*.json"))) < 2:
        time.sleep(0.02)
    process.kill()
    process.wait()
    left = {part: part.stat().st_mtime_ns for part in sorted(test.glob(".base.partial/0*.json"))}
    assert 2 <= len(left) < 4 and not (test / "base").exists()
    (test / ".base.partial/00003.json.abcd.part").write_text("half")
    seen: list[Path] = []
    with pytest.MonkeyPatch.context() as patch:
        real = transcripts._decode
        patch.setattr(transcripts, "_decode", lambda file, *more: (seen.append(file), real(file, *more)))
        evaluate(recipe, place)
    assert [path.name for path in seen if path.parent.name == ".base.partial"] == [
        f"{number:05d}.json" for number in range(len(left), 4)
    ]
    assert sorted(path.name for path in (test / "base").iterdir()) == ["cost.json", "hypotheses.jsonl", "run.json"]
    again = Workspace(tmp_path / "again")
    (again.root / "hypotheses").mkdir(parents=True)
    for name in ("prepared", "models"):
        (again.root / name).symlink_to(place.root / name)
    evaluate(recipe, again)
    for system in ("base", "merged"):
        name = f"hypotheses/domain-test/{system}"
        assert content(again.root / name) == content(place.root / name)
    assert not list(test.glob(".*"))


def test_a_call_killed_while_putting_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, place = prepared(models.conformer(tmp_path / "base"), tmp_path / "run")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    jargon(recipe, place)  # is written before anything is decoded
    with monkeypatch.context() as patch:
        patch.setattr("asr_analogy.workspace.Folder.publish", stop)
        with pytest.raises(KeyboardInterrupt):
            evaluate(recipe, place)
    monkeypatch.setattr(transcripts, "_decode", stop)
    out = folder(recipe, place, "base", "domain-test").partial
    assert [path.name for path in out.glob("0*.json")] == [] and (out / "hypotheses.jsonl").exists()
    with pytest.raises(KeyboardInterrupt):  # of the next system: nothing of this one is decoded again
        evaluate(recipe, place)
    assert len((place.root / "hypotheses/domain-test/base/hypotheses.jsonl").read_text().splitlines()) == len(TEXTS)


def test_costs_stand_beside_and_change_no_content(tmp_path: Path) -> None:
    recipe, place = prepared(models.conformer(tmp_path / "base"), tmp_path / "run")
    evaluate(recipe, place)
    base = place.root / "hypotheses/domain-test/base"
    cost = json.loads((base / "cost.json").read_text())
    assert cost["audio_seconds"] == pytest.approx(sum(row.duration for row in models.utterances(TEXTS, 3)), abs=0.01)
    assert 0 < cost["seconds"] < 120 and cost["peak_mib"] > 50
    assert set(json.loads((base / "run.json").read_text())["files"]) == {"hypotheses.jsonl"}
    (base / "cost.json").unlink()
    assert folder(recipe, place, "base", "domain-test").done()


def test_beams_are_another_input(tmp_path: Path) -> None:
    base = models.conformer(tmp_path / "base")
    recipe, place = prepared(base, tmp_path / "run")
    greedy, wide = (
        folder(models.recipe(base, evaluate={"beams": beams}), place, "base", "domain-test") for beams in (1, 4)
    )
    assert "beams" not in greedy.inputs and wide.inputs["beams"] == 4
    with place.locked():
        evaluate(models.recipe(base, train={"steps": 1}, evaluate={"batch": 2, "beams": 4}), place)
    assert json.loads((place.root / "hypotheses/domain-test/base/run.json").read_text())["inputs"]["beams"] == 4
