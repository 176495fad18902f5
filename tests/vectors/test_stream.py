"""Arithmetic on model folders, against the same formula on tensors in memory."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from safetensors.torch import load_file, save_file
from torch import Tensor

from asr_analogy.errors import DataError, RecipeError, ResourceError
from asr_analogy.vectors.plan import Rule
from asr_analogy.vectors.shards import write_shard
from asr_analogy.vectors.sparsity import BLOCK
from asr_analogy.vectors.stream import Vector, combine, merge
from asr_analogy.vectors.weights import INDEX, SINGLE, Weights

Tensors = dict[str, Tensor]
TIED = {"proj_out.weight": "model.decoder.embed_tokens.weight"}
HALF = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def tensors(seed: int, *dtypes: torch.dtype) -> Tensors:
    """Two tensors per dtype, an empty and a scalar one, plus BatchNorm buffers and integers."""
    generator = torch.Generator().manual_seed(seed)
    made = {f"p{i}.weight": torch.randn(3, 5, generator=generator).to(dtype) for i, dtype in enumerate(dtypes)}
    made |= {f"p{i}.bias": torch.randn(7, generator=generator).to(dtype) for i, dtype in enumerate(dtypes)}
    made |= {"gain": torch.randn((), generator=generator).to(dtypes[0]), "empty": torch.zeros(0, 4)}
    made |= {"bn.running_var": torch.rand(2, generator=generator), "bn.num_batches_tracked": torch.tensor(seed)}
    return made | {"mask": torch.tensor([True, False, True]), "größe": torch.full((2,), float(seed))}


def save(folder: Path, content: Tensors, shards: int = 1) -> Path:
    folder.mkdir(parents=True)
    if shards == 1:
        save_file(content, folder / SINGLE, metadata={"format": "pt"})
        return folder
    files = {name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, name in enumerate(content)}
    for file in set(files.values()):
        save_file({name: content[name] for name in content if files[name] == file}, folder / file)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": files}))
    return folder


def load(folder: Path) -> Tensors:
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def raw(tensor: Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def expected(to: Tensors, plus: Tensors, minus: Tensors, scale: float) -> Tensors:
    """The formula, straight: parameters move, everything else is `to`'s."""
    result = dict(to)
    for name, start in to.items():
        if start.is_floating_point() and not name.endswith("running_var"):
            wide = torch.float64 if start.dtype == torch.float64 else torch.float32
            result[name] = (start.to(wide) + scale * (plus[name].to(wide) - minus[name].to(wide))).to(start.dtype)
    return result


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def three(tmp_path: Path, to: Tensors, plus: Tensors, minus: Tensors) -> tuple[Path, Path, Path]:
    return save(tmp_path / "to", to), save(tmp_path / "plus", plus), save(tmp_path / "minus", minus)


@pytest.mark.parametrize("dtypes", [(HALF[0],), (HALF[1],), (HALF[2],), HALF], ids=["fp16", "bf16", "fp32", "mixed"])
@pytest.mark.parametrize("shards", [1, 3])
def test_merge(tmp_path: Path, out: Path, dtypes: tuple[torch.dtype, ...], shards: int) -> None:
    c, b, a = (tensors(seed, *dtypes) for seed in (1, 2, 3))
    to = save(tmp_path / "to", c, shards)
    summary = merge(to, save(tmp_path / "plus", b, 2), save(tmp_path / "minus", a), 0.3, out)
    merged, wanted = load(out), expected(c, b, a, 0.3)
    assert merged.keys() == wanted.keys()
    assert all(raw(merged[name]) == raw(wanted[name]) and merged[name].dtype == c[name].dtype for name in c)
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in to.iterdir())
    if shards > 1:
        assert (out / INDEX).read_bytes() == (to / INDEX).read_bytes()
    moved = [n for n in c if c[n].is_floating_point() and n != "bn.running_var"]
    vector = torch.cat([(b[n].double() - a[n].double()).reshape(-1) for n in moved])
    start = torch.cat([c[n].double().reshape(-1) for n in moved])
    assert summary.vector_norm == pytest.approx(float(vector.norm()), rel=1e-6)
    assert summary.to_norm == pytest.approx(float(start.norm()), rel=1e-6)
    assert (summary.parameters, summary.elements) == (len(moved), start.numel())
    assert sorted(summary.copied) == ["bn.num_batches_tracked", "bn.running_var", "mask"]
    assert summary.seconds > 0


