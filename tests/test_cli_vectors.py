"""The group `vectors` and `merge --vector` as a user types them."""

import json
import re
from pathlib import Path

import models
import pytest
import yaml

from asr_analogy.cli import main
from asr_analogy.stages.train import train
from asr_analogy.workspace import Workspace

A, B, C = "general-synthetic", "general-real", "domain-synthetic"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose arms are trained, its base beside it."""
    root = tmp_path_factory.mktemp("vectors")
    models.tiny("conformer", root / "base")
    models.prepare(root / "run")
    path = root / "run" / "prepared" / A / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "inputs": {**record["inputs"], "base": str(root / "base")}}))
    train(models.recipe(root / "base"), Workspace(root / "run"))
    return root


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASR_ANALOGY_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def call(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    """stdout of a command that succeeds, the one line on stderr of one that fails."""
    with pytest.raises(SystemExit) as caught:
        main([str(one) for one in arguments])
    out = capsys.readouterr()
    assert (caught.value.code or 0) == code, out.err
    if code:
        last = out.err.strip().splitlines()[-1]
        assert last.startswith("asr-analogy: ")
        return last
    return out.out


def test_a_vector_s_life(run: Path, shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "0 vectors" in call(capsys, "vectors", "list")
    text = call(capsys, "vectors", "save", "mine", "--from", run / "run", "--licence", "cc0-1.0")
    assert re.search(r"licence +cc0-1.0", text) and re.search(r"encoding +exact", text)
    shown = json.loads(call(capsys, "vectors", "save", "small", "--from", "mine", "--encoding", "int4", "--json"))
    assert shown["encoding"] == "int4" and shown["licence"] == "cc0-1.0" and 0 < shown["error"] < 0.2
    listed = json.loads(call(capsys, "vectors", "list", "--json"))
    assert listed["store"] == str(shelf) and [row["name"] for row in listed["vectors"]] == ["mine", "small"]
    assert "int4" in call(capsys, "vectors", "show", "small")
    text = call(capsys, "vectors", "compare", "mine", "small", "--layers")
    assert (
        "say largely the same" in text and "layer wav2vec2_conformer.encoder.layers.0" in text and "attention" in text
    )
    found = json.loads(call(capsys, "vectors", "compare", "mine", "small", "--top", "5", "--json"))
    assert found["top"] == 5 and found["groups"]["all"]["pairs"][0]["cosine"] > 0.9
    c = run / "run" / "models" / C
    out = json.loads(
        call(capsys, "vectors", "apply", "mine", "small=0.1", "--to", c, "--out", tmp_path / "D", "--json")
    )
    assert out["vectors"] == {"mine": 0.3, "small": 0.1}
    call(capsys, "merge", "--to", c, "--vector", "mine=0.3", "--vector", "small=0.1", "--out", tmp_path / "E")
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in "DE"]
    assert files[0] == files[1] != (c / "model.safetensors").read_bytes()
    assert "removed: mine" in call(capsys, "vectors", "remove", "mine")
    assert "small" in call(capsys, "vectors", "list") and not (shelf / "mine").exists()


def test_folders_and_another_store(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place, arms = run / "run" / "models", ["--base", run / "base"]
    store = ["--store", tmp_path / "elsewhere"]
    call(capsys, "vectors", "save", "mine", "--plus", place / B, "--minus", place / A, *arms, *store)
    assert (tmp_path / "elsewhere" / "mine" / "vector.safetensors").is_file()
    assert "mine" in call(capsys, "vectors", "compare", "mine", place / B, *arms, *store)


def test_usage_errors_are_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, code, message in (
        (["save", "mine"], 2, "give --from WORKSPACE"),
        (["save", "mine", "--plus", "x"], 2, "give --from WORKSPACE"),
        (["save", "mine", "--from", run / "run", "--base", "x"], 2, "give --from WORKSPACE"),
        (["save", "../mine", "--from", run / "run"], 2, "not a name for a vector"),
        (["show", "mine"], 4, "no such vector"),
        (["apply", "mine", "--to", run / "base", "--out", tmp_path / "D"], 4, "no such vector"),
        (["remove", "mine"], 4, "no such vector"),
        (["compare", "mine"], 2, "at least two"),
        (["push", "mine", "a/b"], 4, "no such vector"),
        (["pull", "nobody/nothing"], 4, r"cannot be pulled \((offline|LocalEntryNotFoundError)\)"),
    ):
        assert re.search(message, call(capsys, "vectors", *words, code=code)), words
    call(capsys, "vectors", "save", "mine", "--from", run / "run")
    assert "cannot push there (offline)" in call(capsys, "vectors", "push", "mine", "a/b", code=4)
    merge = ["merge", "--to", run / "base", "--vector", "mine"]
    assert "--out is missing" in call(capsys, *merge, code=2)
    assert "instead of --plus" in call(capsys, *merge, "--plus", run / "base", "--out", tmp_path / "D", code=2)
    assert "--plus is missing" in call(capsys, "merge", "--to", run / "base", "--base", run / "base", code=2)


def test_a_recipe_with_a_vector_plans_only_c(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.txt").write_text("A fee was paid. The cab was late.\n")
    (tmp_path / "test.txt").write_text("The judge was there.\n")
    test = {"simulate": "meeting-room", "text": str(tmp_path / "test.txt"), "voices": "stand-in-test"}
    recipe = {
        "name": "short", "base": str(run / "base"), "general": {"vector": "mine"},
        "domain": {"text": str(tmp_path / "text.txt"), "test": test},
    }  # fmt: skip
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(recipe))
    words = ["run", tmp_path / "short.yaml", "--workspace", tmp_path / "w", "--dry-run", "--json"]
    assert "mine: no such vector" in call(capsys, *words, code=4)
    call(capsys, "vectors", "save", "mine", "--from", run / "run")
    steps = [step["name"] for step in json.loads(call(capsys, *words))["steps"]]
    assert steps == [
        f"prepared/{C}", "prepared/domain-test", f"models/{C}", "models/merged", "hypotheses/domain-test/base",
        f"hypotheses/domain-test/{C}", "hypotheses/domain-test/merged",
    ]  # fmt: skip
    recipe["general"] = {}
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(recipe))
    assert "general: give real (speech with transcripts, or a stand-in), or vector" in call(capsys, *words, code=2)
