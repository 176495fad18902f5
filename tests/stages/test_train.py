import json
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import pytest
import torch
from safetensors.torch import load_file, save_file

from asr_analogy.asr import checkpoint
from asr_analogy.asr.family import Recogniser, open_recogniser
from asr_analogy.errors import DataError, RecipeError, ResourceError
from asr_analogy.recipe import Recipe
from asr_analogy.stages.train import arms, estimate, train
from asr_analogy.workspace import Workspace, read_record


def workspace(root: Path) -> Workspace:
    models.prepare(root)
    return Workspace(root)


def weights(place: Workspace, arm: str) -> bytes:
    return (place.root / "models" / arm / "model.safetensors").read_bytes()


def heard(monkeypatch: pytest.MonkeyPatch, base: Path, run: Any) -> list[list[str]]:
    """The labels of every batch the model was trained on, in order."""
    kind = type(open_recogniser(base, "en", weights=False))
    batch, found = kind.batch, []

    def listening(self: Recogniser, clips: Any, labels: Any) -> Any:
        found.append([tuple(label) for label in labels])
        return batch(self, clips, labels)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "batch", listening)
        run()
    return found


@pytest.mark.parametrize("family", models.FAMILIES)
def test_all_arms_become_model_folders(family: str, tmp_path: Path) -> None:
    base, place = models.tiny(family, tmp_path / "base", dtype=torch.float16), workspace(tmp_path / "run")
    recipe = models.recipe(base, train={"precision": "bf16", "steps": 2})
    train(recipe, place)
    for arm in ("general-synthetic", "general-real", "domain-synthetic"):
        folder = place.root / "models" / arm
        names = {file.name for file in folder.iterdir()}
        assert names >= {"model.safetensors", "config.json", "preprocessor_config.json", "vocab.json", "run.json"}
        assert not [name for name in names if name.startswith("checkpoint") or name.endswith((".bin", ".pt", ".part"))]
        stored = load_file(folder / "model.safetensors")
        assert {value.dtype for value in stored.values() if value.is_floating_point()} == {torch.float32}
        assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2
        record = read_record(folder)
        assert record and record["inputs"]["seed"] == 1 and "checkpoint_minutes" not in record["inputs"]["train"]
    assert len({weights(place, arm) for arm in ("general-synthetic", "general-real", "domain-synthetic")}) == 3
    before = (place.root / "models/general-real/run.json").stat().st_mtime_ns
    train(recipe, place)
    assert (place.root / "models/general-real/run.json").stat().st_mtime_ns == before
    with pytest.raises(RecipeError, match=r"made from other inputs \(train\.steps: 2 -> 3\); --force"):
        train(models.recipe(base, train={"precision": "bf16", "steps": 3}), place)


@pytest.mark.parametrize("family", models.FAMILIES)
def test_the_same_recipe_gives_the_same_bytes(family: str, tmp_path: Path) -> None:
    base = models.tiny(family, tmp_path / "base")
    first, second = workspace(tmp_path / "one"), workspace(tmp_path / "two")
    for place in (first, second):
        train(models.recipe(base), place, ["domain-synthetic"])
    records = [read_record(place.root / "models/domain-synthetic") for place in (first, second)]
    assert weights(first, "domain-synthetic") == weights(second, "domain-synthetic")
    assert records[0] and records[1] and records[0]["content"] == records[1]["content"]
    other = workspace(tmp_path / "three")
    train(models.recipe(base, seed=2), other, ["domain-synthetic"])
    assert weights(other, "domain-synthetic") != weights(first, "domain-synthetic")


