import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import pytest
import torch
from safetensors.torch import load_file, save_file

from asr_analogy.asr import checkpoint, folder
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
        made = place.root / "models" / arm
        names = {file.name for file in made.iterdir()}
        assert names >= {"model.safetensors", "config.json", "preprocessor_config.json", "vocab.json", "run.json"}
        assert not [name for name in names if name.startswith("checkpoint") or name.endswith((".bin", ".pt", ".part"))]
        stored = load_file(made / "model.safetensors")
        assert {value.dtype for value in stored.values() if value.is_floating_point()} == {torch.float32}
        assert len((made / "metrics.jsonl").read_text().splitlines()) == 2
        record = read_record(made)
        assert record and record["measured"]["audio_seconds_per_second"] > 0 and "measured.json" not in names
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


AT_CHECKPOINT, IN_A_STEP, IN_A_WRITE, BETWEEN_RENAMES, WHILE_SAVING = range(5)
"""Where a run can be killed."""


def die_at(place: int, after: int) -> None:
    """Have this process kill itself (SIGKILL) when it has come to this place `after` times before."""
    owner, name = {
        AT_CHECKPOINT: (checkpoint, "write"),
        IN_A_STEP: (torch.optim.AdamW, "step"),
        IN_A_WRITE: (checkpoint, "save_file"),
        BETWEEN_RENAMES: (Path, "replace"),
        WHILE_SAVING: (folder, "write_legacy"),
    }[place]
    real, left = getattr(owner, name), iter(range(after))

    def deadly(*given: Any, **named: Any) -> Any:
        if place == BETWEEN_RENAMES and not str(given[0]).endswith("checkpoint.safetensors.part"):
            return real(*given, **named)
        last = next(left, None) is None
        if last and place == IN_A_WRITE:
            given[1].write_bytes(b"half of it")
        if last and place == AT_CHECKPOINT:
            real(*given)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)

    setattr(owner, name, deadly)


def killed(recipe: Recipe, root: Path, place: int, after: int) -> int | None:
    """Train in a child process that is killed at this place; its exit code."""

    def child() -> None:
        die_at(place, after)
        train(recipe, Workspace(root), ["domain-synthetic"])

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(300)
    return process.exitcode


@pytest.mark.parametrize("family", models.FAMILIES)
def test_kill_9_then_the_same_call_gives_the_same_bytes(family: str, tmp_path: Path) -> None:
    """At a checkpoint, in a step, in the middle of writing, between the renames, while the model is saved."""
    dropout = {"dropout": 0.2, "attention_dropout": 0.1}
    if family == "conformer":
        dropout = {"hidden_dropout": 0.2, "conformer_conv_dropout": 0.1, "mask_time_prob": 0.3, "layerdrop": 0.3}
    base = models.tiny(family, tmp_path / "base", **dropout)
    augment = {"room": "office", "room_share": 0.6, "mask_feature_prob": 0.2, "mask_feature_length": 2}
    augment |= {"noise_share": 0.2} if family == "whisper" else {"mask_time_prob": 0.3, "mask_time_length": 2}
    options = {"steps": 9, "accumulate": 2, "average": "ema", "augment": augment, "pack": family == "whisper"}
    recipe, place = models.recipe(base, train={**options, "checkpoint_minutes": 0}), workspace(tmp_path / "run")
    undisturbed = workspace(tmp_path / "undisturbed")
    train(models.recipe(base, train=options), undisturbed, ["domain-synthetic"])
    left = place.root / "models/.domain-synthetic.partial"
    for point, after in (
        (IN_A_STEP, 1), (AT_CHECKPOINT, 1), (IN_A_WRITE, 1), (BETWEEN_RENAMES, 1), (IN_A_STEP, 2), (WHILE_SAVING, 0),
    ):  # fmt: skip
        assert killed(recipe, place.root, point, after) == -signal.SIGKILL
        assert not (place.root / "models/domain-synthetic").exists()
        assert (left / checkpoint.CHECKPOINT).is_file() or (left / checkpoint.BEFORE).is_file()
    train(recipe, place, ["domain-synthetic"])
    assert weights(place, "domain-synthetic") == weights(undisturbed, "domain-synthetic")
    logs = [(run.root / "models/domain-synthetic/metrics.jsonl").read_text() for run in (place, undisturbed)]
    assert logs[0] == logs[1] and json.loads(logs[0].splitlines()[-1])["step"] == 9
    assert not list((place.root / "models/domain-synthetic").glob("checkpoint*"))


