import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from asr_analogy.asr.family import open_recogniser
from asr_analogy.asr.hub import find, read_config
from asr_analogy.errors import DataError, MissingError, RecipeError


@pytest.fixture
def copy(conformer: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(conformer, tmp_path / "copy"))


class Evil:
    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.proof}",)


def as_pickle(folder: Path, **extra: Any) -> dict[str, torch.Tensor]:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({**weights, **extra}, folder / "pytorch_model.bin")
    return weights


def test_find_takes_folders_and_names_what_is_missing(conformer: Path) -> None:
    assert find(str(conformer)) == conformer
    for name in ("./nowhere", "/no/such/model", "a/b/c"):
        with pytest.raises(MissingError, match=f"{name}: no such folder"):
            find(name)
    with pytest.raises(MissingError, match="nobody/nothing: neither a model folder here nor reachable on the hub"):
        find("nobody/nothing")


def test_folders_that_are_no_model_of_ours(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no config\.json"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"config\.json: not readable as JSON"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(DataError, match="not a JSON object"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(RecipeError, match="'bert'; supported: whisper, wav2vec2-conformer"):
        read_config(tmp_path)


def test_a_folder_without_weights_or_processor(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    open_recogniser(copy, "en", weights=False)
    with pytest.raises(DataError, match="no weights there"):
        open_recogniser(copy, "en")
    (copy / "vocab.json").unlink()
    with pytest.raises(DataError, match="no usable Wav2Vec2Processor"):
        open_recogniser(copy, "en", weights=False)


@pytest.mark.parametrize("damage", ["truncated", "garbage", "shape"])
def test_damaged_weights_are_one_line(copy: Path, damage: str) -> None:
    path = copy / "model.safetensors"
    if damage == "shape":
        config = copy / "config.json"
        config.write_text(config.read_text().replace('"intermediate_size": 32', '"intermediate_size": 48'))
    else:
        path.write_bytes(path.read_bytes()[:-100] if damage == "truncated" else b"garbage" * 20)
    with pytest.raises(DataError, match="not loadable as Wav2Vec2ConformerForCTC") as caught:
        open_recogniser(copy, "en")
    assert "\n" not in str(caught.value)


def test_a_base_without_its_head_is_refused(copy: Path) -> None:
    from safetensors.torch import save_file

    weights = load_file(copy / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"lacks 1 weights.*first lm_head\.weight; give a checkpoint that was trained"):
        open_recogniser(copy, "en")


def test_a_pickled_base_is_read(copy: Path) -> None:
    weights = as_pickle(copy)
    loaded = open_recogniser(copy, "en").model.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())


def test_a_pickle_with_code_is_not_executed(copy: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    as_pickle(copy, evil=Evil(proof))
    with pytest.raises(DataError, match="were not executed; get the base as safetensors"):
        open_recogniser(copy, "en")
    assert not proof.exists()
    torch.load(copy / "pytorch_model.bin", weights_only=False)
    assert proof.exists()  # the trap works: only our reading disarms it


def test_half_precision_bases_are_opened_in_fp32(tmp_path: Path) -> None:
    import models

    folder = models.conformer(tmp_path / "half", dtype=torch.float16)
    assert load_file(folder / "model.safetensors")["lm_head.weight"].dtype == torch.float16
    model = open_recogniser(folder, "en").model
    assert {value.dtype for value in model.state_dict().values() if value.is_floating_point()} == {torch.float32}