def test_inputs_of_other_precision(tmp_path: Path, out: Path) -> None:
    c, b, a = {"w": torch.randn(9)}, {"w": torch.randn(9).half()}, {"w": torch.randn(9).bfloat16()}
    merge(*three(tmp_path, c, b, a), 0.5, out)
    assert torch.equal(load(out)["w"], c["w"] + 0.5 * (b["w"].float() - a["w"].float()))


def test_named_buffers_are_copied(tmp_path: Path, out: Path) -> None:
    c, b, a = ({"w": torch.full((2,), s), "stat": torch.full((2,), s)} for s in (1.0, 2.0, 4.0))
    del b["stat"]
    summary = merge(*three(tmp_path, c, b, a), 1.0, out, buffers={"stat", "not stored"})
    assert summary.copied == ["stat"]
    assert load(out)["stat"].tolist() == [1, 1]
    assert load(out)["w"].tolist() == [-1, -1]


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("scale", [0.0, 0.7])
def test_nothing_moves_bit_for_bit(tmp_path: Path, out: Path, dtype: torch.dtype, scale: float) -> None:
    c, b, a = (tensors(seed, dtype) for seed in (1, 2, 3))
    c["p0.bias"] = torch.tensor([-0.0, 0.0, 6e-8, -6e-8, 6e4, -1.5, 1 / 3], dtype=dtype)
    to, plus, minus = three(tmp_path, c, b, b if scale else a)
    merge(to, plus, minus, scale, out)
    assert all(raw(tensor) == raw(c[name]) for name, tensor in load(out).items())
    data = [path.read_bytes() for path in (to / SINGLE, out / SINGLE)]
    sizes = [8 + int.from_bytes(each[:8], "little") for each in data]
    assert data[0][sizes[0] :] == data[1][sizes[1] :]


def test_header(tmp_path: Path, out: Path) -> None:
    for extra in range(8):
        c = {"w" * (extra + 1): torch.ones(3, dtype=torch.bfloat16)}
        merge(*three(tmp_path / str(extra), c, c, c), 1.0, out)
        content = (out / SINGLE).read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        assert length % 8 == 0
        assert header.pop("__metadata__") == {"format": "pt"}
        assert header == {"w" * (extra + 1): {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}
        assert len(content) == 8 + length + 6


def test_writer_checks_what_it_writes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="announced"):
        write_shard(tmp_path / "x", [("w", torch.float32, (2,))], [torch.zeros(3)])


def test_links_in_out_are_replaced_not_followed(tmp_path: Path, out: Path) -> None:
    c, b, a = ({"w": torch.full((2,), s)} for s in (1.0, 2.0, 4.0))
    to, plus, minus = three(tmp_path, c, b, a)
    (out / SINGLE).symlink_to(to / SINGLE)
    merge(to, plus, minus, 1.0, out)
    assert load(to)["w"].tolist() == [1, 1]
    assert load(out)["w"].tolist() == [-1, -1]


def test_weights(tmp_path: Path) -> None:
    content = tensors(1, torch.bfloat16, torch.float32)
    weights = Weights.open(save(tmp_path / "m", content, 2))
    assert sorted(weights.names) == sorted(content)
    assert list(weights.shards) == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for name, tensor in content.items():
        assert (weights.shape(name), weights.dtype(name)) == (tuple(tensor.shape), tensor.dtype)
        assert raw(weights.tensor(name)) == raw(tensor)
    assert "gain" in weights and "lost" not in weights
    with pytest.raises(KeyError):
        weights.tensor("lost")


@pytest.mark.parametrize("twice", ["to", "plus", "minus"])
def test_tied_tensor_stored_twice_in_one_folder(tmp_path: Path, out: Path, twice: str) -> None:
    alias, name = next(iter(TIED.items()))
    contents = {folder: {name: torch.full((4, 2), s)} for folder, s in (("to", 1.0), ("plus", 2.0), ("minus", 4.0))}
    contents[twice][alias] = contents[twice][name].clone()
    folders = three(tmp_path, *contents.values())
    with pytest.raises(DataError, match=f"{alias}"):
        merge(*folders, 1.0, out)
    merge(*folders, 1.0, out, ties=TIED)
    assert load(out).keys() == contents["to"].keys()
    assert all(torch.equal(tensor, torch.full((4, 2), -1.0)) for tensor in load(out).values())


