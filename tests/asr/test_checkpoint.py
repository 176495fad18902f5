import logging
import random
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from runs import fitted, same
from safetensors import safe_open

from asr_analogy.asr import checkpoint
from asr_analogy.asr.checkpoint import BEFORE, CHECKPOINT, State
from asr_analogy.errors import DataError


def written(out: Path, steps: int = 2) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """A model that stepped `steps` times, with a checkpoint after each step."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    model[1].bias.requires_grad_(False)
    optimizer = torch.optim.AdamW([value for value in model.parameters() if value.requires_grad], lr=0.1)
    out.mkdir(exist_ok=True)
    for step in range(1, steps + 1):
        model(torch.randn(5, 3)).square().sum().backward()
        optimizer.step()
        state = State(step, [{"loss": 0.5}] * step, {"0.bias": torch.full((4,), float(step))})
        checkpoint.write(out, model, optimizer, state, [checkpoint.random_states()])
    return model, optimizer


def draws() -> list[float]:
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), float(torch.rand(1))]


def flip(path: Path, place: float) -> None:
    """Turn one bit of the file, at this share of its length."""
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1
    path.write_bytes(data)


def test_everything_comes_back(tmp_path: Path) -> None:
    random.gauss(0, 1), np.random.randn()  # leave a spare number in either generator
    model, optimizer = written(tmp_path)
    expected = [value.clone() for value in model.state_dict().values()]
    moments = optimizer.state_dict()["state"][0]["exp_avg"].clone()
    future = draws()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(value.requires_grad)
        model[1].running_mean.zero_()
    optimizer.state.clear()
    state = checkpoint.restore(tmp_path, model, optimizer)
    assert all(torch.equal(*pair) for pair in zip(model.state_dict().values(), expected, strict=True))
    assert torch.equal(optimizer.state_dict()["state"][0]["exp_avg"], moments)
    assert state.step == 2 and len(state.metrics) == 2 and state.average["0.bias"].tolist() == [2.0] * 4
    assert draws() == future


def test_what_never_changes_is_not_written_and_two_are_kept(tmp_path: Path) -> None:
    written(tmp_path, steps=4)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([CHECKPOINT, BEFORE])
    steps = []
    for name in (BEFORE, CHECKPOINT):
        with safe_open(tmp_path / name, "pt") as file:
            names = set(file.keys())
            steps.append(file.metadata()["step"])
    assert steps == ["3", "4"] and {"model.0.weight", "model.1.running_mean"} <= names and "model.1.bias" not in names
    checkpoint.remove(tmp_path)
    assert not list(tmp_path.iterdir())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize(
    "harm",
    [cut, lambda path: flip(path, 0.999), lambda path: flip(path, 0.7), lambda path: flip(path, 0.01), Path.touch],
)
def test_a_torn_checkpoint_is_noticed_and_the_one_before_it_taken(
    harm: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, optimizer = written(tmp_path)
    if harm is Path.touch:
        (tmp_path / CHECKPOINT).write_bytes(b"")
    else:
        harm(tmp_path / CHECKPOINT)  # type: ignore[operator]
    with caplog.at_level(logging.WARNING, logger="asr_analogy"):
        state = checkpoint.restore(tmp_path, model, optimizer)
    assert state.step == 1
    assert "checkpoint.safetensors: damaged" in caplog.text and "the checkpoint before it" in caplog.text
    checkpoint.write(tmp_path, model, optimizer, state, [checkpoint.random_states()])
    assert checkpoint.restore(tmp_path, model, optimizer).step == 1  # the sound one was not pushed out


def test_a_kill_between_the_two_renames_loses_one_checkpoint_only(tmp_path: Path) -> None:
    model, optimizer = written(tmp_path)
    (tmp_path / CHECKPOINT).replace(tmp_path / BEFORE)
    assert checkpoint.restore(tmp_path, model, optimizer).step == 2


def test_damage_without_a_sound_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    model, optimizer = written(tmp_path)
    for name in (CHECKPOINT, BEFORE):
        flip(tmp_path / name, 0.9)
    with pytest.raises(DataError, match=r"damaged \(its hash differs\); delete it and give the command again"):
        checkpoint.restore(tmp_path, model, optimizer)


def test_a_run_goes_on_from_the_checkpoint_before_a_torn_one(tmp_path: Path) -> None:
    base = models.tiny("conformer", tmp_path / "base", hidden_dropout=0.2, mask_time_prob=0.3)
    rows, options = models.utterances(), {"steps": 4, "average": "ema", "checkpoint_minutes": 0}
    expected, metrics = fitted(base, tmp_path / "out", rows, **options)
    with torch.no_grad():
        flip(tmp_path / "out" / CHECKPOINT, 0.8)
    again, same_metrics = fitted(base, tmp_path / "out", rows, **options)
    assert same(again, expected) and same_metrics == metrics


def test_moments_that_are_plain_numbers_come_back_as_such(tmp_path: Path) -> None:
    """As those of 8 bits have them; a parameter without a gradient has none."""
    table = torch.nn.Embedding(4, 3, sparse=True)
    model = torch.nn.ModuleList([torch.nn.Embedding(2, 3, sparse=True), table])
    optimizer = torch.optim.SparseAdam(model.parameters(), lr=0.1)
    for _ in range(3):
        table(torch.tensor([1, 2])).square().sum().backward()
        optimizer.step()
    moments = {key: value if key == "step" else value.clone() for key, value in optimizer.state[table.weight].items()}
    assert moments["step"] == 3 and isinstance(moments["step"], int)
    checkpoint.write(tmp_path, model, optimizer, State(3), [checkpoint.random_states()])
    optimizer.state.clear()
    assert checkpoint.restore(tmp_path, model, optimizer).step == 3
    found = optimizer.state[table.weight]
    assert type(found["step"]) is int and found["step"] == 3 and torch.equal(found["exp_avg"], moments["exp_avg"])
    assert not optimizer.state.get(model[0].weight)
