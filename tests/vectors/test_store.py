"""The store: a vector comes back as it went in, and nothing but a whole, undamaged vector is ever one."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from asr_analogy.errors import DataError, MissingError, RecipeError, ResourceError
from asr_analogy.vectors.difference import Difference
from asr_analogy.vectors.encodings import ENCODINGS
from asr_analogy.vectors.equip import equip
from asr_analogy.vectors.record import Foundation, Record, fingerprints, norms
from asr_analogy.vectors.sharing import pull, push
from asr_analogy.vectors.store import RECORD, WEIGHTS, Store, StoredVector, default_root, read
from asr_analogy.vectors.stream import Weights, merge

TIES = {"proj_out.weight": "embed.weight"}


def model(folder: Path, seed: int, dtype: torch.dtype = torch.float32, moved: float = 1e-3) -> Path:
    """A fine-tune of one base: a matrix, a bias, a frozen table, BatchNorm statistics."""
    own, base = (torch.Generator().manual_seed(number) for number in (seed, 99))
    shapes = {"embed.weight": (40, 24), "fc.weight": (24, 130), "fc.bias": (24,), "frozen.weight": (9, 9)}
    found = {name: torch.randn(shape, generator=base) for name, shape in shapes.items()}
    for name in list(found)[:3]:
        found[name] += moved * torch.randn(shapes[name], generator=own)
    found = {name: tensor.to(dtype) for name, tensor in found.items()}
    found["bn.running_var"], found["bn.num_batches_tracked"] = torch.rand(4, generator=own), torch.tensor(seed)
    folder.mkdir(parents=True)
    save_file(found, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    found = {name: model(tmp_path / name, seed) for seed, name in enumerate("ABC", 1)}
    return {**found, "base": model(tmp_path / "base", 9, moved=0.0)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def save(
    store: Store, folders: Mapping[str, Path], name: str = "v", encoding: str = "exact", **rest: object
) -> StoredVector:
    weights = Weights.open(folders["base"])
    base = Foundation(id="some/base", tensors=fingerprints(weights))
    delta = Difference.between(folders["A"], folders["B"])
    settings = {"force": bool(rest.pop("force", False))}
    return store.save(name, delta, encoding, base, norms(weights), rest, {"encoding": encoding, **rest}, **settings)


def load(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def test_an_exact_vector_equips_bit_for_bit_like_the_merge(
    store: Store, folders: dict[str, Path], tmp_path: Path
) -> None:
    vector = save(store, folders)
    for name in ("equipped", "merged"):
        (tmp_path / name).mkdir()
    equip(folders["C"], [("v", vector, 0.37)], tmp_path / "equipped")
    merge(folders["C"], folders["B"], folders["A"], 0.37, tmp_path / "merged")
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("equipped", "merged")]
    assert files[0] == files[1] and load(tmp_path / "merged")["fc.bias"].ne(load(folders["C"])["fc.bias"]).any()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_record_says_what_is_stored(store: Store, folders: dict[str, Path], encoding: str) -> None:
    record = save(store, folders, encoding=encoding, licence="cc0-1.0", language="en").record
    found = store.open("v")
    assert found.record == record
    delta = Difference.between(folders["A"], folders["B"])
    assert set(found.names) == {"embed.weight", "fc.weight", "fc.bias", "frozen.weight"}
    moved = [name for name in found.names if record.tensors[name].norm]
    assert "frozen.weight" not in moved and not found.tensor("frozen.weight").any()
    whole = torch.cat([delta.tensor(name).reshape(-1) for name in delta.names]).double()
    lost = torch.cat([(delta.tensor(name) - found.tensor(name)).reshape(-1) for name in delta.names]).double()
    assert record.norm == pytest.approx(float(whole.norm()), rel=1e-6)
    assert record.error == pytest.approx(float(lost.norm() / whole.norm()), abs=1e-7)
    assert (record.error == 0) == (encoding == "exact")
    base = load(folders["base"])
    total = torch.cat([base[name].reshape(-1) for name in delta.names]).norm()
    assert record.relative == pytest.approx(float(whole.norm() / total), rel=1e-5)
    assert record.size == (store.root / "v" / WEIGHTS).stat().st_size
    assert record.exact_size == 4 * (40 * 24 + 24 * 130 + 24)
    assert (record.licence, record.language, record.base.id) == ("cc0-1.0", "en", "some/base")
    text = (store.root / "v" / "README.md").read_text()
    assert 'base_model: "some/base"' in text and 'license: "cc0-1.0"' in text and encoding in text


def test_several_vectors_with_weights(store: Store, folders: dict[str, Path], tmp_path: Path) -> None:
    one, two = save(store, folders), save(store, folders, "w", "int8")
    (tmp_path / "out").mkdir()
    equip(folders["C"], [("v", one, 0.5), ("w", two, -0.25)], tmp_path / "out")
    c, found = load(folders["C"]), load(tmp_path / "out")
    for name in one.names:
        wanted = c[name] + 0.5 * one.tensor(name) - 0.25 * two.tensor(name)
        assert torch.allclose(found[name], wanted, atol=1e-7)
    assert torch.equal(found["bn.running_var"], c["bn.running_var"])


def test_half_precision_and_tied_tensors(store: Store, tmp_path: Path) -> None:
    folders = {name: model(tmp_path / name, seed, torch.float16) for seed, name in enumerate("ABC", 1)}
    folders["base"] = model(tmp_path / "base", 9, torch.float16, 0.0)
    vector = save(store, folders)
    both = load(folders["C"])
    save_file({**both, "proj_out.weight": both["embed.weight"].clone()}, folders["C"] / "model.safetensors")
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"vector v: lacks the tensor 'proj_out.weight'"):
        equip(folders["C"], [("v", vector, 0.5)], tmp_path / "out")
    equip(folders["C"], [("v", vector, 0.5)], tmp_path / "out", ties=TIES)
    found = load(tmp_path / "out")
    assert torch.equal(found["proj_out.weight"], found["embed.weight"]) and found["embed.weight"].dtype == torch.float16
    ours = fingerprints(Weights.open(folders["C"]), TIES)
    assert "proj_out.weight" not in ours and len(ours) == 6


def test_another_base_is_refused_with_both_names_and_the_tensor(
    store: Store, folders: dict[str, Path], tmp_path: Path
) -> None:
    record = save(store, folders).record
    record.check_base("same/base", fingerprints(Weights.open(folders["base"])))
    other = load(folders["base"])
    other["fc.weight"][3, 5] += 1e-6
    shutil.copytree(folders["base"], tmp_path / "other")
    save_file(other, tmp_path / "other" / "model.safetensors")
    with pytest.raises(
        RecipeError, match=r"made for the base some/base, not for other/base: tensor 'fc.weight' differs"
    ):
        record.check_base("other/base", fingerprints(Weights.open(tmp_path / "other")))
    del other["fc.weight"]
    save_file(other, tmp_path / "other" / "model.safetensors")
    with pytest.raises(RecipeError, match="'fc.weight' is missing in other/base"):
        record.check_base("other/base", fingerprints(Weights.open(tmp_path / "other")))


def test_other_shapes_are_refused(store: Store, folders: dict[str, Path], tmp_path: Path) -> None:
    vector = save(store, folders)
    tensors = load(folders["C"])
    tensors["fc.bias"] = torch.zeros(25)
    save_file(tensors, folders["C"] / "model.safetensors")
    with pytest.raises(DataError, match=r"vector v: tensor 'fc.bias' has shape \(24,\), in .*C \(25,\)"):
        equip(folders["C"], [("v", vector, 1.0)], tmp_path)


def test_nan_is_refused_and_leaves_nothing(store: Store, folders: dict[str, Path]) -> None:
    tensors = load(folders["B"])
    tensors["fc.bias"][0] = torch.nan
    save_file(tensors, folders["B"] / "model.safetensors")
    with pytest.raises(DataError, match=r"B: tensor 'fc.bias' holds NaN or Inf"):
        save(store, folders)
    assert store.names() == [] and [path.name for path in store.root.iterdir()] == [".lock"]


def test_the_same_again_is_skipped_and_another_needs_force(store: Store, folders: dict[str, Path]) -> None:
    first = save(store, folders)
    time_ = (first.folder / WEIGHTS).stat().st_mtime_ns
    assert (save(store, folders).folder / WEIGHTS).stat().st_mtime_ns == time_
    with pytest.raises(RecipeError, match="v: another vector of that name is in .*--force"):
        save(store, folders, encoding="int8")
    assert save(store, folders, encoding="int8", force=True).record.encoding == "int8"


@pytest.mark.parametrize("name", ["", ".", "..", "../v", "a/b", "/etc", ".hidden", "a b", "a\nb", "-x", "x" * 101, "ä"])
def test_names_are_plain_words(store: Store, name: str) -> None:
    for call in (store.path, store.open, store.remove):
        with pytest.raises(RecipeError, match="not a name for a vector"):
            call(name)


def test_a_name_that_is_not_there(store: Store, folders: dict[str, Path]) -> None:
    with pytest.raises(MissingError, match=r"w: no such vector in .* \(there: none\)"):
        store.open("w")
    save(store, folders)
    with pytest.raises(MissingError, match=r"\(there: v\); save one with"):
        store.remove("w")


def test_remove(store: Store, folders: dict[str, Path]) -> None:
    save(store, folders)
    (store.root / "mine").mkdir()
    store.remove("v")
    assert store.names() == [] and not (store.root / "v").exists() and not list(store.root.glob(".v*"))
    with pytest.raises(RecipeError, match="mine: not a vector of this store"):
        store.remove("mine")
    assert (store.root / "mine").is_dir()


def test_links_are_refused(store: Store, folders: dict[str, Path], tmp_path: Path) -> None:
    save(store, folders)
    outside = tmp_path / "outside"
    shutil.move(store.root / "v", outside)
    (store.root / "v").symlink_to(outside)
    assert store.names() == []
    with pytest.raises(DataError, match="link"):
        store.open("v")
    with pytest.raises(RecipeError, match="link"):
        save(store, folders)
    with pytest.raises(RecipeError, match="not a vector of this store"):
        store.remove("v")
    assert (outside / WEIGHTS).is_file()
    (store.root / "v").unlink()
    shutil.copytree(outside, store.root / "v")
    (store.root / "v" / WEIGHTS).unlink()
    (store.root / "v" / WEIGHTS).symlink_to(outside / WEIGHTS)
    with pytest.raises(DataError, match="link"):
        store.open("v")


@pytest.mark.parametrize("where", [40, -1])
def test_one_flipped_bit_is_found(store: Store, folders: dict[str, Path], where: int) -> None:
    path = save(store, folders).folder / WEIGHTS
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="not the weights that vector.json records"):
        store.open("v")


def tampered(folder: Path, **changes: object) -> None:
    path = folder / RECORD
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_record_that_lies_is_found(store: Store, folders: dict[str, Path]) -> None:
    folder = save(store, folders).folder
    good = json.loads((folder / RECORD).read_text())
    entries = good["tensors"]
    cases: list[tuple[dict[str, object], str]] = [
        ({"tensors": {**entries, "fc.bias": {"shape": [25], "norm": 1.0}}}, "tensor 'fc.bias' is not as"),
        ({"tensors": {**entries, "extra": {"shape": [2], "norm": 1.0}}}, "tensor 'extra' is not as"),
        ({"tensors": {**entries, "fc.bias": {"shape": [-1], "norm": 1.0}}}, "tensors.fc.bias.shape"),
        ({"tensors": {**entries, "fc.bias": {"shape": [24], "norm": float("nan")}}}, "fc.bias.norm"),
        ({"encoding": "int8"}, "is not as vector.json says"),
        ({"encoding": "pickle"}, "encoding"),
        ({"sha256": "0" * 64}, "not the weights"),
        ({"format": 2}, "later version"),
        ({"name": "../../x"}, "name"),
        ({"surprise": 1}, "surprise: unknown key"),
    ]
    for changes, message in cases:
        (folder / RECORD).write_text(json.dumps(good))
        tampered(folder, **changes)
        with pytest.raises(DataError, match=message):
            store.open("v")
    for text in ("", "[]", "[" * 100_000, "\ud83d".encode("utf-8", "surrogatepass")):
        (folder / RECORD).write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(DataError):
            store.open("v")


def test_nan_in_a_file_with_the_right_hash_is_found_when_it_is_read(store: Store, folders: dict[str, Path]) -> None:
    folder = save(store, folders).folder
    tensors = load_file(folder / WEIGHTS)
    tensors["fc.bias"][3] = torch.inf
    save_file(tensors, folder / WEIGHTS)
    import hashlib

    data = (folder / WEIGHTS).read_bytes()
    tampered(folder, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    with pytest.raises(DataError, match="tensor 'fc.bias': a stored tensor holds NaN"):
        store.open("v").tensor("fc.bias")


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_store
from asr_analogy.vectors import store as room
root = Path(sys.argv[2])
folders = {name: root / name for name in ("A", "B", "C", "base")}
encode = room.encode
def slow(delta, encoding):
    print("half", flush=True)
    time.sleep(60)
    return encode(delta, encoding)
room.encode = slow
test_store.save(room.Store(root / "store"), folders)
"""


