"""Two real processes, connected as a launcher connects them, against one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import models
import pytest
import torch
import yaml
from safetensors.torch import load_file

from asr_analogy.asr.ranks import shard
from asr_analogy.recipe import Recipe
from asr_analogy.stages.evaluate import evaluate
from asr_analogy.stages.merge import merge
from asr_analogy.stages.train import train
from asr_analogy.workspace import Workspace, content

ARM = "domain-synthetic"


def together(recipe: Recipe, root: Path, world: int, verb: str = "train") -> list[subprocess.CompletedProcess[str]]:
    """Run the command in `world` processes; what each of them said."""
    file = root.parent / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json", exclude_defaults=True)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    arm = ["--arm", ARM] if verb == "train" else []
    command = [sys.executable, "-m", "asr_analogy", *verb.split(), str(file), "--workspace", str(root), "--json", *arm]
    started = []
    for rank in range(world):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env={**os.environ, **own, **place}, **pipes))  # type: ignore[call-overload]
    said = [process.communicate(timeout=500) for process in started]
    return [
        subprocess.CompletedProcess(command, process.returncode, *pair)
        for process, pair in zip(started, said, strict=True)
    ]


def test_a_batch_is_dealt_out_whole() -> None:
    parts = [shard([5, 3, 8, 1, 2], rank, 2) for rank in range(2)]
    assert parts == [[5, 8, 2], [3, 1]] and shard([5], 1, 2) == [5]


@pytest.mark.parametrize(
    ("family", "batch", "pack"),
    [("whisper", 3, False), ("whisper", 4, True), ("conformer", 3, "auto"), ("conformer", 1, "auto")],
)
def test_two_processes_give_the_model_of_one(family: str, batch: int, pack: bool | str, tmp_path: Path) -> None:
    """Batches that do not halve, texts of other lengths, accumulation; a batch of one clip or window leaves a process idle."""
    base = models.tiny(family, tmp_path / "base")
    train = {"steps": 3, "accumulate": 2, "batch": batch, "average": 2, "rate": 0.001, "pack": pack}
    recipe, found = models.recipe(base, train=train), []
    for world in (1, 2):
        root = tmp_path / f"of-{world}"
        models.prepare(root, ["abba", "a fee", "b", "deaf ace bead", "gag", "cab dad a face"])
        ended = together(recipe, root, world)
        assert [process.returncode for process in ended] == [0] * world, ended[-1].stderr
        assert [bool(process.stdout) for process in ended] == [True, False][:world]
        made = root / "models" / ARM
        assert not list(made.parent.glob(".*")) and not list(made.glob("*measured*"))
        found.append((load_file(made / "model.safetensors"), (made / "metrics.jsonl").read_text().splitlines()))
    (one, said), (two, also) = found
    assert len(said) == len(also) == 3
    start = load_file(base / "model.safetensors")
    for name, value in one.items():
        assert torch.allclose(value.float(), two[name].float(), atol=2e-5, rtol=1e-3), name
    assert any(not torch.allclose(value.float(), start[name].float(), atol=3e-4) for name, value in one.items())


def test_several_processes_can_only_train(tmp_path: Path) -> None:
    recipe = models.recipe(models.tiny("conformer", tmp_path / "base"))
    ended = together(recipe, tmp_path / "run", 2, "report")
    assert [process.returncode for process in ended] == [2, 2]
    assert "several processes can only train or eval" in ended[0].stderr


def scores(root: Path) -> dict:
    """What was scored, without what the clock and the memory said."""
    found = json.loads((root / "scores/scores.json").read_text())
    for row in (row for test in found["tests"].values() for row in test["systems"].values()):
        del row["real_time_factor"], row["peak_mib"]
    return found


@pytest.mark.parametrize("family", models.FAMILIES)
def test_two_processes_decode_what_one_does(family: str, tmp_path: Path) -> None:
    texts = [text + " " + other for text in models.TEXTS for other in models.TEXTS]
    recipe = models.recipe(models.tiny(family, tmp_path / "base"), train={"steps": 1}, evaluate={"batch": 1})
    one = Workspace(tmp_path / "of-1")
    models.prepare(one.root, texts)
    train(recipe, one)
    merge(recipe, one)
    two = Workspace(tmp_path / "of-2")
    two.root.mkdir()
    for name in ("prepared", "models"):
        (two.root / name).symlink_to(one.root / name)
    evaluate(recipe, one)
    ended = together(recipe, two.root, 2, "eval")
    assert [process.returncode for process in ended] == [0, 0], ended
    assert [bool(process.stdout) for process in ended] == [True, False]
    for system in ("base", "domain-synthetic", "merged"):
        name = f"hypotheses/domain-test/{system}"
        assert content(two.root / name) == content(one.root / name)
    assert scores(two.root) == scores(one.root)
    assert not list((two.root / "hypotheses/domain-test").glob(".*"))
    refused = together(recipe, two.root, 2, "eval --force")
    assert [process.returncode for process in refused] == [2, 2] and "--force goes with one" in refused[0].stderr