def test_lora_goes_on_from_a_kill(tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="peft is not installed")
    base, options = models.tiny("whisper", tmp_path / "base"), {"lora": {"rank": 2, "dropout": 0.1}, "average": 2}
    recipe, place = models.recipe(base, train={**options, "checkpoint_minutes": 0}), workspace(tmp_path / "run")
    undisturbed = workspace(tmp_path / "undisturbed")
    train(models.recipe(base, train=options), undisturbed, ["domain-synthetic"])
    assert killed(recipe, place.root, IN_A_STEP, 2) == -signal.SIGKILL
    train(recipe, place, ["domain-synthetic"])
    assert weights(place, "domain-synthetic") == weights(undisturbed, "domain-synthetic")


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
    assert [step.audio_hours for step in steps] == [0.0, 0.5, 0.0]
    assert re.match(r"4 steps, 0\.\d GB of memory", steps[0].detail)
    adapted = models.recipe(base, train={"batch": "auto"})
    assert re.fullmatch(r"4 steps, batch auto, about \d+", estimate(adapted, place, {})[0].detail)
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


def test_a_disk_that_fills_between_two_checkpoints_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    base = models.tiny("conformer", tmp_path / "base", hidden_size=32, hidden_dropout=0.2)
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    place, undisturbed = workspace(small_disk), workspace(tmp_path / "undisturbed")
    recipe = models.recipe(base, train={"checkpoint_minutes": 0, "average": "ema"})
    train(recipe, undisturbed, ["domain-synthetic"])
    assert killed(recipe, place.root, AT_CHECKPOINT, 1) == -signal.SIGKILL
    last = place.root / "models/.domain-synthetic.partial" / checkpoint.CHECKPOINT
    before = last.read_bytes()
    room = shutil.disk_usage(small_disk).used + len(before) // 2
    subprocess.run(["mount", "-o", f"remount,size={room // 1024}k", small_disk], check=True)
    with pytest.raises(ResourceError, match="domain-synthetic: disk full; what was finished is kept"):
        train(recipe, place, ["domain-synthetic"])
    assert last.read_bytes() == before
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    train(recipe, place, ["domain-synthetic"])
    assert weights(place, "domain-synthetic") == weights(undisturbed, "domain-synthetic")


def mean(paths: list[Path], name: str) -> torch.Tensor:
    return sum(load_file(path / "model.safetensors")[name].double() for path in paths) / len(paths)  # type: ignore[return-value]


@pytest.mark.parametrize("family", models.FAMILIES)
def test_seeds_are_trained_one_by_one_and_averaged(family: str, tmp_path: Path) -> None:
    base, place = models.tiny(family, tmp_path / "base"), workspace(tmp_path / "run")
    recipe = models.recipe(base, train={"seeds": [3, 5], "steps": 2})
    train(recipe, place, ["general-real"])
    runs = [place.root / f"seeds/general-real-{seed}" for seed in (3, 5)]
    made = place.root / "models/general-real"
    for name, value in load_file(made / "model.safetensors").items():
        if value.is_floating_point() and "running_" not in name:
            assert torch.allclose(value.double(), mean(runs, name), atol=1e-6)
    lines = [json.loads(line) for line in (made / "metrics.jsonl").read_text().splitlines()]
    assert [(line["seed"], line["step"]) for line in lines] == [(3, 1), (3, 2), (5, 1), (5, 2)]
    one = workspace(tmp_path / "one")
    train(models.recipe(base, train={"steps": 2}, seed=5), one, ["general-real"])
    assert weights(one, "general-real") == (runs[1] / "model.safetensors").read_bytes()
    before = [(run / "run.json").stat().st_mtime_ns for run in runs]
    shutil.rmtree(made)
    train(recipe, place, ["general-real"])  # the runs are there; only their mean is made again
    assert [(run / "run.json").stat().st_mtime_ns for run in runs] == before and made.is_dir()
    assert "2 seeds" in next(step for step in estimate(recipe, place, {}) if step.name == "models/general-real").detail


