"""Vectors of real (tiny) runs: saved, shown, compared, and equipped in place of the general arms."""

import json
import shutil
from pathlib import Path

import models
import pytest
import torch
from safetensors.torch import load_file, save_file

from asr_analogy.asr.panel import systems
from asr_analogy.errors import DataError, MissingError, RecipeError
from asr_analogy.recipe import Recipe
from asr_analogy.stages import train as training
from asr_analogy.stages.evaluate import evaluate
from asr_analogy.stages.geometry import DOMAIN, VECTOR, compare, geometry
from asr_analogy.stages.merge import equip_folders, estimate, merge
from asr_analogy.stages.report import report
from asr_analogy.stages.saving import save_copy, save_folders, save_from, save_run
from asr_analogy.stages.train import train
from asr_analogy.stages.vectors import described, listed, overview, summary
from asr_analogy.vectors.store import Store
from asr_analogy.workspace import Workspace, read_record

A, B, C = "general-synthetic", "general-real", "domain-synthetic"


def prepared(root: Path, base: Path) -> None:
    """Corpora with what prepare would record about them: base, voices, source."""
    models.prepare(root)
    cards = {A: {"backend": "espeak", "voices": ["x"]}}
    sources = {B: {"hub": "some/speech", "split": "train", "limit": 9}}
    for name in (A, B):
        path = root / "prepared" / name / "run.json"
        record = json.loads(path.read_text())
        record["inputs"] |= {"base": str(base), "stand_in": False, "card": cards.get(name), "source": sources.get(name)}
        path.write_text(json.dumps(record))