def test_a_killed_save_never_shows(store: Store, folders: dict[str, Path], tmp_path: Path) -> None:
    """A real process is killed with -9 while the weights file is half written; the next save takes over."""
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None and process.stdout.readline() == "half\n"
        assert list(store.root.glob(".v.partial/vector.safetensors"))
        with pytest.raises(ResourceError, match="another run"):
            save(store, folders)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert store.names() == [] and not (store.root / "v").exists()
    with pytest.raises(MissingError):
        store.open("v")
    save(store, folders, encoding="int8")
    assert store.names() == ["v"] and store.open("v").record.encoding == "int8"
    assert not list(store.root.glob(".v*"))


def cached(home: Path, repository: str, source: Path) -> Path:
    """A repository as the Hub's own cache holds it after a download."""
    place = home / f"models--{repository.replace('/', '--')}"
    snapshot = place / "snapshots" / ("c0ffee" * 7)[:40]
    shutil.copytree(source, snapshot, ignore=lambda *_: {"run.json"})
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(snapshot.name)
    return snapshot


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_pull_checks_before_the_vector_appears(store: Store, folders: dict[str, Path], hub: Path) -> None:
    folder = save(store, folders, encoding="int8").folder
    snapshot = cached(hub, "someone/s2r", folder)
    pulled = pull(store, "someone/s2r")
    assert store.names() == ["s2r", "v"] and torch.equal(pulled.tensor("fc.weight"), read(folder).tensor("fc.weight"))
    assert not any(path.is_symlink() for path in pulled.folder.iterdir())
    assert pull(store, "someone/s2r", "mine").folder == store.root / "mine"
    data = bytearray((snapshot / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (snapshot / WEIGHTS).write_bytes(bytes(data))
    with pytest.raises(DataError, match="not the weights"):
        pull(store, "someone/s2r", "other")
    assert store.names() == ["mine", "s2r", "v"] and not list(store.root.glob(".other*"))
    (snapshot / RECORD).unlink()
    with pytest.raises(MissingError, match="someone/s2r: holds no vector"):
        pull(store, "someone/s2r", "other")
    with pytest.raises(RecipeError, match="not a name"):
        pull(store, "someone/s2r", "../other")


def test_the_hub_offline_is_one_line(store: Store, folders: dict[str, Path], hub: Path) -> None:
    save(store, folders)
    with pytest.raises(MissingError, match=r"a/b: cannot be pulled \(offline\); go online") as caught:
        pull(store, "a/b")
    assert "\n" not in str(caught.value)
    with pytest.raises(MissingError, match=r"a/b: cannot push there \(offline\); go online") as caught:
        push(store, "v", "a/b")
    assert "\n" not in str(caught.value)


def test_where_the_store_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASR_ANALOGY_STORE", str(tmp_path / "here"))
    assert default_root() == Store().root == tmp_path / "here"
    monkeypatch.delenv("ASR_ANALOGY_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_root() == tmp_path / "asr-analogy" / "vectors"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_root().is_relative_to(tmp_path)
    assert Store(tmp_path / "nothing").names() == []


def test_a_record_survives_its_text(store: Store, folders: dict[str, Path]) -> None:
    record = save(store, folders).record
    assert Record.parse(record.text(), "x") == record
    assert record.versions["python"]
