"""Model folders as files: what is written into one, what it is built like. No weights are loaded here."""

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import Wav2Vec2ConformerForCTC, WhisperForConditionalGeneration

from asr_analogy.asr.family import Recogniser, open_config, open_processor, open_recogniser
from asr_analogy.asr.hub import WEIGHTS, read_config, read_json
from asr_analogy.workspace import RECORD

LEGACY = ("vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "normalizer.json")
"""Tokenizer files that transformers 5 no longer writes; faster-whisper and whisper.cpp read only these."""

SETTINGS = (".json", ".txt", ".jinja")
"""Ends of the files that make up a model folder beside its weights."""

ELSEWHERE = (RECORD, "inputs.json", "trainer_state.json", "choice.json")
"""JSON files that tell how a folder was made, not what it is."""

TRAINING_ONLY = (
    "drop", "mask_", "spec_augment", "ctc_", "init", "num_negatives", "diversity", "contrastive", "dtype", "name_or_path",
    "transformers_version", "architectures", "use_cache", "suppress_tokens", "forced_decoder_ids", "max_length", "median_filter",
)  # fmt: skip
"""Parts of config.json keys that change neither the shape of the weights nor what they compute."""


def save(recogniser: Recogniser, folder: Path, base: Path) -> None:
    """Write a model folder: safetensors, the full processor with its legacy files, the base's generation config."""
    with plain_errors():
        recogniser.model.save_pretrained(folder)
    recogniser.processor.save_pretrained(folder)
    write_legacy(recogniser.processor, folder, base)
    settings = read_json(base / "generation_config.json")
    if settings is not None:
        # Not transformers' own rewriting of it: that loses keys it does not know, which CTranslate2 needs.
        text = json.dumps({**settings, **recogniser.decoding}, indent=2, ensure_ascii=False)
        (folder / "generation_config.json").write_text(text + "\n", encoding="utf-8")


def copy_settings(source: Path, folder: Path) -> None:
    """Copy everything of a model folder but its weights, and add the legacy processor files if it has none."""
    copy_files(source, folder)
    write_legacy(open_processor(source), folder, source)


def copy_files(source: Path, folder: Path) -> None:
    """Copy everything of a model folder but its weights; of a single file of weights there is nothing more."""
    for file in sorted(source.iterdir()) if source.is_dir() else []:
        index = file.name.endswith(".index.json")
        if file.is_file() and file.suffix in SETTINGS and not index and file.name not in ELSEWHERE:
            shutil.copyfile(file, folder / file.name)


def write_legacy(processor: Any, folder: Path, source: Path) -> None:
    """Write preprocessor_config.json and the tokenizer files of LEGACY: those of `source`, or what they would hold."""
    if not (folder / "preprocessor_config.json").is_file():
        processor.feature_extractor.save_pretrained(folder)
    for name in LEGACY:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    if not (folder / "vocab.json").is_file():
        processor.tokenizer.save_vocabulary(str(folder))
    plain = read_json(folder / "vocab.json") or {}
    added = {token: number for token, number in processor.tokenizer.get_added_vocab().items() if token not in plain}
    if added and not (folder / "added_tokens.json").is_file():
        (folder / "added_tokens.json").write_text(json.dumps(added, ensure_ascii=False), encoding="utf-8")


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn safetensors' report of a full or read-only disk into the OSError that it is."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code)) from error


@contextmanager
def as_safetensors(folder: Path) -> Iterator[Path]:
    """The folder itself, or, for a base that is published pickled only, a copy for a while whose weights are safetensors."""
    if any((folder / name).is_file() for name in WEIGHTS[:2]):
        yield folder
        return
    with tempfile.TemporaryDirectory() as place, plain_errors():
        open_recogniser(folder, "en").model.save_pretrained(place)
        yield Path(place)


def anatomy(folder: Path) -> tuple[list[str], dict[str, str]]:
    """(buffer names, tied name -> name it is tied to) of a model folder, from its config alone."""
    whisper = read_config(folder)["model_type"] == "whisper"
    kind: Any = WhisperForConditionalGeneration if whisper else Wav2Vec2ConformerForCTC
    with torch.device("meta"):
        model = kind(open_config(folder))
    return [name for name, _ in model.named_buffers()], dict(model.all_tied_weights_keys)


def architecture(folder: Path) -> dict[str, Any]:
    """The keys of a model's config that shape its weights or what they compute, defaults filled in."""
    config = open_config(folder).to_dict()
    return {key: value for key, value in config.items() if not any(part in key for part in TRAINING_ONLY)}


def vocabulary(folder: Path) -> dict[str, int]:
    """Token -> id of a model folder's tokenizer."""
    return dict(open_processor(folder).tokenizer.get_vocab())
