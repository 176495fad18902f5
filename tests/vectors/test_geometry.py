"""Geometry, against the same formulas written straight."""

from collections.abc import Mapping
from itertools import combinations

import pytest
import torch
from torch import Tensor

from asr_analogy.errors import DataError
from asr_analogy.vectors.geometry import kind, layer, measure

NAMES = {
    "model.encoder.layers.0.self_attn.q_proj.weight": ("layer model.encoder.layers.0", "attention", (40, 30)),
    "model.encoder.layers.0.fc1.bias": ("layer model.encoder.layers.0", "feed-forward", (50,)),
    "model.decoder.layers.1.final_layer_norm.weight": ("layer model.decoder.layers.1", "normalisation", (16,)),
    "model.decoder.embed_tokens.weight": ("layer model.decoder.embed_tokens", "embeddings", (20, 30)),
}


class Memory:
    """A vector held in memory."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = dict(tensors)
        self.names = tuple(tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.tensors[name].shape)

    def tensor(self, name: str) -> Tensor:
        return self.tensors[name]


def vector(seed: int, like: Memory | None = None, share: float = 0.0) -> Memory:
    generator = torch.Generator().manual_seed(seed)
    own = {name: torch.randn(shape, generator=generator) for name, (_, _, shape) in NAMES.items()}
    if like is not None:
        own = {name: share * like.tensor(name) + (1 - share) * tensor for name, tensor in own.items()}
    return Memory(own)


def flat(one: Memory, names: list[str]) -> Tensor:
    return torch.cat([one.tensor(name).reshape(-1).double() for name in names])


def test_numbers_of_every_group() -> None:
    x = vector(1)
    y = vector(2, x, 0.4)
    y.tensors["model.encoder.layers.0.fc1.bias"][:30] = 0
    base = {name: 3.0 + index for index, name in enumerate(NAMES)}
    found = measure({"x": x, "y": y}, base)
    groups: dict[str, list[str]] = {"all": list(NAMES)}
    for name, (layer_, kind_, _) in NAMES.items():
        groups.setdefault(layer_, []).append(name)
        groups.setdefault(kind_, []).append(name)
    assert set(found["groups"]) == set(groups)
    for key, names in groups.items():
        a, b = flat(x, names), flat(y, names)
        shown = found["groups"][key]
        for label, one in (("x", a), ("y", b)):
            size = shown["sizes"][label]
            assert size["norm"] == pytest.approx(float(one.norm()), rel=1e-6)
            assert size["relative"] == pytest.approx(
                float(one.norm()) / sum(base[n] ** 2 for n in names) ** 0.5, rel=1e-6
            )
            assert size["moved"] == pytest.approx(float((one != 0).double().mean()))
        pair = shown["pairs"][0]
        assert pair["cosine"] == pytest.approx(float(a @ b / a.norm() / b.norm()), rel=1e-5)
        both = (a * b) != 0
        assert pair["conflict"] == pytest.approx(float(((a * b) < 0).double().sum() / both.sum()))


def test_overlap_of_the_largest_entries() -> None:
    x = torch.tensor([9.0, -8, 1, 1, 1, 1, 1, 1, 1, 1, 7, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    y = torch.tensor([9.0, 8, 1, 1, 1, 1, 1, 1, 1, 1, 1, 7, 1, 1, 1, 1, 1, 1, 1, 1])
    pair = measure({"x": Memory({"w": x}), "y": Memory({"w": y})}, top=15)["groups"]["all"]["pairs"][0]
    assert pair["overlap"] == pytest.approx(2 / 3)
    assert pair["conflict_top"] == pytest.approx(1 / 2)
    assert pair["conflict"] == pytest.approx(1 / 20)


def test_chance_is_what_the_page_says() -> None:
    x, y = (Memory({"w": torch.randn(100_000, generator=torch.Generator().manual_seed(seed))}) for seed in (1, 2))
    pair = measure({"x": x, "y": y})["groups"]["all"]["pairs"][0]
    assert pair["overlap"] == pytest.approx(0.1, abs=0.01)
    assert pair["conflict"] == pytest.approx(0.5, abs=0.01)
    assert abs(pair["cosine"]) < 0.02


def test_reliability_of_noisy_estimates_of_one_vector() -> None:
    """K vectors = signal + noise of the same size: cosine 1/2, and the mean's squared correlation with the signal."""
    generator = torch.Generator().manual_seed(3)
    signal = torch.randn(50_000, generator=generator)
    noisy = [signal + torch.randn(50_000, generator=generator) for _ in range(3)]
    found = measure({str(index): Memory({"w": one}) for index, one in enumerate(noisy)})
    assert found["mean_cosine"] == pytest.approx(0.5, abs=0.02)
    mean = sum(noisy) / 3
    truth = float((mean @ signal) / mean.norm() / signal.norm()) ** 2
    assert found["reliability"] == pytest.approx(truth, abs=0.02)
    assert len(found["groups"]["all"]["pairs"]) == len(list(combinations(noisy, 2)))


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "say largely the same"), (0.0, "nearly independent"), (0.2, "share a part"), (-0.7, "work against each")],
)
def test_verdicts(share: float, words: str) -> None:
    x = vector(1)
    y = Memory({name: share * x.tensor(name) + (1 - abs(share)) * vector(2).tensor(name) for name in NAMES})
    verdict = measure({"x": x, "y": y})["verdict"]
    assert words in verdict and "provisional" in verdict and verdict.startswith("x and y")


