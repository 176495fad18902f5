import json
import shutil
from pathlib import Path

import models
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import WhisperFeatureExtractor, WhisperTokenizer

from asr_analogy.asr.family import open_recogniser
from asr_analogy.asr.folder import anatomy, architecture, copy_settings, plain_errors, save, vocabulary


def saved(base: Path, out: Path, language: str = "en") -> Path:
    save(open_recogniser(base, language), out, base)
    return out


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_a_whisper_folder_is_whole(whisper: Path, tmp_path: Path) -> None:
    out = saved(whisper, tmp_path / "out")
    assert names(out) >= {
        "config.json", "model.safetensors", "generation_config.json", "processor_config.json", "tokenizer.json",
        "preprocessor_config.json", "vocab.json", "merges.txt", "added_tokens.json",
    }  # fmt: skip
    assert not [name for name in names(out) if name.endswith((".bin", ".pt"))]
    parts = [json.loads((out / name).read_text()) for name in ("vocab.json", "added_tokens.json")]
    assert {**parts[0], **parts[1]} == vocabulary(whisper) == vocabulary(out)
    assert not set(parts[0]) & set(parts[1])
    extractor = WhisperFeatureExtractor.from_json_file(out / "preprocessor_config.json")
    assert (extractor.chunk_length, extractor.feature_size) == (2, 80)


def test_the_legacy_tokenizer_files_make_the_same_tokenizer(whisper: Path, tmp_path: Path) -> None:
    out = saved(whisper, tmp_path / "out")
    tokens = json.loads((out / "vocab.json").read_text())
    merges = [tuple(line.split()) for line in (out / "merges.txt").read_text().splitlines()[1:]]
    rebuilt = WhisperTokenizer(vocab=tokens, merges=merges)
    text = " naïve § 4.2"
    expected = WhisperTokenizer.from_pretrained(whisper)(text, add_special_tokens=False).input_ids
    assert rebuilt(text, add_special_tokens=False).input_ids == expected


def test_legacy_files_of_the_base_are_kept_byte_for_byte(whisper: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(whisper, tmp_path / "base"))
    vocab = json.dumps({token: number for token, number in vocabulary(whisper).items() if "<|" not in token})
    for name, text in {
        "normalizer.json": '{"colour": "color"}',
        "vocab.json": vocab,
        "merges.txt": "#version: 0.2\n",
    }.items():
        (base / name).write_text(text)
    out = saved(base, tmp_path / "out")
    for name in ("normalizer.json", "vocab.json", "merges.txt"):
        assert (out / name).read_bytes() == (base / name).read_bytes()


def test_the_generation_config_is_the_base_s_but_language_and_task(whisper: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(whisper, tmp_path / "base"))
    path = base / "generation_config.json"
    odd = {"a_key_nobody_knows": {"x": [1, 2.5e-07, None]}, "forced_decoder_ids": [[1, None], [2, 260]]}
    before = {**json.loads(path.read_text()), **odd}
    path.write_text(json.dumps(before))
    after = json.loads((saved(base, tmp_path / "out", "de") / "generation_config.json").read_text())
    assert {**before, "language": "de", "task": "transcribe"} == after
    assert list(after)[: len(before)] == list(before)
    english = models.whisper(tmp_path / "english", multilingual=False, special=models.ENGLISH_ONLY)
    kept = json.loads((saved(english, tmp_path / "kept") / "generation_config.json").read_text())
    assert kept == json.loads((english / "generation_config.json").read_text())


def test_a_letter_base_stays_one(tmp_path: Path) -> None:
    base = models.whisper(tmp_path / "base", form="letters")
    out = saved(base, tmp_path / "out")
    assert open_recogniser(out, "en", weights=False).label("Fee 2") == open_recogniser(base, "en", weights=False).label(
        "Fee 2"
    )


def test_a_conformer_folder_is_whole(conformer: Path, tmp_path: Path) -> None:
    out = saved(conformer, tmp_path / "out")
    assert names(out) >= {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "vocab.json",
        "tokenizer_config.json",
    }
    assert vocabulary(out) == vocabulary(conformer) == json.loads((out / "vocab.json").read_text())
    assert not names(out) & {"generation_config.json", "added_tokens.json"}
    before, after = load_file(conformer / "model.safetensors"), load_file(out / "model.safetensors")
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_half_precision_becomes_fp32(tmp_path: Path) -> None:
    out = saved(models.whisper(tmp_path / "base", dtype=torch.float16), tmp_path / "out")
    assert {value.dtype for value in load_file(out / "model.safetensors").values()} == {torch.float32}
    assert json.loads((out / "config.json").read_text())["dtype"] == "float32"


def test_settings_are_copied_without_weights_and_training_leftovers(whisper: Path, tmp_path: Path) -> None:
    source, out = Path(shutil.copytree(whisper, tmp_path / "source")), tmp_path / "out"
    leftovers = ("training_args.bin", "optimizer.pt", "model.msgpack", "run.json", "trainer_state.json", "README.md",
                 "model.safetensors.index.json")  # fmt: skip
    for name in leftovers:
        (source / name).write_text("{}")
    out.mkdir()
    copy_settings(source, out)
    assert not names(out) & {*leftovers, "model.safetensors"}
    assert names(out) >= {
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "vocab.json",
        "added_tokens.json",
    }
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        assert (out / name).read_bytes() == (whisper / name).read_bytes()


def test_anatomy_knows_buffers_and_ties(whisper: Path, conformer: Path) -> None:
    buffers, ties = anatomy(conformer)
    assert "wav2vec2_conformer.encoder.layers.0.conv_module.batch_norm.running_var" in buffers and ties == {}
    assert anatomy(whisper)[1] == {"proj_out.weight": "model.decoder.embed_tokens.weight"}


def test_architecture_is_blind_to_training_settings(tmp_path: Path) -> None:
    first = models.conformer(tmp_path / "one")
    second = models.conformer(tmp_path / "two", hidden_dropout=0.3, ctc_loss_reduction="mean", layerdrop=0.5)
    other = models.conformer(tmp_path / "three", num_attention_heads=4)
    assert architecture(first) == architecture(second) != architecture(other)
    assert {"hidden_size", "num_attention_heads", "vocab_size", "layer_norm_eps", "hidden_act"} <= architecture(
        first
    ).keys()


def test_what_safetensors_reports_of_the_disk_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), plain_errors():  # a full disk: tests/stages/test_train.py
        save_file({"a": torch.zeros(10)}, tmp_path / "missing" / "x.safetensors")