def test_rivals_are_trained_only_where_asked_for(tmp_path: Path) -> None:
    base, place = models.tiny("conformer", tmp_path / "base"), workspace(tmp_path / "run")
    recipe = models.recipe(base, train={"steps": 2, "mix": 0.5, "start_from": "general-mixed"})
    assert arms(models.recipe(base)) == ["general-synthetic", "general-real", "domain-synthetic"]
    assert arms(recipe)[3:] == ["joint", "general-mixed", "continued"]
    with pytest.raises(DataError, match="models/general-mixed: not finished"):
        train(recipe, place, ["continued"])
    train(recipe, place, ["joint", "general-mixed", "continued"])
    made = [json.loads(line) for line in (place.root / "models/continued/metrics.jsonl").read_text().splitlines()]
    rates = [json.loads(line) for line in (place.root / "models/joint/metrics.jsonl").read_text().splitlines()]
    assert made[0]["rate"] == pytest.approx(rates[0]["rate"] / 10)
    gaps = [
        max(float((value - other[name]).abs().max()) for name, value in one.items() if value.is_floating_point())
        for one, other in (
            (load_file(place.root / "models/continued/model.safetensors"), load_file(place.root / f"{start}/model.safetensors"))
            for start in ("models/general-mixed", "../base")
        )
    ]  # fmt: skip
    assert gaps[0] < gaps[1] / 2  # it stands near the arm that it goes on from
    train(models.recipe(base, train={"steps": 2, "mix": 0.2}), place, ["general-real"])  # a rival asked for or changed
    train(models.recipe(base, train={"steps": 2}), place, ["general-real"])  # leaves the arms of the analogy be
    with pytest.raises(RecipeError, match=r"models/joint: made from other inputs \(mix: 0\.5 -> 0\.2\)"):
        train(models.recipe(base, train={"steps": 2, "mix": 0.2}), place, ["joint"])


def test_rivals_share_windows_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their sound is read by number, as that of every arm."""
    base, place = models.tiny("whisper", tmp_path / "base"), workspace(tmp_path)
    options = {"steps": 3, "batch": 8, "pack": True, "mix": 0.5, "start_from": "general-mixed", "seeds": [3, 5]}
    recipe, whole = models.recipe(base, train=options), []
    monkeypatch.setattr("asr_analogy.stages.train.read_corpus", lambda *given: whole.append(given))
    for arm in ("joint", "general-mixed", "continued"):
        seen = heard(monkeypatch, base, lambda arm=arm: train(recipe, place, [arm]))
        assert len(seen) == 6 and all(len(batch) < 8 for batch in seen)
        assert seen[:3] != seen[3:]  # each seed has windows of its own
    assert not whole


@pytest.mark.parametrize(("mix", "expected"), [(0.5, (8, 8)), (0.2, (8, 2)), (0.75, (8, 24))])
def test_the_joint_arm_hears_its_share_of_the_domain(
    mix: float, expected: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One epoch; no utterance is left out, those of the corpus that is too small come again."""
    base, place = models.tiny("whisper", tmp_path / "base"), Workspace(tmp_path)
    domain = ["bee", "cee"]
    models.write_corpus(tmp_path, "general-real", models.utterances(voice=1))
    models.write_corpus(tmp_path, "domain-synthetic", models.utterances(domain))
    recipe = models.recipe(base, train={"mix": mix, "steps": 1, "batch": sum(expected)})
    labels = [tuple(open_recogniser(base, "en", weights=False).label(text)) for text in domain]
    seen = heard(monkeypatch, base, lambda: train(recipe, place, ["joint"]))[0]
    synthetic = sum(label in labels for label in seen)
    assert (len(seen) - synthetic, synthetic) == expected and len(set(seen)) == 10


def test_batch_auto_is_one_batch_for_all_arms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where memory has become scarce between two calls."""
    base, place = models.tiny("conformer", tmp_path / "base"), workspace(tmp_path / "run")
    recipe = models.recipe(base, train={"batch": "auto", "steps": 1})
    train(recipe, place, ["general-real"])
    kept = place.root / "batch" / "batch.json"
    batch, written = json.loads(kept.read_text())["batch"], kept.stat().st_mtime_ns
    monkeypatch.setattr("asr_analogy.asr.probe.free", lambda: 1e6)
    train(recipe, place, ["general-real", "general-synthetic"])
    records = [read_record(place.root / "models" / arm) for arm in ("general-real", "general-synthetic")]
    assert [record["inputs"]["train"]["batch"] for record in records if record] == [batch, batch] and batch >= 4
    assert kept.stat().st_mtime_ns == written
    assert estimate(recipe, place, {})[0].detail == f"1 steps, batch auto, about {batch}"
