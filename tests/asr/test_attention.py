"""Attention head by head against transformers' own."""

from pathlib import Path

import models
import pytest
import torch

from asr_analogy.asr.attention import LONG, kernel
from asr_analogy.asr.family import open_recogniser


@pytest.mark.parametrize(("precision", "close"), [(torch.float32, 1e-5), (torch.bfloat16, 0.03)])
def test_loss_and_gradients_are_those_of_the_eager_way(precision: torch.dtype, close: float, tmp_path: Path) -> None:
    recogniser = open_recogniser(models.whisper(tmp_path / "base", d_model=32), "en")
    model = recogniser.model.train()
    labels = [recogniser.label("abba"), recogniser.label("a dad")]
    batch = recogniser.batch([models.clip("abba"), models.clip("a dad", 1)], labels)
    found = []
    assert kernel(LONG - 1) is None
    for name in ("eager", kernel(LONG)):
        model.set_attn_implementation(name)
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        found.append([loss.detach().reshape(1), *(parameter.grad.flatten() for parameter in model.parameters())])
    expected, ours = (torch.cat(tensors) for tensors in found)
    assert (expected - ours).norm() < close * expected.norm() and expected.norm() > 0.1


def test_a_whisper_on_a_cpu_trains_with_it_where_it_can(tmp_path: Path) -> None:
    """Dropout is transformers' own affair."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    losses = []
    for share in (0.0, 0.5):
        model = open_recogniser(models.whisper(tmp_path / f"{share}", attention_dropout=share), "en").model.train()
        assert model.config._attn_implementation == "eager"  # the sound is short
        model.set_attn_implementation(kernel(LONG))
        sound, text = torch.randn(1, 80, 200, generator=torch.Generator().manual_seed(0)), torch.tensor([[1, 2, 3]])
        outputs = [model(input_features=sound, labels=text) for _ in range(2)]
        losses.append([output.loss.item() for output in outputs])
    assert losses[0][0] == losses[0][1] and losses[1][0] != losses[1][1]
