"""The command line as a user meets it: output, exit codes, one-line errors, skipping, resuming."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asr_analogy.speech.corpus import read_corpus
from asr_analogy.workspace import Workspace

ROOT = Path(__file__).parent.parent
SMALL = [
    "train.steps=3", "train.batch=4", "train.warmup=1", "prepare.sentences=12", "evaluate.draws=200",
    "domain.test.limit=6", "general.test.limit=6",
]  # fmt: skip
TINY = [part for value in SMALL for part in ("--set", value)]
RECIPE = "recipes/quickstart-ctc.yaml"


def call(*arguments: object, code: int = 0, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asr_analogy.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment})
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a user error."""
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("asr-analogy: "), done.stderr
    return last


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the tiny quickstart has run to its end."""
    place = tmp_path_factory.mktemp("cli") / "run"
    done = call("run", RECIPE, "--workspace", place, *TINY)
    assert "STAND-IN" in done.stdout and "merged" in done.stdout
    return place


def test_run_writes_what_the_design_promises(finished: Path) -> None:
    names = {str(path.parent.relative_to(finished)) for path in finished.rglob("run.json")}
    models = {"models/general-synthetic", "models/general-real", "models/domain-synthetic", "models/merged"}
    corpora = {"general-synthetic", "general-real", "domain-synthetic", "domain-test", "general-test"}
    assert models | {f"prepared/{name}" for name in corpora} | {"scores", "report"} <= names
    found = json.loads((finished / "report/report.json").read_text())
    assert set(found["tests"]["domain-test"]["systems"]) == {"base", "general-real", "domain-synthetic", "merged"}
    assert found["tests"]["domain-test"]["utterances"] == 6
    assert "STAND-IN" in (finished / "report/report.md").read_text()
    record = json.loads((finished / "models/merged/run.json").read_text())
    assert {"inputs", "files", "content", "seconds", "versions", "commit", "machine"} <= set(record)


def test_second_run_skips_everything(finished: Path) -> None:
    times = {path: path.stat().st_mtime_ns for path in finished.glob("models/*/model.safetensors")}
    done = call("run", RECIPE, "--workspace", finished, *TINY)
    assert "train: domain-synthetic is there" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_other_inputs_are_refused_and_named(finished: Path) -> None:
    done = call("train", RECIPE, "--workspace", finished, *TINY, "--set", "train.rate=0.1", code=2)
    assert re.search(r"train.rate: [0-9.]+ -> 0.1\b.*--force", error_line(done))


def test_json_report(finished: Path) -> None:
    done = call("report", RECIPE, "--workspace", finished, *TINY, "--json")
    assert json.loads(done.stdout)["tests"]["domain-test"]["systems"]["merged"]["wer"] >= 0


def test_dry_run_of_a_finished_and_of_an_empty_workspace(finished: Path, tmp_path: Path) -> None:
    done = call("run", RECIPE, "--workspace", finished, *TINY, "--dry-run", "--json")
    assert all(step["done"] for step in json.loads(done.stdout)["steps"])
    done = call("run", RECIPE, "--workspace", tmp_path / "empty", *TINY, "--dry-run")
    assert re.search(r"run +prepared/domain-synthetic +0\.\d+ h +about", done.stdout)
    assert re.search(r"to do: about \d+ s on this machine, \d+ MB", done.stdout)
    assert not (tmp_path / "empty").exists()


def test_audit_of_a_finished_workspace(finished: Path) -> None:
    done = call("prepare", RECIPE, "--workspace", finished, *TINY, "--audit")
    assert "corpora are there" in done.stderr and (finished / "audit/pitch.svg").is_file()
    assert "general-real (stand-in)" in (finished / "audit/audit.md").read_text()


def test_joined_processes_help_a_run_and_a_second_run_is_refused(tmp_path: Path) -> None:
    with Workspace(tmp_path / "w").locked():
        done = call("prepare", RECIPE, "--workspace", tmp_path / "w", *TINY, code=5)
        assert "another run" in error_line(done)
        done = call("prepare", RECIPE, "--workspace", tmp_path / "w", *TINY, "--join", "--json")
        assert json.loads(done.stdout)["done"] == ["prepare"]
    assert len(list((tmp_path / "w").glob("prepared/*/summary.json"))) == 5
    for other in ("--audit", "--force"):
        assert "--join goes without" in error_line(call("prepare", RECIPE, "--join", other, code=2))


def test_compare_tts(tmp_path: Path) -> None:
    arguments = ["compare-tts", RECIPE, "--voices", "espeak,stand-in-train", "--sentences", 3, "--workspace"]
    done = call(*arguments, tmp_path / "w", "--json", "--listen", 1)
    found = json.loads(done.stdout)
    assert [row["card"] for row in found["cards"]] == ["espeak", "stand-in-train"] and len(found["sentences"]) == 3
    assert (tmp_path / "w/compare/listen/01-espeak.flac").is_file()
    done = call(*arguments, tmp_path / "w")
    assert re.search(r"general-real \(stand-in\) .*\n +espeak +\d", done.stdout) and "compare.md" in done.stdout


def test_a_stage_without_what_it_needs_says_what_to_run(tmp_path: Path) -> None:
    for stage in ("train", "merge", "eval", "report"):
        done = call(stage, RECIPE, "--workspace", tmp_path / stage, *TINY, code=3)
        assert "run the stage that makes it first" in error_line(done)


def test_eval_of_any_models(finished: Path, tmp_path: Path) -> None:
    rows = read_corpus(finished / "prepared/domain-test")
    lines = [{"audio": f"{row.id}.flac", "text": row.text, "speaker": row.speaker} for row in rows[:3]]
    lines += [{"audio": f"{row.id}.flac", "keywords": row.text.split()[:2]} for row in rows[3:]]
    for row in rows:
        (tmp_path / f"{row.id}.flac").write_bytes(row.flac)
    manifest, out = tmp_path / "test.jsonl", tmp_path / "out"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    models = ["--model", finished / "models/domain-synthetic", "--model", finished / "models/merged"]
    command = ["eval", "--test", manifest, *models, "--out", out]
    assert "would transcribe" in call(*command, "--dry-run").stdout and not out.exists()
    done = call(*command, "--set", "evaluate.draws=200")
    assert "test: 6 utterances" in done.stdout and "6 keywords" in done.stdout and "normaliser en-2" in done.stdout
    assert "merged" in done.stdout and "on this test set" in done.stdout
    done = call(*command, "--set", "evaluate.draws=200", "--json")
    found = json.loads(done.stdout)
    assert "eval: scores are there" in done.stderr and found["tests"]["test"]["systems"]["merged"]["terms"]["said"] == 6
    hypotheses = (out / "hypotheses/test/merged/hypotheses.jsonl").read_text().splitlines()
    kept = {row["id"]: row["hypothesis"] for row in map(json.loads, hypotheses)}
    ours = (finished / "hypotheses/domain-test/merged/hypotheses.jsonl").read_text().splitlines()
    assert kept == {row["id"]: row["hypothesis"] for row in map(json.loads, ours)}
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines[:2]))
    assert "made from other inputs" in error_line(call(*command, code=2))


def test_eval_without_a_recipe_says_what_is_wrong(finished: Path, tmp_path: Path) -> None:
    model, empty = finished / "models/merged", tmp_path / "empty.jsonl"
    empty.write_text("")
    given = {"--test": empty, "--model": model, "--out": tmp_path / "out"}

    def fault(code: int, *more: object, **changed: object) -> str:
        parts = given | {f"--{name}": value for name, value in changed.items()}
        arguments = [part for name, value in parts.items() if value is not None for part in (name, value)]
        return error_line(call("eval", *more, *arguments, code=code))

    assert "empty.jsonl: no utterance there" in fault(3)
    assert "none.jsonl: no such file" in fault(4, test=tmp_path / "none.jsonl")
    assert "--model is missing; give a recipe, or all of" in fault(2, model=None)
    assert "--test judges models without a recipe" in fault(2, RECIPE)
    assert "--set merge.scale=1: an evaluation of model folders takes evaluate.key=value only" in fault(
        2, "--set", "merge.scale=1"
    )
    assert "baselines: goes with a recipe" in fault(2, "--set", "evaluate.baselines=[average]")
    assert "is the workspace of a recipe" in fault(2, out=finished)
    assert "--workspace goes with a recipe" in fault(2, "--workspace", tmp_path / "w")
    bad = tmp_path / "bad.jsonl"
    for line, message in (
        ('{"audio": "a.wav", "keywords": "lien"}', '"keywords" is .lien.; write a list of texts'),
        ('{"audio": "a.wav", "text": NaN}', "test: none of 1 utterances is usable; the first: neither"),
        ("{", "bad.jsonl:1: not a JSON object"),
    ):
        bad.write_text(line + "\n")
        assert re.search(message, fault(3, test=bad))


def test_merge_of_folders(finished: Path, tmp_path: Path) -> None:
    models = finished / "models"
    arms = (
        "--to",
        models / "domain-synthetic",
        "--plus",
        models / "general-real",
        "--minus",
        models / "general-synthetic",
    )
    call("merge", *arms, "--scale", 0.7, "--out", tmp_path / "d")
    assert (tmp_path / "d/model.safetensors").read_bytes() == (models / "merged/model.safetensors").read_bytes()
    call("merge", *arms, "--scale", 0, "--out", tmp_path / "zero")
    assert (tmp_path / "zero/model.safetensors").read_bytes() == (
        models / "domain-synthetic/model.safetensors"
    ).read_bytes()
    done = call("merge", *arms, "--scale", 0.5, "--out", tmp_path / "d", code=2)
    assert "scale: 0.7 -> 0.5" in error_line(done)
    assert "--out is missing" in error_line(call("merge", *arms, code=2))
    assert "goes without a recipe" in error_line(call("merge", RECIPE, "--scale", 0.5, code=2))
    assert "no such folder" in error_line(
        call("merge", *arms[:4], "--minus", "./nowhere", "--out", tmp_path / "e", code=4)
    )


def test_merge_of_folders_by_a_rule(finished: Path, tmp_path: Path) -> None:
    models = finished / "models"
    arms = ["--to", models / "domain-synthetic", "--plus", models / "general-real"]
    arms += ["--minus", models / "general-synthetic", "--out", tmp_path / "d"]
    assert "give --base" in error_line(call("merge", *arms, "--rule", "ties", code=2))
    assert "did you mean density?" in error_line(call("merge", *arms, "--set", "merge.densty=1", code=2))
    assert "takes merge.key=value only" in error_line(call("merge", *arms, "--set", "train.steps=1", code=2))
    assert "goes without a recipe" in error_line(call("merge", RECIPE, "--base", "x", code=2))
    rule = ["--rule", "ties", "--base", ROOT / "data/foundations/conformer-micro", "--set", "merge.density=0.9"]
    rule += ["--set", "merge.where.encoder=1", "--scale", 0.5]
    dry = call("merge", *arms, *rule, "--dry-run")
    assert "combined by ties on" in dry.stdout and not (tmp_path / "d").exists()
    call("merge", *arms, *rule)
    inputs = json.loads((tmp_path / "d/run.json").read_text())["inputs"]
    assert (inputs["rule"], inputs["density"], inputs["where"]) == ("ties", 0.9, [["encoder", 1.0]])


def test_merge_refuses_an_arm_of_another_family(finished: Path, tmp_path: Path) -> None:
    whisper = ROOT / "data/foundations/whisper-micro"
    arms = (
        "--to",
        finished / "models/domain-synthetic",
        "--plus",
        whisper,
        "--minus",
        whisper,
        "--out",
        tmp_path / "d",
    )
    done = call("merge", *arms, code=2)
    assert "another model than --to" in error_line(done)
    assert not (tmp_path / "d").exists()


def test_interrupted_training_goes_on(tmp_path: Path) -> None:
    """Ctrl-C ends with 130 and the same command finishes with the bytes of an undisturbed run."""
    settings = [*TINY, "--set", "train.steps=40", "--set", "train.batch=8"]
    call("prepare", RECIPE, "--workspace", tmp_path / "a", *settings)
    call("prepare", RECIPE, "--workspace", tmp_path / "b", *settings)
    arguments = ["train", RECIPE, "--arm", "domain-synthetic", *settings, "--workspace"]
    call(*arguments, tmp_path / "a")
    command = [sys.executable, "-m", "asr_analogy.cli", *arguments, str(tmp_path / "b")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if "40 steps" in line:
            process.send_signal(2)
    assert process.wait() == 130
    assert "the same command goes on" in said[-1]
    assert not (tmp_path / "b/models/domain-synthetic").exists()
    call(*arguments, tmp_path / "b")
    name = "models/domain-synthetic/model.safetensors"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "recipes/nothing.yaml"], 4, "no such recipe"),
        (["run", RECIPE, "--set", "trian.steps=3"], 2, "did you mean train"),
        (["run", RECIPE, "--set", "train.stepps=3"], 2, "did you mean steps"),
        (["run", RECIPE, "--set", "train.steps"], 2, "write --set key.path=value"),
        (["prepare", RECIPE, "--set", "voices=nobody"], 4, "known: "),
        (["prepare", RECIPE, "--set", "general.real.simulate=cathedral"], 2, "no such room"),
        (["prepare", RECIPE, "--set", "base=./nowhere"], 4, "no such"),
        (["prepare", RECIPE, "--set", "base=someone/somewhere"], 4, "nor reachable"),
        (["prepare", RECIPE, "--set", "domain.text=nothing.txt"], 4, "nothing.txt"),
        (["train", RECIPE, "--arm", "nobody"], 2, "no such arm"),
        (["compare-tts", RECIPE, "--voices", "espeak,nobody"], 4, "known: "),
        (["compare-tts", RECIPE, "--voices", ","], 2, "names no card"),
    ],
    ids=lambda value: " ".join(value[1:4]) if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_line(arguments: list[str], code: int, words: str, tmp_path: Path) -> None:
    done = call(*arguments, "--workspace", tmp_path / "w", code=code)
    assert words in error_line(done), error_line(done)


def test_two_runs_in_one_workspace(tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "w").mkdir()
    with (tmp_path / "w/.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.write("4711")
        handle.flush()
        done = call("prepare", RECIPE, "--workspace", tmp_path / "w", code=5)
    assert "process 4711" in error_line(done)


def test_shipped_files_are_found_from_any_folder(tmp_path: Path) -> None:
    done = call("run", RECIPE, *TINY, "--dry-run", cwd=tmp_path)
    assert "prepared/general-real" in done.stdout


def test_arms_train_side_by_side(tmp_path: Path) -> None:
    call("prepare", RECIPE, "--workspace", tmp_path / "w", *TINY)
    with Workspace(tmp_path / "w").locked("general-real"):  # another process trains it
        done = call("train", RECIPE, "--workspace", tmp_path / "w", *TINY, "--arm", "domain-synthetic")
        assert "domain-synthetic, " in done.stderr
        assert "another run" in error_line(
            call("train", RECIPE, "--workspace", tmp_path / "w", *TINY, "--arm", "general-real", code=5)
        )
    assert (tmp_path / "w/models/domain-synthetic/model.safetensors").is_file()
