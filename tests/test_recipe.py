"""Recipes: what is read, what --set changes, and that every fault is named in one line."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from asr_analogy.errors import MissingError, RecipeError
from asr_analogy.recipe import Recipe, Source, shipped
from asr_analogy.speech.corpora import test_sets as sets

GOOD: dict[str, Any] = {
    "name": "trial",
    "base": "some/base",
    "general": {"text": "g.txt", "real": {"simulate": "office", "voices": "stand-in-train"}},
    "domain": {"text": "d.txt", "test": {"manifest": "test.jsonl"}},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(GOOD))
    return file


def fault(path: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        Recipe.load(path, overrides)
    message = str(caught.value)
    assert "\n" not in message and "Error" not in message
    return message


def test_shipped_recipes_load() -> None:
    recipes = list(shipped("recipes").glob("*.yaml"))
    assert recipes
    for file in recipes:
        assert Recipe.load(file).name


def test_defaults_and_overrides(path: Path) -> None:
    recipe = Recipe.load(path)
    assert (recipe.train.rate, recipe.merge.scale, recipe.voices) == (1e-5, 0.3, "espeak")
    changed = Recipe.load(
        path, ["train.rate=1e-4", "train.freeze=[model.encoder, x]", "general.test={parquet: p}", "merge.scale=-.5"]
    )
    assert changed.train.rate == 1e-4 and changed.merge.scale == -0.5
    assert changed.train.freeze == ["model.encoder", "x"]
    assert changed.general.test == Source(parquet=Path("p"))
    assert changed.train.steps == recipe.train.steps


@pytest.mark.parametrize("text", ["1e-5", "1.0e-5", "0.00001", "'1e-5'"])
def test_numbers_without_a_dot(path: Path, text: str) -> None:
    """YAML 1.1 reads 1e-5 as text."""
    assert Recipe.load(path, [f"train.rate={text}"]).train.rate == 1e-5
    path.write_text(yaml.safe_dump(GOOD) + f"train: {{rate: {text}}}\n")
    assert Recipe.load(path).train.rate == 1e-5


def test_set_makes_new_keys_and_fills_empty_ones(path: Path) -> None:
    path.write_text(yaml.safe_dump(GOOD) + "prepare:\n")
    recipe = Recipe.load(
        path, ["prepare.sentences=5", "domain.test.where.split=test", "domain.test.where.speaker=[1, 2]"]
    )
    assert recipe.prepare.sentences == 5
    assert recipe.domain.test.where == {"split": "test", "speaker": [1, 2]}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.steps", "--set train.steps: write --set key.path=value"),
        ("=5", "--set =5: write --set key.path=value"),
        ("base.x=1", "--set base.x=1: base is a single value and has no keys below it"),
        ("train.rate=[1", "--set train.rate=.*not valid YAML"),
        ("train.rate=!!python/object/apply:os.system ['false']", "not valid YAML"),
        ("trian.steps=5", "trian: unknown key; did you mean train?"),
        ("train.step=5", "train.step: unknown key; did you mean steps?"),
        ("general.real.voice=x", "general.real.voice: unknown key; did you mean voices?"),
        ("domain.real.qqqq=x", "domain.real.qqqq: unknown key; known here: hub, config"),
        ("train.steps=many", "train.steps: .*valid integer.*got 'many'"),
        ("train.steps=2.5", "train.steps: .*got 2.5"),
        ("train.steps=0", "train.steps: .*greater than 0.*got 0"),
        ("train.rate=.nan", "train.rate: "),
        ("merge.rule=tie", "merge.rule: .*'ties'"),
        ("merge.density=0.2", "merge: density goes with rule ties, .*not with analogy"),
        ("merge={rule: ties, density: 0}", "merge.density: .*greater than 0"),
        ("merge.where={encoder: much}", "merge.where.encoder: "),
        ("merge.where={encoder: [1, 0, 1]}", "merge.where.encoder: "),
        ("merge.where=encoder", "merge.where: "),
        ("merge.scale=.inf", "merge.scale: .*finite"),
        ("train.precision=fp8", "train.precision: .*'auto', 'bf16' or 'fp32'.*got 'fp8'"),
        ("train=5", "train: .*got 5"),
        ("general=", "general: .*got None"),
        ("domain.test.where.split={a: b}", r"domain.test.where.split: .*got \{'a': 'b'\}"),
        ("name=a/b", "name: "),
    ],
)
def test_wrong_overrides(path: Path, override: str, message: str) -> None:
    found = fault(path, override)
    assert re.search(message, found), found


def test_several_faults_at_once_each_once(path: Path) -> None:
    message = fault(
        path, "trian.steps=5", "train.rate=fast", "base=5", "domain.test.where.split={a: b}", "domain.text="
    )
    assert message.startswith(f"{path}: ")
    for key in ("trian: ", "train.rate: ", "base: ", "domain.test.where.split: ", "domain.text: "):
        assert message.count(key) == 1, (key, message)


def test_missing_keys(path: Path) -> None:
    path.write_text("name: x\ndomain: {text: d.txt}\n")
    message = fault(path)
    assert all(f"{key}: is required" in message for key in ("base", "general", "domain.test"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{hub: a, manifest: b}", "give exactly one of hub, manifest.*given: hub, manifest"),
        ("{}", "give exactly one of .*given: none"),
        ("{simulate: office, text: t}", "simulate needs voices"),
        ("{simulate: office, voices: espeak}", "domain.test is simulated and needs sentences: give domain.test.text"),
        ("{manifest: a, voices: espeak}", "voices goes with simulate, not with manifest"),
        ("{manifest: a, text: t}", "text goes with simulate, not with manifest"),
        ("{parquet: a, split: test}", "split goes with hub, not with parquet"),
        ("{simulate: office, voices: v, text: t, where: {a: 1}}", "where goes with hub or manifest"),
        ("{manifest: a, limit: 0}", "limit: "),
    ],
)
def test_sources(path: Path, source: str, message: str) -> None:
    found = fault(path, f"domain.test={source}")
    assert re.search(message, found), found


def test_simulated_general_speech_needs_text(path: Path) -> None:
    assert "general.real is simulated and needs sentences: give general.text" in fault(path, "general.text=")
    assert Recipe.load(path, ["general.text=", "general.real.text=other.txt"]).general.real.text == (Path("other.txt"),)


@pytest.mark.parametrize("name", ["../up", "/etc", "a/b", "..", ".hidden", "", "a\nb", "a b", "-x"])
def test_names_that_leave_the_workspace(path: Path, name: str) -> None:
    path.write_text(yaml.safe_dump({**GOOD, "name": name}))
    assert "name: " in fault(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [", "not valid YAML .*line 1"),
        (b"- a\n- b\n", "must be a mapping"),
        (b"", "must be a mapping"),
        (b"just words", "must be a mapping"),
        (b"\xff\xfe\x00\x01", "not valid YAML"),
        (b"PK\x03\x04\x00", "not valid YAML"),
        (b"a: " + b"[" * 5000, "not valid YAML"),
    ],
)
def test_files_that_are_no_recipe(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    found = fault(path)
    assert re.search(message, found), found


def test_python_tags_are_not_executed(path: Path, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    path.write_text(f"name: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{mark}']]\n")
    assert "not valid YAML" in fault(path)
    assert not mark.exists()


def test_missing_recipe(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(MissingError, match=f"{path}: no such recipe; the shipped ones are in"):
            Recipe.load(path)


def test_shipped_prefers_what_stands_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped("tts/espeak.yaml").is_file() and shipped("tts/espeak.yaml").is_absolute()
    (tmp_path / "tts").mkdir()
    (tmp_path / "tts" / "espeak.yaml").write_text("")
    assert shipped("tts/espeak.yaml") == Path("tts/espeak.yaml")
    assert shipped("no/such.file") == Path("no/such.file")


def test_several_test_sets_by_name(path: Path) -> None:
    recipe = Recipe.load(
        path, ["domain.test={court: {manifest: a}, board-2: {parquet: b}}", "general.test={x: {hub: h}}"]
    )
    assert recipe.domain.test == {"court": Source(manifest="a"), "board-2": Source(parquet=Path("b"))}
    assert list(sets(recipe)) == ["domain-test-court", "domain-test-board-2", "general-test-x"]
    assert list(sets(Recipe.load(path))) == ["domain-test"]
    assert Recipe.load(path, ["domain.test={court: {manifest: a}}"]).model_dump()["domain"]["test"]["court"]["split"]
    for override, message in (
        ("domain.test={court: {manifest: a, parquet: b}}", "domain.test.court: give exactly one of"),
        ("domain.test={court: {manfest: a}}", "domain.test.court.manfest: unknown key; did you mean manifest"),
        ("domain.test={manfest: a}", "domain.test.manfest: unknown key; did you mean manifest"),
        ("domain.test={a/b: {manifest: a}}", "domain.test.a/b"),
        ("domain.test={court: 5}", "domain.test.court: unknown key; known here: hub"),
        ("domain.test={}", "domain.test: give exactly one of"),
        ("domain.test=5", "domain.test: "),
        ("domain.test={court: {simulate: office, voices: v}}", "domain.test.court is simulated and needs sentences: give domain.test.court.text"),
    ):  # fmt: skip
        assert re.search(message, fault(path, override)), (override, fault(path, override))


def test_baselines_on_request(path: Path) -> None:
    assert Recipe.load(path, ["evaluate.baselines=[average, addition]"]).evaluate.baselines == ["average", "addition"]
    assert "'average', 'addition' or 'prompted'" in fault(path, "evaluate.baselines=[mean]")
    message = fault(path, "evaluate.baselines=[addition]", "general={vector: v}")
    assert "evaluate.baselines: addition needs general-real, which general.vector leaves out" in message
