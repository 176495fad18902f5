from pathlib import Path

import models
import pytest
import torch
from runs import fitted

from asr_analogy.asr.family import open_recogniser
from asr_analogy.asr.rates import freeze, groups, rate_at
from asr_analogy.errors import RecipeError
from asr_analogy.recipe import Train


def test_the_rate_warms_up_and_falls_to_nearly_nothing() -> None:
    options = Train(steps=10, warmup=4, rate=1.0)
    assert [round(rate_at(step, options), 3) for step in range(10)] == [
        0.25, 0.5, 0.75, 1.0, 1.0, 0.833, 0.667, 0.5, 0.333, 0.167,
    ]  # fmt: skip
    assert all(0 < rate_at(step, Train(steps=3, warmup=50, rate=1.0)) <= 1 for step in range(3))
    assert rate_at(0, Train(steps=1, warmup=0, rate=1.0)) == 1.0


def moved(base: Path, out: Path, **options: object) -> dict[str, bool]:
    """Whether each parameter left the base in two steps."""
    before = {name: value.clone() for name, value in open_recogniser(base, "en").model.named_parameters()}
    after = fitted(base, out, models.utterances(), steps=2, **options)[0].model.named_parameters()
    return {name: not torch.equal(value, before[name]) for name, value in after}


@pytest.mark.parametrize(
    ("family", "part", "prefix"),
    [
        ("whisper", "encoder", "model.encoder."),
        ("whisper", "decoder", "model.decoder."),
        ("whisper", "feature_encoder", "model.encoder.conv"),
        ("whisper", "model.encoder.layers", "model.encoder.layers"),
        ("conformer", "encoder", "wav2vec2_conformer."),
        ("conformer", "decoder", "lm_head."),
        ("conformer", "feature_encoder", "wav2vec2_conformer.feature_extractor."),
    ],
)
def test_frozen_parts_stay(family: str, part: str, prefix: str, tmp_path: Path) -> None:
    found = moved(models.tiny(family, tmp_path / "base"), tmp_path / "out", freeze=[part])
    frozen = {name for name in found if name.startswith(prefix)}
    assert frozen and not any(found[name] for name in frozen)
    assert any(found[name] for name in found.keys() - frozen)


def test_a_prefix_that_freezes_nothing_or_everything(conformer: Path) -> None:
    recogniser = open_recogniser(conformer, "en")
    known = "parts of this base: encoder, feature_encoder, decoder, lm_head"
    with pytest.raises(RecipeError, match=rf"train\.freeze: attention: no parameter begins so; {known}"):
        freeze(recogniser, ["attention"])
    with pytest.raises(RecipeError, match=rf"train\.rates: attention: no parameter begins so; {known}"):
        groups(recogniser, {"attention": 0.5})
    with pytest.raises(RecipeError, match="freezes every parameter"):
        freeze(recogniser, ["encoder", "decoder"])


def test_the_longest_prefix_gives_a_parameter_its_rate(whisper: Path) -> None:
    recogniser = open_recogniser(whisper, "en")
    freeze(recogniser, ["feature_encoder"])
    found = groups(recogniser, {"encoder": 0.5, "model.encoder.layers.0.fc1": 2.0})
    names = {id(value): name for name, value in recogniser.model.named_parameters()}
    factors = {names[id(value)]: group["factor"] for group in found for value in group["params"]}
    assert factors["model.encoder.layers.0.fc1.weight"] == 2.0 and factors["model.encoder.layers.0.fc2.weight"] == 0.5
    assert factors["model.decoder.layers.0.fc1.weight"] == 1.0 and "model.encoder.conv1.weight" not in factors
    assert len(factors) == sum(value.requires_grad for value in recogniser.model.parameters())


def test_a_factor_scales_the_first_step(whisper: Path, tmp_path: Path) -> None:
    """Adam's first step moves every weight by its rate, whatever the gradient."""
    before = {name: value.clone() for name, value in open_recogniser(whisper, "en").model.named_parameters()}
    rates, options = {"encoder": 0.1}, {"steps": 1, "rate": 0.01}
    after = fitted(whisper, tmp_path / "out", models.utterances(), rates=rates, **options)[0].model.named_parameters()
    far = {name: float((value.detach() - before[name]).abs().max()) for name, value in after}
    assert far["model.encoder.layers.0.fc1.weight"] == pytest.approx(0.001, rel=0.05)
    assert far["model.decoder.layers.0.fc1.weight"] == pytest.approx(0.01, rel=0.05)
