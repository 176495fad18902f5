from pathlib import Path

import models
import pytest
import torch
from runs import fitted
from safetensors.torch import load_file, save_file

from asr_analogy.asr.averaging import Average, mean_folder


def run(kind: object, steps: int) -> float:
    """The mean of a weight that is 1 after step 1, 2 after step 2 and so on."""
    mean = Average(kind, steps, {})  # type: ignore[arg-type]
    for step in range(1, steps + 1):
        mean.update(step, [("w", torch.tensor([float(step)]))])
    return float(mean.weights["w"])


def test_the_last_points_count_alike() -> None:
    assert run(2, 100) == pytest.approx((95 + 100) / 2)
    assert run(4, 200) == pytest.approx((170 + 180 + 190 + 200) / 4)
    assert run(3, 4) == pytest.approx((2 + 3 + 4) / 3)
    assert run(9, 4) == pytest.approx((1 + 2 + 3 + 4) / 4)  # no more points than steps


def test_the_moving_average_looks_back_on_a_tenth() -> None:
    expected = 1.0
    for step in range(2, 101):
        expected += (step - expected) * max(1 / step, 1 / 10)
    assert run("ema", 100) == pytest.approx(expected, rel=1e-5) and 90 < expected < 92
    assert run("ema", 1) == 1.0 and run("ema", 5) == 5.0


@pytest.mark.parametrize("family", models.FAMILIES)
def test_a_run_ends_on_the_mean_of_its_weights(family: str, tmp_path: Path) -> None:
    """Two points a step apart: the mean of a run's last weights and of those one step before."""
    base, rows = models.tiny(family, tmp_path / "base"), models.utterances()
    mean, metrics = fitted(base, tmp_path / "mean", rows, steps=4, average=2)
    last, same_metrics = fitted(base, tmp_path / "last", rows, steps=4)
    assert metrics == same_metrics
    gaps = [float((a - b).abs().max()) for a, b in zip(mean.model.parameters(), last.model.parameters(), strict=True)]
    assert 0 < max(gaps) < 0.003  # half of the last step, whose rate is 0.001
    assert all(torch.equal(a, b) for a, b in zip(mean.model.buffers(), last.model.buffers(), strict=True))


def test_the_mean_of_folders_is_of_parameters_only(tmp_path: Path) -> None:
    folders = [models.conformer(tmp_path / str(seed), seed=seed) for seed in range(3)]
    for number, folder in enumerate(folders):
        stored = load_file(folder / "model.safetensors")
        for name in stored:
            if name.endswith(("running_mean", "num_batches_tracked")):
                stored[name] = torch.full_like(stored[name], number)
        save_file(stored, folder / "model.safetensors", {"format": "pt"})
    mean_folder(folders, "en", folders[0], tmp_path / "out")
    given = [load_file(folder / "model.safetensors") for folder in folders]
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert found.keys() == given[0].keys()
    for name, value in found.items():
        if "running_" in name or name.endswith("num_batches_tracked"):
            assert torch.equal(value, given[-1][name])
        else:
            exact = sum(weights[name].double() for weights in given) / 3
            assert value.dtype == torch.float32 and torch.allclose(value.double(), exact, atol=1e-6)