def test_tie_stored_under_the_alias_only(tmp_path: Path, out: Path) -> None:
    alias, name = next(iter(TIED.items()))
    merge(
        *three(tmp_path, {name: torch.ones(2)}, {alias: torch.ones(2) * 2}, {name: torch.ones(2) * 4}),
        1,
        out,
        ties=TIED,
    )
    assert load(out)[name].tolist() == [-1, -1]


def test_tie_that_is_none(tmp_path: Path, out: Path) -> None:
    alias, name = next(iter(TIED.items()))
    c, b = {name: torch.ones(2)}, {name: torch.ones(2), alias: torch.zeros(2)}
    with pytest.raises(DataError, match="tied but differ"):
        merge(*three(tmp_path, c, b, c), 1.0, out, ties=TIED)


W = {"w": torch.ones(2)}
X = {"x": torch.ones(2)}
INF, NAN, TALL = torch.tensor([1.0, torch.inf]), torch.tensor([1.0, torch.nan]), torch.tensor([6e4, 1.0])


@pytest.mark.parametrize(
    ("to", "plus", "minus", "message"),
    [
        (W | X, W, W, "/plus: lacks the tensor 'x' that .*/to has"),
        (W | X, W | X, W, "/minus: lacks the tensor 'x'"),
        (W, W | X, W, "/plus: has a tensor 'x' that .*/to lacks"),
        (W, W, W | X, "/minus: has a tensor 'x'"),
        (W, {"w": torch.ones(2, 1)}, W, r"/plus: tensor 'w' has shape \(2, 1\) but \(2,\) in .*/to; merge"),
        ({"lm_head.bias": W["w"]}, {"lm_head.bias": W["w"]}, {"lm_head.bias": torch.ones(3)}, "/minus: .*vocabularies"),
        (W, {"w": torch.ones(2, dtype=torch.int8)}, W, "/plus: tensor 'w' is torch.int8"),
        (W, {"w": torch.ones(2).to(torch.float8_e4m3fn)}, W, "/plus: tensor 'w' is stored as F8_E4M3"),
        ({"w": NAN}, W, W, "/to: tensor 'w' holds NaN or Inf"),
        (W, {"w": INF}, W, "/plus: tensor 'w' holds NaN or Inf"),
        (W, W, {"w": -INF.half()}, "/minus: tensor 'w' holds NaN or Inf"),
        (W | {"bn.running_mean": NAN}, W, W, "/to: tensor 'bn.running_mean' holds NaN"),
        ({"w": TALL.half()}, {"w": TALL.half()}, W, "/out: tensor 'w' of the merge overflows torch.float16"),
    ],
)
def test_merge_refuses(tmp_path: Path, out: Path, to: Tensors, plus: Tensors, minus: Tensors, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        merge(*three(tmp_path, to, plus, minus), 1.0, out)
    assert "\n" not in str(caught.value)
    assert list(out.iterdir()) == []


def test_merge_refuses_usage(tmp_path: Path, out: Path) -> None:
    folders = three(tmp_path, W, W, W)
    with pytest.raises(RecipeError, match="scale is nan"):
        merge(*folders, float("nan"), out)
    with pytest.raises(RecipeError, match="overwrite"):
        merge(*folders, 1.0, folders[0])
    with pytest.raises(ResourceError, match="cannot write"):
        merge(*folders, 1.0, tmp_path / "nowhere")
    save_file(W, out / "model-00001-of-00001.safetensors")
    with pytest.raises(ResourceError, match="holds other weights"):
        merge(*folders, 1.0, out)


def test_open_refuses(tmp_path: Path) -> None:
    def refused(message: str) -> None:
        with pytest.raises(DataError, match=message) as caught:
            Weights.open(tmp_path / "m")
        assert str(tmp_path / "m") in str(caught.value)
        assert "\n" not in str(caught.value)

    refused("no such model folder")
    (tmp_path / "m").mkdir()
    refused("no weights")
    for pickle in ("model.ckpt", "whisper.pt", "pytorch_model.bin"):
        (tmp_path / "m" / pickle).touch()
        refused(f"only pickled weights.*{pickle}|only pickled weights.*save_pretrained")
    save_file(W, tmp_path / SINGLE)
    content = (tmp_path / SINGLE).read_bytes()
    for broken in (b"", content[:5], content[:-1], content + b"x", b"version https://git-lfs.github.com/spec/v1"):
        (tmp_path / "m" / SINGLE).write_bytes(broken)
        refused("corrupt or truncated")


def test_open_refuses_indexes(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", {"v": torch.ones(1), "w": torch.ones(2)}, 2)
    good = json.loads((folder / INDEX).read_text())["weight_map"]
    save_file(W, tmp_path / SINGLE)

    def refused(content: object, message: str) -> None:
        (folder / INDEX).write_text(json.dumps(content) if not isinstance(content, str) else content)
        with pytest.raises(DataError, match=message) as caught:
            Weights.open(folder)
        assert str(folder) in str(caught.value)

    broken: object
    for broken in ("{", [], {}, {"weight_map": []}, {"weight_map": 1}):
        refused(broken, "not a weight index")
    for outside in (3, "../model.safetensors", str(tmp_path / SINGLE), "..\\model.safetensors", "..", "x.bin"):
        refused({"weight_map": good | {"w": outside}}, "no safetensors file of this folder")
    refused({"weight_map": good | {"w": "gone.safetensors"}}, "names gone.safetensors, which is missing")
    refused({"weight_map": {"v": good["v"], "w": good["v"]}}, "disagree on tensor 'w'")
    refused({"weight_map": good | {"x": good["v"]}}, "disagree on tensor 'x'")


def test_conformer_keeps_batch_norm_of_to(tmp_path: Path, out: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.Wav2Vec2ConformerConfig(
        vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8, 8), conv_kernel=(10, 3), conv_stride=(5, 2), num_feat_extract_layers=2,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, conv_depthwise_kernel_size=3,
    )  # fmt: skip
    states, folders = [], []
    for seed in range(3):
        torch.manual_seed(seed)
        model = transformers.Wav2Vec2ConformerForCTC(config)
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var", "num_batches_tracked")):
                buffer.fill_(seed + 1)
        model.save_pretrained(tmp_path / str(seed))
        folders.append(tmp_path / str(seed))
        states.append(model.state_dict())
    summary = merge(folders[0], folders[1], folders[2], 0.4, out)
    config.save_pretrained(out)
    merged = transformers.Wav2Vec2ConformerForCTC.from_pretrained(out).state_dict()
    assert len(summary.copied) == 3
    statistics = [name for name in merged if name.rsplit(".")[-1].startswith(("running_", "num_batches"))]
    assert len(statistics) == 3
    assert all(merged[name].unique().tolist() == [1] for name in statistics)
    for name in merged.keys() - set(statistics):
        assert torch.equal(merged[name], states[0][name] + 0.4 * (states[1][name] - states[2][name])), name


def test_whisper_applies_the_tied_head_once(tmp_path: Path, out: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.WhisperConfig(
        vocab_size=20, num_mel_bins=8, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_source_positions=10,
        max_target_positions=10, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=3,
        suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    states, folders = [], []
    for seed in range(3):
        torch.manual_seed(seed)
        model = transformers.WhisperForConditionalGeneration(config)
        model.save_pretrained(tmp_path / str(seed))
        folders.append(tmp_path / str(seed))
        states.append(model.state_dict())
    assert "proj_out.weight" not in Weights.open(folders[0])
    save_file({name: tensor.clone() for name, tensor in states[1].items()}, folders[1] / SINGLE, {"format": "pt"})
    assert "proj_out.weight" in Weights.open(folders[1])
    merge(folders[0], folders[1], folders[2], 0.4, out, ties=TIED)
    config.save_pretrained(out)
    model = transformers.WhisperForConditionalGeneration.from_pretrained(out)
    assert model.proj_out.weight is model.model.decoder.embed_tokens.weight
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, states[0][name] + 0.4 * (states[1][name] - states[2][name])), name


RULES = (
    "analogy",
    "average",
    "ties",
    "dare",
    "dare-ties",
    "breadcrumbs",
    "della",
    "model-stock",
    "iso-c",
    "tsv-m",
    "slerp",
)


def arms(seed: int, sizes: dict[str, tuple[int, ...]], dtype: torch.dtype) -> list[Tensors]:
    """A base and three fine-tunes of it that share a part of their way."""
    generator = torch.Generator().manual_seed(seed)

    def noise(scale: float) -> Tensors:
        return {name: scale * torch.randn(size, generator=generator) for name, size in sizes.items()}

    base, common = noise(1), noise(0.05)
    ways = [noise(0), *(noise(0.1) for _ in range(3))]
    return [{n: (base[n] + (way is not ways[0]) * common[n] + way[n]).to(dtype) for n in sizes} for way in ways]


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders base, C, B, A; the second layer is longer than a stretch."""
    root = tmp_path_factory.mktemp("family")
    sizes = {"encoder.layers.0.w": (40, 9), "encoder.layers.1.w": (257, 600), "decoder.bias": (33,), "gain": ()}
    return [save(root / name, state) for name, state in zip("bCBA", arms(1, sizes, torch.float16), strict=True)]


def combined(family: list[Path], out: Path, rule: Rule, scale: float = 0.5, **settings: object) -> Tensors:
    out.mkdir(parents=True)
    base, c, b, a = family
    combine(c, [Vector(b, a, scale)], out, rule, base, **settings)  # type: ignore[arg-type]
    return load(out)


@pytest.mark.parametrize("name", RULES)
def test_threads_stretches_and_shards_make_no_difference(family: list[Path], tmp_path: Path, name: str) -> None:
    rule = Rule(name, 0.4, seed=3)
    one = combined(family, tmp_path / "one", rule, threads=1, length=8 * BLOCK)
    many = combined(family, tmp_path / "many", rule, threads=5, length=BLOCK)
    split = [save(tmp_path / folder.name, load(folder), 3) for folder in family]
    sharded = combined(split, tmp_path / "sharded", rule, threads=2, length=2 * BLOCK)
    assert all(raw(one[n]) == raw(many[n]) == raw(sharded[n]) for n in one)
    assert not all(torch.equal(one[n], tensor) for n, tensor in load(family[1]).items())


@pytest.mark.parametrize("name", [name for name in RULES if name != "iso-c"])
def test_scale_zero_gives_c_bit_for_bit(family: list[Path], tmp_path: Path, name: str) -> None:
    """Where nothing is dropped. Iso-C evens out the one vector too, Model Stock shrinks it to what both share: nothing."""
    merged, c, base = combined(family, tmp_path / "out", Rule(name, 1.0), 0.0), load(family[1]), load(family[0])
    if name == "model-stock":
        assert all(torch.allclose(merged[n], base[n], atol=1e-3) for n in c)
    else:
        assert all(raw(merged[n]) == raw(c[n]) for n in c)


def test_where_the_vector_does_not_act_c_stays(family: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    _, c, b, a = family
    combine(c, [Vector(b, a, 0.5, {"encoder": (1.0, 0.0)})], tmp_path / "out")
    merged, states = load(tmp_path / "out"), [load(folder) for folder in (c, b, a)]
    wanted = expected(*states, 0.5)
    assert torch.equal(merged["encoder.layers.0.w"], wanted["encoder.layers.0.w"])
    for name in ("encoder.layers.1.w", "decoder.bias", "gain"):
        assert raw(merged[name]) == raw(states[0][name])


def naive(name: str, deltas: list[Tensor], scale: float, density: float) -> Tensor:
    """Rules without chance on one whole tensor, by sorting."""
    one, other = (delta.reshape(-1) for delta in deltas)
    if name == "average":
        return (one + scale * other) / (1 + scale)
    keep = max(1, int(density * len(one)))
    drop = min(int(0.01 * len(one)), len(one) - keep) if name == "breadcrumbs" else 0
    sparse = []
    for delta in (one, other):
        ordered = delta.abs().sort(descending=True).values
        low, high = ordered[drop + keep - 1], ordered[drop]
        sparse.append(torch.where((delta.abs() >= low) & (delta.abs() <= high), delta, 0.0))
    total = sparse[0] + scale * sparse[1]
    if name == "breadcrumbs":
        return total
    parts = [sparse[0], scale * sparse[1]]
    return sum((torch.where(part.sign() == total.sign(), part, 0.0) for part in parts), torch.zeros(len(one)))


@pytest.mark.parametrize("name", ["average", "ties", "breadcrumbs"])
def test_rules_against_sorting(family: list[Path], tmp_path: Path, name: str) -> None:
    merged = combined(family, tmp_path / "out", Rule(name, 0.3), 0.5, length=BLOCK)
    base, c, b, a = ({n: t.float() for n, t in load(folder).items()} for folder in family)
    for n in c:
        wanted = base[n] + naive(name, [c[n] - base[n], b[n] - a[n]], 0.5, 0.3).reshape(c[n].shape)
        torch.testing.assert_close(merged[n].float(), wanted, rtol=2e-3, atol=2e-3)


def test_dare_drops_from_both_vectors(family: list[Path], tmp_path: Path) -> None:
    merged = combined(family, tmp_path / "out", Rule("dare", 0.25, seed=4))["encoder.layers.1.w"].float()
    base, c, b, a = (load(folder)["encoder.layers.1.w"].float() for folder in family)
    kinds = torch.stack([base + x * 4 * (c - base) + y * 2 * (b - a) for x in (0, 1) for y in (0, 1)])
    error, kind = (kinds - merged).abs().min(0)
    assert error.max() < 4e-3
    share = torch.bincount(kind.reshape(-1), minlength=4) / kind.numel()
    assert (share - torch.tensor([9, 3, 3, 1]) / 16).abs().max() < 0.01
    again = combined(family, tmp_path / "again", Rule("dare", 0.25, seed=5))["encoder.layers.1.w"].float()
    assert not torch.equal(merged, again)


def test_several_vectors_on_a_base(family: list[Path], tmp_path: Path) -> None:
    base, c, b, a = family
    (tmp_path / "out").mkdir()
    combine(base, [Vector(c, base), Vector(b, base, 0.5), Vector(a, base, -0.5)], tmp_path / "out")
    merged, (t, x, y, z) = load(tmp_path / "out"), (load(folder) for folder in family)
    for n in t:
        wanted = t[n].float() + (x[n].float() - t[n]) + 0.5 * (y[n].float() - t[n]) - 0.5 * (z[n].float() - t[n])
        torch.testing.assert_close(merged[n].float(), wanted, rtol=1e-3, atol=1e-3)


@given(some.data())
@settings(deadline=None, max_examples=15)
def test_any_shapes_and_dtypes(tmp_path_factory: pytest.TempPathFactory, data: some.DataObject) -> None:
    shapes = some.lists(some.integers(1, 7), max_size=3).map(tuple)
    sizes = {f"t{n}": data.draw(shapes) for n in range(data.draw(some.integers(1, 4)))}
    dtypes = [data.draw(some.sampled_from(HALF)) for _ in range(4)]
    root = tmp_path_factory.mktemp("any")
    folders = [
        save(root / str(n), {k: t.to(dtype) for k, t in state.items()}, data.draw(some.integers(1, 3)))
        for n, (state, dtype) in enumerate(zip(arms(2, sizes, torch.float64), dtypes, strict=True))
    ]
    rule = Rule(data.draw(some.sampled_from(RULES)), data.draw(some.floats(0.01, 1)))
    merged, c = combined(folders, root / "out", rule, data.draw(some.floats(0, 1))), load(folders[1])
    assert {n: (t.shape, t.dtype) for n, t in merged.items()} == {n: (t.shape, t.dtype) for n, t in c.items()}


def test_rules_refuse_weights_that_do_not_suit_them(family: list[Path], tmp_path: Path) -> None:
    for name, scale, message in (("average", -1.0, "add up to zero"), ("slerp", 1.5, r"from 0 to 1 \(got 1.5\)")):
        with pytest.raises(RecipeError, match=message):
            combined(family, tmp_path / name, Rule(name), scale)
        assert list((tmp_path / name).iterdir()) == []


def test_a_single_file_is_a_model_too(family: list[Path], out: Path) -> None:
    _, c, b, a = (folder / SINGLE for folder in family)
    merge(c, b, a, 0.5, out)
    wanted = expected(*(load(folder) for folder in family[1:]), 0.5)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in load(out).items())


def test_the_smallest_numbers_survive_a_process_that_trains(tmp_path: Path) -> None:
    tiny = {"weight": torch.full((4,), 1e-40)}
    for name, tensors in {"c": tiny, "b": tiny, "a": {"weight": torch.zeros(4)}}.items():
        (tmp_path / name).mkdir()
        save_file(tensors, tmp_path / name / "model.safetensors")
    (tmp_path / "out").mkdir()
    torch.set_flush_denormal(True)
    merge(tmp_path / "c", tmp_path / "b", tmp_path / "a", 1.0, tmp_path / "out")
    assert (load_file(tmp_path / "out" / "model.safetensors")["weight"] > 1e-40).all()
