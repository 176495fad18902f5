import sys
from pathlib import Path

import models
import pytest
import torch
from runs import fitted
from safetensors.torch import load_file

from asr_analogy.asr import adapters
from asr_analogy.asr.family import open_recogniser
from asr_analogy.asr.folder import save
from asr_analogy.errors import MissingError
from asr_analogy.recipe import Lora

RANK = 2
OPTIONS = {"steps": 3, "rate": 0.01, "lora": {"rank": RANK, "alpha": 4}}


def test_without_peft_it_says_what_to_install(whisper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingError, match=r"train\.lora: needs peft; pip install 'asr-analogy\[lora\]'"):
        adapters.add(open_recogniser(whisper, "en").model, Lora())


@pytest.mark.parametrize("family", models.FAMILIES)
def test_adapters_end_as_full_weights_of_low_rank_change(family: str, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="peft is not installed")
    base = models.tiny(family, tmp_path / "base")
    recogniser, metrics = fitted(base, tmp_path / "out", models.utterances(), **OPTIONS)
    save(recogniser, tmp_path / "folder", base)
    before, after = load_file(base / "model.safetensors"), load_file(tmp_path / "folder" / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.endswith(".weight") and before[name].ndim == 2 for name in changed)
    ranks = {int(torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-4)) for name in changed}
    assert max(ranks) <= RANK
    part = "model.encoder.layers.0.fc1" if family == "whisper" else "wav2vec2_conformer.encoder.layers.0.ffn1"
    assert any(name.startswith(part) for name in changed)
    assert open_recogniser(tmp_path / "folder", "en").transcribe([models.clip("abba")])
    assert metrics[-1]["loss"] != metrics[0]["loss"]


def test_the_merged_weights_are_those_of_the_model_afterwards(whisper: Path) -> None:
    pytest.importorskip("peft", reason="peft is not installed")
    model = open_recogniser(whisper, "en").model
    handle = adapters.add(model, Lora(rank=RANK))
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_()
    foreseen = {name: value.clone() for name, value in adapters.merged_weights(model)}
    adapters.merge(handle)
    found = dict(model.named_parameters())
    assert len(foreseen) > 10 and all(torch.equal(value, found[name]) for name, value in foreseen.items())


def test_a_frozen_part_gets_no_adapter_that_trains(whisper: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="peft is not installed")
    before = {name: value.clone() for name, value in open_recogniser(whisper, "en").model.named_parameters()}
    trained, _ = fitted(whisper, tmp_path / "out", models.utterances(), freeze=["encoder"], average="ema", **OPTIONS)
    moved = {name for name, value in trained.model.named_parameters() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("model.decoder.") for name in moved)
