"""What the stages ask of a recogniser. Only this room knows that there are families of models.

`open_recogniser` returns the right family for a folder; `find` turns a hub id into a folder first.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import transformers

from asr_analogy.errors import DataError, MissingError, RecipeError
from asr_analogy.recipe import shipped

FAMILIES = {"whisper": "Whisper", "wav2vec2-conformer": "Wav2Vec2-Conformer"}
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


class Recogniser(Protocol):
    """A loaded checkpoint: how it labels text, hears sound, computes its loss and transcribes."""

    model: Any
    processor: Any
    window: float | None
    """Longest audio in seconds that one forward pass takes, or None."""

    def label(self, text: str) -> list[int]:
        """Token ids that this model should produce for `text`; special tokens included where the family has them."""
        ...

    def refusal(self, text: str, seconds: float) -> str | None:
        """Why an utterance cannot be trained on (too long, no letters, more labels than frames), or None."""
        ...

    def batch(self, clips: Sequence[np.ndarray], labels: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        """Model inputs with padded labels (-100), from clips at 16 kHz, shapes (batch, ...)."""
        ...

    def transcribe(self, clips: Sequence[np.ndarray]) -> list[str]:
        """Greedy transcripts of clips of any length."""
        ...


def find(base: str) -> Path:
    """The folder of a checkpoint: a folder, a shipped foundation, or a hub id (downloaded, or from the cache offline)."""
    folder = shipped(base)
    if folder.is_dir():
        return folder
    if base.startswith((".", "/", "~")) or base.count("/") > 1:
        raise MissingError(f"base: {base}: no such folder")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["*.json", "*.txt", "*.safetensors"]
    try:
        found = Path(snapshot_download(base, allow_patterns=patterns))
        if not any((found / name).exists() for name in WEIGHTS[:2]):
            found = Path(snapshot_download(base, allow_patterns=[*patterns, "pytorch_model*.bin"]))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise MissingError(
            f"base: {base}: neither a folder here nor reachable on the hub ({type(error).__name__}); "
            "give a folder, or go online once to fill the cache"
        ) from error
    return found


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a model folder. Raises DataError if there is none or its family is not one of ours."""
    path = folder / "config.json"
    if not path.is_file():
        raise DataError(f"{folder}: no config.json, so this is not a model folder")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    if config.get("model_type") not in FAMILIES:
        raise RecipeError(f"{folder}: model type {config.get('model_type')!r}; supported: {', '.join(FAMILIES)}")
    return config


def open_recogniser(folder: Path, language: str, weights: bool = True) -> Recogniser:
    """Load the checkpoint in `folder` (fp32, on the CPU); without `weights` only what labels and limits need."""
    kind = read_config(folder)["model_type"]
    if weights and not any((folder / name).exists() for name in WEIGHTS):
        raise DataError(f"{folder}: no weights there ({WEIGHTS[0]})")
    if kind == "whisper":
        from asr_analogy.asr.whisper import WhisperRecogniser

        return WhisperRecogniser(folder, language, weights)
    from asr_analogy.asr.conformer import ConformerRecogniser

    return ConformerRecogniser(folder, language, weights)


def load_model(kind: Any, folder: Path) -> Any:
    """`from_pretrained` of a transformers class on local files, in fp32; pickled weights only with weights_only=True."""
    transformers.utils.logging.disable_progress_bar()
    try:
        return kind.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, weights_only=True, attn_implementation=attention()
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise DataError(f"{folder}: not loadable as {kind.__name__} ({str(error).splitlines()[0]})") from error


def attention() -> str:
    """Attention kernel: on a CPU plain bfloat16 products beat the fused kernel by a quarter (docs/results.md)."""
    return "sdpa" if torch.cuda.is_available() else "eager"


def save(recogniser: Recogniser, folder: Path, base: Path) -> None:
    """Write a model folder: safetensors, full processor with the legacy files, the base's generation config."""
    recogniser.model.save_pretrained(folder)
    write_processor(recogniser, folder, base)


def write_processor(recogniser: Recogniser, folder: Path, base: Path) -> None:
    """Everything of a model folder but the weights and config.json.

    transformers 5 writes neither preprocessor_config.json nor vocab.json; faster-whisper and whisper.cpp read only those.
    """
    processor = recogniser.processor
    processor.save_pretrained(folder)
    processor.feature_extractor.save_pretrained(folder)
    vocabulary = processor.tokenizer.get_vocab()
    special = dict(processor.tokenizer.get_added_vocab())
    plain = {
        token: number for token, number in sorted(vocabulary.items(), key=lambda item: item[1]) if token not in special
    }
    for name in ("merges.txt", "normalizer.json", "special_tokens_map.json"):
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    if (base / "vocab.json").is_file():
        shutil.copyfile(base / "vocab.json", folder / "vocab.json")
    else:
        (folder / "vocab.json").write_text(json.dumps(plain, ensure_ascii=False), encoding="utf-8")
    if special:
        (folder / "added_tokens.json").write_text(json.dumps(special, ensure_ascii=False), encoding="utf-8")
    merges = getattr(processor.tokenizer, "_merges", None)
    if merges and not (folder / "merges.txt").exists():
        lines = [" ".join(pair) if not isinstance(pair, str) else pair for pair in merges]
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines) + "\n", encoding="utf-8")
    _generation_config(recogniser, folder, base)


def _generation_config(recogniser: Recogniser, folder: Path, base: Path) -> None:
    """The base's generation config with every key kept; only language and task are set."""
    if (base / "generation_config.json").is_file():
        settings = json.loads((base / "generation_config.json").read_text(encoding="utf-8"))
        settings.update(getattr(recogniser, "decoding", {}))
        (folder / "generation_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def anatomy(folder: Path) -> tuple[list[str], dict[str, str]]:
    """(buffer names, tied name -> name it is tied to) of a model folder, from its config, without loading weights."""
    from transformers import AutoConfig, Wav2Vec2ConformerForCTC, WhisperForConditionalGeneration

    kind = (
        WhisperForConditionalGeneration if read_config(folder)["model_type"] == "whisper" else Wav2Vec2ConformerForCTC
    )
    with torch.device("meta"):
        model = kind(AutoConfig.from_pretrained(folder, local_files_only=True))
    return [name for name, _ in model.named_buffers()], dict(model.all_tied_weights_keys)


def vocabulary(folder: Path, language: str = "en") -> dict[str, int]:
    """Token -> id of a model folder's tokenizer."""
    return dict(open_recogniser(folder, language, weights=False).processor.tokenizer.get_vocab())