def test_a_vector_that_is_zero() -> None:
    x, zero = vector(1), Memory({name: torch.zeros(shape) for name, (_, _, shape) in NAMES.items()})
    found = measure({"x": x, "zero": zero})
    pair = found["groups"]["all"]["pairs"][0]
    assert pair["cosine"] is None and found["reliability"] is None and "zero" in found["verdict"]
    assert found["groups"]["all"]["sizes"]["zero"] == {"norm": 0, "relative": None, "moved": 0}


def test_large_tensors_are_read_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = {"x": vector(1), "y": vector(2, vector(1), 0.3)}
    whole = measure(vectors)["groups"]["all"]
    monkeypatch.setattr("asr_analogy.vectors.geometry.CHUNK", 7)
    parts = measure(vectors)["groups"]["all"]
    for key, value in whole["pairs"][0].items():
        assert parts["pairs"][0][key] == pytest.approx(value)


def test_other_names_or_shapes_are_refused() -> None:
    x = vector(1)
    fewer = Memory({name: x.tensor(name) for name in list(NAMES)[1:]})
    with pytest.raises(DataError, match=r"y: tensor '.*q_proj.weight' is not as in x"):
        measure({"x": x, "y": fewer})
    other = Memory({**x.tensors, list(NAMES)[1]: torch.zeros(3)})
    with pytest.raises(DataError, match=r"y: tensor '.*fc1.bias' is not as in x"):
        measure({"x": x, "y": other})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wav2vec2_conformer.encoder.layers.3.conv_module.depthwise_conv.weight", "convolution"),
        ("wav2vec2_conformer.encoder.layers.3.ffn1.intermediate_dense.weight", "feed-forward"),
        ("wav2vec2_conformer.encoder.layers.3.self_attn.linear_q.weight", "attention"),
        ("wav2vec2_conformer.encoder.layers.3.conv_module.batch_norm.weight", "normalisation"),
        ("wav2vec2_conformer.feature_extractor.conv_layers.0.conv.weight", "convolution"),
        ("model.decoder.layers.0.encoder_attn.out_proj.bias", "attention"),
        ("lm_head.weight", "output"),
        ("anything", "other"),
    ],
)
def test_kinds(name: str, expected: str) -> None:
    assert kind(name) == expected


def test_layers() -> None:
    assert layer("wav2vec2_conformer.feature_extractor.conv_layers.0.conv.weight").endswith("conv_layers.0")
    assert layer("model.decoder.embed_tokens.weight") == "model.decoder.embed_tokens"
    assert layer("w") == "w"
