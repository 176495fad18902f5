"""Parts of a model by the names of its tensors."""

import pytest

from asr_analogy.errors import RecipeError
from asr_analogy.vectors.where import Where

WHISPER = (
    "model.encoder.conv1.weight", "model.encoder.embed_positions.weight", "model.encoder.layer_norm.weight",
    *(f"model.{side}.layers.{n}.{m}" for side in ("encoder", "decoder") for n in range(3)
      for m in ("self_attn.q_proj.weight", "self_attn_layer_norm.weight", "fc1.weight")),
    "model.decoder.layers.1.encoder_attn.k_proj.weight", "model.decoder.embed_tokens.weight",
    "model.decoder.layer_norm.weight", "proj_out.weight",
)  # fmt: skip
CONFORMER = (
    "wav2vec2_conformer.feature_extractor.conv_layers.1.conv.weight",
    "wav2vec2_conformer.encoder.layers.0.conv_module.pointwise_conv1.weight",
    "wav2vec2_conformer.encoder.layers.4.conv_module.pointwise_conv1.weight",
    "wav2vec2_conformer.encoder.layers.4.ffn1.0.weight", "lm_head.weight",
)  # fmt: skip


def factors(parts: dict, names: tuple[str, ...] = WHISPER) -> dict[str, float]:
    where = Where(parts, names)
    return {name: where.factor(name) for name in names}


def test_nowhere_said_is_everywhere() -> None:
    assert set(factors({}).values()) == {1.0}
    assert set(factors({"all": 0.5}).values()) == {0.5}


@pytest.mark.parametrize(("part", "other"), [("encoder", "decoder"), ("decoder", "encoder")])
def test_sides(part: str, other: str) -> None:
    found = factors({part: 0.7})
    assert all((value == 0.7) == (f".{part}." in name) for name, value in found.items())
    assert set(found.values()) == {0.0, 0.7}
    both = factors({part: 1, other: -0.5})
    assert both["proj_out.weight"] == 0
    assert all(both[name] == -0.5 for name in WHISPER if f".{other}." in name)


def test_attention_is_its_projections() -> None:
    found = factors({"attention": 1})
    assert {name for name, value in found.items() if value} == {n for n in WHISPER if "attn." in n}


def test_the_last_part_that_holds_a_tensor_counts() -> None:
    name = "model.encoder.layers.1.self_attn.q_proj.weight"
    assert factors({"all": 0.2, "encoder": 0.4, "*.layers.1.*": 0.6})[name] == 0.6
    assert factors({"*.layers.1.*": 0.6, "encoder": 0.4, "all": 0.2})[name] == 0.2


@pytest.mark.parametrize(("first", "last"), [(1.0, 0.0), (0.0, 1.0), (0.25, -0.75)])
def test_ramps_go_through_each_stack(first: float, last: float) -> None:
    found = factors({"all": (first, last)})
    for side in ("encoder", "decoder"):
        steps = [found[f"model.{side}.layers.{n}.fc1.weight"] for n in range(3)]
        assert steps == [first, (first + last) / 2, last]
        assert found[f"model.{side}.layer_norm.weight"] == last
    assert found["model.encoder.conv1.weight"] == found["model.decoder.embed_tokens.weight"] == first
    assert found["proj_out.weight"] == last


def test_ramp_of_a_conformer() -> None:
    assert list(factors({"all": (1.0, 0.0)}, CONFORMER).values()) == [1, 1, 0, 0, 0]
    assert list(factors({"all": (1.0, 0.0)}, ("model.layers.0.w",)).values()) == [1]


def test_parts_that_are_not_there() -> None:
    with pytest.raises(RecipeError, match=r"merge.where.decoder: no tensor .* all, encoder, or patterns .* lm_head"):
        Where({"decoder": 1}, CONFORMER)
    with pytest.raises(RecipeError, match="merge.where.encodr: no tensor"):
        Where({"encodr": 1}, WHISPER)