@pytest.mark.parametrize(("family", "pack"), [("whisper", False), ("whisper", True), ("conformer", False)])
def test_both_general_arms_see_the_same_batches(
    family: str, pack: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the recordings last longer, stand in another order, and lack a sentence."""
    base = models.tiny(family, tmp_path / "base")
    models.write_corpus(tmp_path, "general-synthetic", models.utterances())
    # packed: three readings of A would fit in a window, but with those of B two
    models.write_corpus(tmp_path, "general-real", models.utterances(voice=1, seconds=0.75 if pack else 1.2)[:0:-1])
    recipe = models.recipe(base, train={"steps": 6, "accumulate": 2, "pack": pack})
    place = Workspace(tmp_path)
    seen = [
        heard(monkeypatch, base, lambda arm=arm: train(recipe, place, [arm]))
        for arm in ("general-synthetic", "general-real")
    ]
    assert seen[0] == seen[1] and len(seen[0]) == 12
    assert any(len(batch) == 1 for batch in seen[0]) is pack
    if not pack:
        assert len({label for batch in seen[0] for label in batch}) == len(models.TEXTS) - 1


def killed(recipe: Recipe, root: Path, after: int) -> int | None:
    """Train in a child process that kills itself (SIGKILL) once it has written `after` checkpoints; its exit code."""

    def child() -> None:
        real, count = checkpoint.write, iter(range(1, after))

        def write(*given: Any) -> None:
            real(*given)
            if next(count, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        checkpoint.write = write
        train(recipe, Workspace(root), ["domain-synthetic"])

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(120)
    return process.exitcode


@pytest.mark.parametrize("family", models.FAMILIES)
def test_kill_9_then_the_same_call_gives_the_same_bytes(family: str, tmp_path: Path) -> None:
    dropout = {"dropout": 0.2, "attention_dropout": 0.1}
    if family == "conformer":
        dropout = {"hidden_dropout": 0.2, "conformer_conv_dropout": 0.1, "mask_time_prob": 0.3, "layerdrop": 0.3}
    base = models.tiny(family, tmp_path / "base", **dropout)
    options = {"steps": 5, "accumulate": 2, "checkpoint_minutes": 0, "pack": family == "whisper"}
    recipe, place = models.recipe(base, train=options), workspace(tmp_path / "run")
    undisturbed = workspace(tmp_path / "undisturbed")
    train(models.recipe(base, train={**options, "checkpoint_minutes": 5}), undisturbed, ["domain-synthetic"])
    assert killed(recipe, place.root, after=2) == -signal.SIGKILL
    assert not (place.root / "models/domain-synthetic").exists()
    left = place.root / "models/.domain-synthetic.partial" / checkpoint.CHECKPOINT
    assert left.is_file()
    assert killed(recipe, place.root, after=1) == -signal.SIGKILL  # it went on from step 2, and dies again after 3
    train(recipe, place, ["domain-synthetic"])
    assert weights(place, "domain-synthetic") == weights(undisturbed, "domain-synthetic")
    logs = [(run.root / "models/domain-synthetic/metrics.jsonl").read_text() for run in (place, undisturbed)]
    assert logs[0] == logs[1] and json.loads(logs[0].splitlines()[-1])["step"] == 5
    assert not left.exists()


@pytest.mark.parametrize("family", models.FAMILIES)
def test_a_base_with_nan_stops_by_name_and_writes_no_model(family: str, tmp_path: Path) -> None:
    base, place = models.tiny(family, tmp_path / "base"), workspace(tmp_path / "run")
    stored = load_file(base / "model.safetensors")
    name = next(name for name in stored if name.endswith("layer_norm.weight"))
    stored[name][0] = torch.nan
    save_file(stored, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"general-real: the loss is nan at step 1 \(utterances 000000\d, 000000\d\)"):
        train(models.recipe(base), place, ["general-real"])
    assert not (place.root / "models/general-real").exists()


def test_a_pickled_base_makes_safetensors_arms(tmp_path: Path) -> None:
    base, place = models.tiny("conformer", tmp_path / "base"), workspace(tmp_path / "run")
    torch.save(load_file(base / "model.safetensors"), base / "pytorch_model.bin")
    train(models.recipe(base), place, ["general-real"])
    expected = weights(place, "general-real")
    (base / "model.safetensors").unlink()
    train(models.recipe(base), place, ["general-real"], force=True)
    assert weights(place, "general-real") == expected
    assert not list((place.root / "models/general-real").glob("*.bin"))


def test_unknown_arms_and_unprepared_corpora(tmp_path: Path) -> None:
    base, place = models.tiny("conformer", tmp_path / "base"), Workspace(tmp_path / "run")
    with pytest.raises(RecipeError, match="--arm general-fake: no such arm in this recipe; arms: general-synthetic, "):
        train(models.recipe(base), place, ["general-fake"])
    with pytest.raises(RecipeError, match="--arm domain-real: no such arm"):
        train(models.recipe(base), place, ["domain-real"])
    with pytest.raises(DataError, match="prepared/general-synthetic: not finished; run the stage that makes it first"):
        train(models.recipe(base), place)
    assert arms(models.recipe(base, oracle=True))[-1] == "domain-real"


def test_arms_without_a_common_sentence(tmp_path: Path) -> None:
    base = models.tiny("conformer", tmp_path / "base")
    models.write_corpus(tmp_path, "general-synthetic", models.utterances()[:4])
    models.write_corpus(tmp_path, "general-real", models.utterances()[4:])
    with pytest.raises(DataError, match="general-real: no sentence is left in both general arms"):
        train(models.recipe(base), Workspace(tmp_path), ["general-real"])


@pytest.mark.parametrize("family", models.FAMILIES)
def test_the_estimate_loads_no_weights(family: str, tmp_path: Path) -> None:
    base, place = models.tiny(family, tmp_path / "base"), Workspace(tmp_path / "run")
    data = (base / "model.safetensors").read_bytes()
    header = data[: 8 + int.from_bytes(data[:8], "little")]
    (base / "model.safetensors").write_bytes(header)
    steps = estimate(models.recipe(base), place, {"general-real": 0.5})
    assert [step.name for step in steps] == [f"models/{arm}" for arm in arms(models.recipe(base))]
    assert all(not step.done and 0 <= step.seconds < 600 and 0 < step.megabytes < 1 for step in steps)
    assert [step.audio_hours for step in steps] == [0.0, 0.5, 0.0] and steps[0].detail == "4 steps"
    with pytest.raises(DataError, match="not loadable"):
        open_recogniser(base, "en")


def test_the_estimate_knows_what_is_done(tmp_path: Path) -> None:
    base, place = models.tiny("conformer", tmp_path / "base"), workspace(tmp_path / "run")
    train(models.recipe(base), place, ["general-real"])
    steps = {step.name: step for step in estimate(models.recipe(base), place, {})}
    assert steps["models/general-real"].done and steps["models/general-real"].seconds == 0
    assert not steps["models/general-synthetic"].done


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_one_line_and_the_run_goes_on(small_disk: Path, tmp_path: Path) -> None:
    base = models.tiny("conformer", tmp_path / "base", hidden_size=32, intermediate_size=128)
    place = Workspace(small_disk)
    models.write_corpus(small_disk, "domain-synthetic", models.utterances(["ab", "cab"]))
    recipe = models.recipe(base, train={"checkpoint_minutes": 0})
    with pytest.raises(ResourceError, match="domain-synthetic: disk full; what was finished is kept"):
        train(recipe, place, ["domain-synthetic"])
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    train(recipe, place, ["domain-synthetic"])
    assert len(weights(place, "domain-synthetic")) > 100_000
