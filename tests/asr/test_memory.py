from pathlib import Path

import models
import pytest
import torch

from asr_analogy.asr.family import open_config, open_recogniser
from asr_analogy.asr.memory import (
    SIZES,
    Need,
    _empty,
    activations,
    count,
    for_base,
    free,
    published,
    training,
    transcribing,
)
from asr_analogy.recipe import Lora, Train

FP32 = Train(precision="fp32")


@pytest.mark.parametrize(
    ("fixed", "clip", "space", "batch"),
    [(1e9, 1e9, 10e9, 4), (1e9, 0.9e9, 10e9, 8), (1e9, 8e9, 10e9, 0), (1e9, 7.4e9, 10e9, 1), (1e9, 0.0, 10e9, 256)],
)
def test_the_largest_batch_that_fits_leaves_a_spare(fixed: float, clip: float, space: float, batch: int) -> None:
    need = Need(fixed, clip)
    assert need.batch(space) == batch and need.total(batch) <= 0.85 * space or batch == 0


def test_this_process_may_take_some_memory() -> None:
    assert 1e6 < free() < 1e15


def test_published_bases_have_their_known_sizes() -> None:
    millions = {name: round(count(published(name)) / 1e6) for name in SIZES if "large" not in name}
    assert millions == {"whisper-tiny": 38, "whisper-base": 73, "whisper-small": 242, "whisper-medium": 764}


def held(base: Path, clip: int) -> int:
    """Bytes that autograd really keeps of a forward pass, weights aside."""
    recogniser = open_recogniser(base, "en")
    model = recogniser.model.train()
    weights = {value.untyped_storage().data_ptr() for value in model.parameters()}
    kept: dict[int, int] = {}
    alive = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        alive.append(storage)
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        if model.config.model_type == "whisper":
            model(input_features=torch.randn(1, 80, 200), labels=torch.ones(1, 40, dtype=torch.long)).loss.sum()
        else:
            model(torch.randn(1, clip)).logits.sum()
    return sum(kept.values())


@pytest.mark.parametrize("family", models.FAMILIES)
def test_the_count_is_what_autograd_keeps(family: str, tmp_path: Path) -> None:
    base = models.tiny(family, tmp_path / "base")
    config = open_config(base)
    counted, widest = activations(_empty(config), config, 3.0)
    assert 0 < widest < counted < for_base(base, FP32, 3.0).clip
    assert counted == pytest.approx(held(base, 48_000), rel=0.15)


def test_what_a_step_needs_beside_the_clips(whisper: Path) -> None:
    config = published("whisper-tiny")
    weights = count(config)
    plain, adapted, averaged = (
        training(config, options, 10.0).fixed
        for options in (FP32, Train(precision="fp32", lora=Lora(rank=4)), Train(precision="fp32", average=2))
    )
    assert plain - 16 * weights == pytest.approx(0.6e9) and averaged - plain == pytest.approx(4 * weights)
    assert adapted - 0.6e9 < 5 * weights
    assert transcribing(config, 10.0).total(1) < training(config, FP32, 10.0).total(1)
    short, long = (transcribing(open_config(whisper), seconds).clip for seconds in (1.0, 20.0))
    assert short == long  # a window is a window