@pytest.fixture(scope="module", params=models.FAMILIES)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has been transcribed and scored, its base beside it."""
    root = tmp_path_factory.mktemp(request.param)
    models.tiny(request.param, root / "base")
    prepared(root / "run", root / "base")
    recipe, place = models.recipe(root / "base", merge={"scale": 0.5}), Workspace(root / "run")
    train(recipe, place)
    merge(recipe, place)
    evaluate(recipe, place)
    return root


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("ASR_ANALOGY_STORE", str(tmp_path / "store"))
    return Store()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def only_domain(root: Path, place: Path) -> tuple[Recipe, Workspace]:
    """A recipe that uses the stored vector `ready`, with the corpora that it needs."""
    for voice, name in ((2, C), (3, "domain-test")):
        models.write_corpus(place, name, models.utterances(voice=voice))
    data = models.recipe(root / "base", merge={"scale": 0.5}).model_dump(mode="json", exclude_unset=True)
    data["general"] = {"vector": "ready"}
    return Recipe.model_validate(data), Workspace(place)


def test_a_run_s_record(finished: Path, store: Store) -> None:
    record = save_run(store, "ready", finished / "run", licence="cc0-1.0").record
    found = summary(record)
    assert found["base"]["id"] == "base" and found["scale"] == 0.5 and found["language"] == "en"
    arms = found["arms"]
    assert arms["plus"]["speech"] == "recordings (some/speech train)" and arms["plus"]["seed"] == 1
    assert arms["minus"]["speech"] == "synthetic (espeak)" and arms["minus"]["voices"]["voices"] == ["x"]
    assert arms["plus"]["train"]["steps"] == 4 and set(arms["plus"]["corpora"]) == {A, B}
    scores = json.loads((finished / "run/scores/scores.json").read_text())["tests"]["domain-test"]["systems"]
    assert {one["system"]: one["wer"] for one in found["scores"]} == {
        name: scores[name]["wer"] for name in ("base", C, "merged")
    }
    text = "\n".join(f"{heading} {value}" for heading, value in described(found))
    assert "cc0-1.0" in text and "merged" in text and "WER not measured" in text
    assert str(finished) not in record.text(), "a path of this machine would travel with the vector"
    assert [row[0] for row in listed(overview(store))] == ["ready"]


def test_a_damaged_vector_is_listed_as_such(finished: Path, store: Store) -> None:
    folder = save_run(store, "ready", finished / "run").folder
    with (folder / "vector.safetensors").open("ab") as file:
        file.write(b"x")
    assert "not the weights" in listed(overview(store))[0][-1]


def test_a_stored_vector_gives_the_same_merged_model(finished: Path, store: Store, tmp_path: Path) -> None:
    """A and B are neither prepared nor trained; C is trained as before; D is bit for bit what the three arms give."""
    save_run(store, "ready", finished / "run")
    recipe, place = only_domain(finished, tmp_path / "short")
    assert training.arms(recipe) == [C]
    assert systems(recipe) == ["base", C, "merged"]
    assert [step.done for step in estimate(recipe, place)] == [False]
    train(recipe, place)
    merge(recipe, place)
    assert sorted(path.name for path in (place.root / "models").iterdir()) == [C, "merged"]
    ours, theirs = (weights(root / "models" / "merged") for root in (place.root, finished / "run"))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [step.done for step in estimate(recipe, place)] == [True]
    evaluate(recipe, place)
    geometry(recipe, place)
    found = report(recipe, place)
    assert list(found["tests"]["domain-test"]["systems"]) == ["base", C, "merged"]
    assert found["geometry"]["vectors"] == [DOMAIN, VECTOR]
    save_copy(store, "coarse", "ready", "int4")
    with pytest.raises(RecipeError, match=r"made from other inputs \(vector"):
        merge(recipe.model_copy(update={"general": recipe.general.model_copy(update={"vector": "coarse"})}), place)


def test_a_vector_that_is_not_there(finished: Path, store: Store, tmp_path: Path) -> None:
    recipe, place = only_domain(finished, tmp_path / "short")
    train(recipe, place)
    with pytest.raises(MissingError, match="ready: no such vector"):
        merge(recipe, place)


def test_another_base_is_refused(finished: Path, store: Store, tmp_path: Path) -> None:
    save_run(store, "ready", finished / "run")
    shutil.copytree(finished / "base", tmp_path / "base")
    tensors = weights(tmp_path / "base")
    name = sorted(tensors)[0]
    tensors[name] = tensors[name] + 1e-3
    save_file(tensors, tmp_path / "base" / "model.safetensors", {"format": "pt"})
    recipe, place = only_domain(tmp_path, tmp_path / "short")
    train(recipe, place)
    with pytest.raises(RecipeError, match=f"made for the base base, not for {recipe.base}: tensor '{name}' differs"):
        merge(recipe, place)
    assert not (place.root / "models" / "merged").exists()
    with pytest.raises(RecipeError, match="says that it was fine-tuned from another folder"):
        equip_folders(place.root / "models" / C, ["ready"], 0.5, tmp_path / "out")
    with pytest.raises(RecipeError, match="fine-tuned from another base than"):
        equip_folders(place.root / "models" / C, ["ready"], 0.5, tmp_path / "out", str(finished / "base"))
    with pytest.raises(RecipeError, match=f"tensor '{name}' differs.*--base"):
        equip_folders(tmp_path / "base", ["ready"], 0.5, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_equipping_folders(finished: Path, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_run(store, "ready", finished / "run")
    save_copy(store, "coarse", "ready", "int8")
    c = finished / "run" / "models" / C
    given = equip_folders(c, ["ready", "coarse=-0.25"], 0.5, tmp_path / "out")
    assert given == {"ready": 0.5, "coarse": -0.25}
    found, start = weights(tmp_path / "out"), weights(c)
    vectors = [store.open(name) for name in ("ready", "coarse")]
    for name in vectors[0].names:
        wanted = start[name] + 0.5 * vectors[0].tensor(name) - 0.25 * vectors[1].tensor(name)
        assert torch.allclose(found[name], wanted, atol=1e-6), name
    assert (tmp_path / "out" / "config.json").read_bytes() == (c / "config.json").read_bytes()
    assert set((read_record(tmp_path / "out") or {})["inputs"]) == {"--to", "vectors"}
    equip_folders(finished / "base", [f"{store.root}/ready"], 1.0, tmp_path / "on-base")
    stranger = Path(shutil.copytree(c, tmp_path / "stranger", ignore=lambda *_: {"run.json"}))
    with pytest.raises(RecipeError, match="--base"):
        equip_folders(stranger, ["ready"], 0.5, tmp_path / "trusted")
    equip_folders(stranger, ["ready"], 0.5, tmp_path / "trusted", str(finished / "base"))
    assert "taken on trust" in caplog.text
    for names, message in ((["ready=x"], "write NAME, or NAME=0.5"), (["ready", "ready=2"], "named twice")):
        with pytest.raises(RecipeError, match=message):
            equip_folders(c, names, 0.5, tmp_path / "never")
    with pytest.raises(RecipeError, match="would replace --to"):
        equip_folders(stranger, ["ready"], 0.5, stranger, force=True)


def test_saving_two_folders_and_a_copy(finished: Path, store: Store) -> None:
    run = finished / "run" / "models"
    one = save_folders(store, "two", str(run / B), str(run / A), str(finished / "base"))
    other = save_run(store, "ready", finished / "run")
    assert all(torch.equal(one.tensor(name), other.tensor(name)) for name in other.names)
    copy = save_from(store, "coarse", "ready", "int8").record
    assert copy.parents == (f"ready@{other.record.sha256}",) and copy.scores == other.record.scores
    assert copy.size < other.record.size
    with pytest.raises(RecipeError, match="go with a run"):
        save_from(store, "x", "ready", measure=True)


def test_the_cost_of_an_encoding_is_measured_on_request(finished: Path, store: Store, tmp_path: Path) -> None:
    record = save_run(store, "ready", finished / "run", "lowrank", measure=True).record
    assert record.wer_change is not None
    assert save_run(store, "exact", finished / "run", measure=True).record.wer_change == 0
    copy = Path(shutil.copytree(finished / "run", tmp_path / "run"))
    shutil.rmtree(copy / "hypotheses")
    with pytest.raises(DataError, match="run `asr-analogy eval` first"):
        save_run(store, "other", copy, measure=True)


def test_a_run_that_is_not_trained_or_has_another_base(finished: Path, store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="models/general-real: not finished"):
        save_run(store, "x", tmp_path)
    run = finished / "run" / "models"
    shutil.copytree(finished / "base", tmp_path / "base")
    (tmp_path / "base" / "extra.txt").write_text("x")
    with pytest.raises(RecipeError, match="not fine-tuned from .*base as it is now"):
        save_folders(store, "x", str(run / B), str(run / A), str(tmp_path / "base"))
    assert store.names() == []


def test_a_pickled_base_is_hashed_through_its_model(finished: Path, store: Store, tmp_path: Path) -> None:
    base = Path(shutil.copytree(finished / "base", tmp_path / "base"))
    torch.save(weights(base), base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()
    run = finished / "run" / "models"
    for name in (A, B):
        shutil.copytree(run / name, tmp_path / name, ignore=lambda *_: {"run.json"})
    record = save_folders(store, "pickled", str(tmp_path / B), str(tmp_path / A), str(base)).record
    other = save_run(store, "ready", finished / "run").record
    assert record.base.tensors == other.base.tensors


def test_comparing(finished: Path, store: Store) -> None:
    save_run(store, "ready", finished / "run")
    save_copy(store, "coarse", "ready", "int8")
    run = finished / "run" / "models"
    pair = compare(store, ["ready", "coarse"])["groups"]["all"]["pairs"][0]
    assert pair["cosine"] > 0.999
    found = compare(store, [str(run / B), str(run / A), "ready"], str(finished / "base"))
    b, a, base = weights(run / B), weights(run / A), weights(finished / "base")
    names = store.open("ready").names
    flat = {
        key: torch.cat([(one[name] - base[name]).reshape(-1).double() for name in names])
        for key, one in (("a", a), ("b", b))
    }
    cosine = float(flat["a"] @ flat["b"] / flat["a"].norm() / flat["b"].norm())
    assert found["groups"]["all"]["pairs"][0]["cosine"] == pytest.approx(cosine, abs=1e-5)
    size = found["groups"]["all"]["sizes"][str(run / B)]
    whole = torch.cat([base[name].reshape(-1).double() for name in names]).norm()
    assert size["relative"] == pytest.approx(float(flat["b"].norm() / whole), rel=1e-4)
    for names_, message in (
        (["ready"], "at least two"),
        (["ready", "ready"], "given twice"),
        (["ready", str(run / B)], "--base"),
    ):
        with pytest.raises(RecipeError, match=message):
            compare(store, names_)


def test_geometry_in_the_report(finished: Path, store: Store) -> None:
    recipe, place = models.recipe(finished / "base", merge={"scale": 0.5}), Workspace(finished / "run")
    geometry(recipe, place)
    path = finished / "run" / "geometry" / "geometry.json"
    time = path.stat().st_mtime_ns
    geometry(recipe, place)
    assert path.stat().st_mtime_ns == time
    found = report(recipe, place)
    text = (finished / "run" / "report" / "report.md").read_text()
    assert found["geometry"]["verdict"] in text and "| attention |" in text and "provisional" in text
