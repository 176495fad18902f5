"""Task vectors in memory: the lecture's toy truths, the algebra, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from safetensors.torch import load_file, save_file
from torch import Tensor

from asr_analogy.errors import DataError, RecipeError
from asr_analogy.vectors.shards import save
from asr_analogy.vectors.task_vector import TaskVector, analogy
from asr_analogy.vectors.weights import SINGLE, Weights

WHOLE = some.lists(some.integers(-99, 99).map(float), min_size=4, max_size=4)
"""Whole numbers: their sums are exact in any order."""


def one(*values: float) -> dict[str, Tensor]:
    """A model with a single weight vector."""
    return {"w": torch.tensor(values, dtype=torch.float32)}


def model(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "layer.weight": torch.randn(4, 3, generator=generator).to(dtype),
        "layer.bias": torch.randn(4, generator=generator).to(dtype),
        "scalar": torch.randn((), generator=generator).to(dtype),
    }


def same_bits(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(
        left[n].dtype == right[n].dtype
        and left[n].reshape(-1).view(torch.uint8).tolist() == right[n].reshape(-1).view(torch.uint8).tolist()
        for n in left
    )


def neuron(weights: dict[str, Tensor], *inputs: float) -> float:
    return float(torch.relu(weights["w"] @ torch.tensor(inputs, dtype=torch.float32)))


def test_lecture_equipment() -> None:
    base = one(1, 2, -1)
    armour = TaskVector.between(base, one(1, 2, -2))
    sword = TaskVector.between(base, one(3, 2, -1))
    assert (armour + sword).apply(base)["w"].tolist() == [3, 2, -2]


def test_lecture_overlapping_neurons_break() -> None:
    zero, first, second = one(0, 0, 0), one(1, 1, 0), one(0, 1, 1)
    assert (neuron(first, 2, 1, 0), neuron(second, 0, 2, 3)) == (3, 5)
    merged = (TaskVector.between(zero, first) + TaskVector.between(zero, second)).apply(zero)
    assert merged["w"].tolist() == [1, 2, 1]
    assert (neuron(merged, 2, 1, 0), neuron(merged, 0, 2, 3)) == (4, 7)


def test_lecture_disjoint_neurons_keep() -> None:
    zero, first, second = one(0, 0, 0), one(1, 0, 0), one(0, 0, 1)
    merged = (TaskVector.between(zero, first) + TaskVector.between(zero, second)).apply(zero)
    assert merged["w"].tolist() == [1, 0, 1]
    assert (neuron(merged, 2, 1, 0), neuron(merged, 0, 2, 3)) == (2, 3)


def test_round_trip() -> None:
    base, tuned = model(0), model(1)
    back = TaskVector.between(base, tuned).apply(base)
    for name, tensor in tuned.items():
        torch.testing.assert_close(back[name], tensor, rtol=1e-6, atol=1e-6)


def test_algebra() -> None:
    base = model(0)
    one_way, other = TaskVector.between(base, model(1)), TaskVector.between(base, model(2))
    assert one_way + other == other + one_way
    assert one_way - other == one_way + -other
    assert 0.5 * one_way == one_way * 0.5
    assert one_way * 2 == one_way + one_way
    assert (one_way - one_way).norm() == 0
    assert one_way != other
    assert one_way != TaskVector({"layer.weight": one_way["layer.weight"]})
    assert one_way != "vector"
    assert one_way.names == tuple(one_way) == ("layer.weight", "layer.bias", "scalar")
    assert len(one_way) == 3
    assert "3 tensors, 17 elements" in repr(one_way)


def test_norm() -> None:
    assert TaskVector({"a": torch.tensor([3.0]), "b": torch.tensor([[4.0]])}).norm() == 5
    assert TaskVector({}).norm() == 0


def test_base_cancels() -> None:
    base, a, b, c = model(0), model(1), model(2), model(3)
    long_way = TaskVector.between(base, c) + 0.3 * (TaskVector.between(base, b) - TaskVector.between(base, a))
    short_way = analogy(c, b, a, 0.3)
    for name, tensor in long_way.apply(base).items():
        torch.testing.assert_close(short_way[name], tensor, rtol=1e-5, atol=1e-6)


def test_analogy_gives_b_where_c_is_a() -> None:
    a, b = model(1), model(2)
    for name, tensor in analogy(a, b, a, 1.0).items():
        torch.testing.assert_close(tensor, b[name], rtol=0, atol=4 * torch.finfo(torch.float32).eps)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_nothing_moves_bit_for_bit(dtype: torch.dtype) -> None:
    a, b, c = model(1, dtype), model(2, dtype), model(3, dtype)
    c["layer.bias"] = torch.tensor([-0.0, 0.0, 6e-8, -1.5], dtype=dtype)
    assert same_bits(analogy(c, a, a, 0.7), c)
    assert same_bits(analogy(c, b, a, 0.0), c)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_fp32(dtype: torch.dtype) -> None:
    a, b, c = model(1, dtype), model(2, dtype), model(3, dtype)
    for name, tensor in analogy(c, b, a, 0.3).items():
        expected = (c[name].float() + 0.3 * (b[name].float() - a[name].float())).to(dtype)
        assert torch.equal(tensor, expected)


def test_immutable() -> None:
    source = one(1, 2, 3)
    vector = TaskVector(source)
    source["w"].add_(1)
    vector["w"].add_(1)
    assert vector["w"].tolist() == [1, 2, 3]
    with pytest.raises(TypeError):
        vector["w"] = torch.zeros(3)  # type: ignore[index]
    with pytest.raises(TypeError):
        hash(vector)


def test_apply_shares_no_memory_with_base() -> None:
    base = one(1, 2, 3)
    TaskVector(one(0, 0, 0)).apply(base)["w"].add_(1)
    assert base["w"].tolist() == [1, 2, 3]


def test_batch_norm_statistics_stay() -> None:
    counts = {"bn.running_var": torch.tensor([1.0]), "bn.num_batches_tracked": torch.tensor(3)}
    moved = {"bn.running_var": torch.tensor([-9.0]), "bn.num_batches_tracked": torch.tensor(7)}
    vector = TaskVector.between(one(0, 0) | counts, one(1, 1) | moved)
    assert vector.names == ("w",)
    assert same_bits(vector.apply(one(0, 0) | counts), one(1, 1) | counts)


@pytest.mark.parametrize(
    ("base", "tuned", "message"),
    [
        ({"w": torch.zeros(2), "x": torch.zeros(1)}, {"w": torch.zeros(2)}, "'x' is in base but not in tuned"),
        ({"w": torch.zeros(2)}, {"w": torch.zeros(2), "y": torch.zeros(1)}, "'y' is in tuned but not in base"),
        ({"w": torch.zeros(2)}, {"w": torch.zeros(3)}, r"'w' has shape \(2,\) in base and \(3,\) in tuned"),
        ({"w": torch.zeros(2, 1)}, {"w": torch.zeros(1, 2)}, r"'w' has shape \(2, 1\)"),
        ({"w": torch.zeros(2, dtype=torch.int64)}, {"w": torch.zeros(2)}, "'w' in base is torch.int64"),
    ],
)
def test_between_refuses(base: dict[str, Tensor], tuned: dict[str, Tensor], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TaskVector.between(base, tuned)


def test_other_operations_refuse() -> None:
    vector = TaskVector(one(1, 2))
    with pytest.raises(DataError, match="'w' has shape"):
        vector + TaskVector(one(1, 2, 3))
    with pytest.raises(DataError, match="'w' is in the left vector"):
        vector - TaskVector({"x": torch.zeros(2)})
    with pytest.raises(DataError, match="'x' is in base but not in the vector"):
        vector.apply({"w": torch.zeros(2), "x": torch.zeros(2)})
    with pytest.raises(DataError, match="'w' is in the vector but not in base"):
        vector.apply({})
    with pytest.raises(DataError, match="'w' has shape"):
        analogy(one(1, 2, 3), one(1, 2), one(1, 2), 1.0)
    with pytest.raises(TypeError):
        vector * "2"  # type: ignore[operator]
    with pytest.raises(TypeError):
        vector + 1  # type: ignore[operator]
    with pytest.raises(TypeError):
        vector - 1  # type: ignore[operator]


@given(WHOLE, WHOLE, WHOLE, WHOLE, some.integers(-4, 4))
@settings(deadline=None, max_examples=50)
def test_identities(a: list[float], b: list[float], c: list[float], base: list[float], scale: int) -> None:
    origin = one(*base)
    tau_a, tau_b, tau_c = (TaskVector.between(origin, one(*end)) for end in (a, b, c))
    assert (tau_a + tau_b) + tau_c == tau_a + (tau_b + tau_c)
    assert tau_b - tau_a == -(tau_a - tau_b) == TaskVector.between(one(*a), one(*b))
    assert scale * (tau_a + tau_b) == scale * tau_a + scale * tau_b
    assert same_bits(tau_a.apply(origin), one(*a))
    assert torch.equal((-tau_a).apply(one(*a))["w"], origin["w"])
    family = (tau_c + scale * tau_b - scale * tau_a).apply(origin)
    assert torch.equal(family["w"], analogy(one(*c), one(*b), one(*a), scale)["w"])


def folder(path: Path, content: dict[str, Tensor], base: str = "") -> Path:
    path.mkdir()
    save_file(content, path / SINGLE)
    if base:
        record = {"inputs": {"base": base}, "files": {}, "content": ""}
        (path / "run.json").write_text(json.dumps(record))
    return path


def test_folders_give_the_same_vectors_as_state_dicts(tmp_path: Path) -> None:
    states = [model(seed, torch.float16) | {"bn.running_var": torch.ones(1) * seed} for seed in range(4)]
    base, a, b, c = (folder(tmp_path / str(seed), state) for seed, state in enumerate(states))
    vector = TaskVector.between(base, c) + 0.5 * (TaskVector.between(base, b) - TaskVector.between(base, a))
    memory = [TaskVector.between(states[0], state) for state in states]
    assert vector == memory[3] + 0.5 * (memory[2] - memory[1])
    assert vector.names == tuple(name for name in Weights.open(base) if name != "bn.running_var")
    merged = vector.apply(base)
    assert same_bits(dict(merged), {name: vector.apply(states[0])[name] for name in merged})
    (tmp_path / "out").mkdir()
    save(merged, tmp_path / "out", Weights.open(base))
    assert same_bits(load_file(tmp_path / "out" / SINGLE), {name: merged[name] for name in sorted(merged)})
    assert "3 tensors, 17 elements" in repr(vector)
    with pytest.raises(KeyError):
        vector["lost"]


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    base, tuned = folder(tmp_path / "base", one(1, 2)), folder(tmp_path / "tuned", one(5, 5))
    vector = 2 * TaskVector.between(base, tuned)
    content = bytearray((tuned / SINGLE).read_bytes())
    content[-8:] = torch.tensor([1.0, 9]).numpy().tobytes()
    (tuned / SINGLE).write_bytes(content)
    assert vector["w"].tolist() == [0, 14]


def test_parents(tmp_path: Path) -> None:
    base, a = folder(tmp_path / "base", one(1)), folder(tmp_path / "a", one(2), "x")
    b, stranger = folder(tmp_path / "b", one(4), "x"), folder(tmp_path / "stranger", one(3), "y")
    vector = TaskVector.between(base, a) + TaskVector.between(a, b)
    assert vector.parent == "x" == (-2 * vector).parent
    assert vector.apply(a)["w"].tolist() == [5]
    with pytest.raises(DataError, match="stranger: fine-tuned from another base than .*/a"):
        TaskVector.between(a, stranger)
    with pytest.raises(DataError, match="different bases and do not add up"):
        vector - TaskVector.between(base, stranger)
    with pytest.raises(DataError, match="stranger: fine-tuned from another base than the vector"):
        vector.apply(stranger)
    assert (vector + TaskVector(one(1))).parent == "x"
    assert TaskVector.between(one(1), one(2), parent="z").parent == "z"


def test_scaled_by_parts() -> None:
    vector = TaskVector({f"encoder.layers.{n}.w": torch.ones(2) for n in range(3)} | {"decoder.w": torch.ones(2)})
    scaled = vector.scaled({"encoder": (1.0, 0.0), "decoder": 3})
    assert [scaled[name][0].item() for name in scaled] == [1, 0.5, 0, 3]
    assert vector.scaled({}) == vector
    with pytest.raises(RecipeError, match="no tensor of this model"):
        vector.scaled({"attention": 1})
