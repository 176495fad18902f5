"""What the stages ask of a recogniser. Only this room knows that there are families of models.

`open_recogniser` opens a folder, found by hub.py, as the right family.
"""

from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import numpy as np
import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig

from asr_analogy.asr.hub import WEIGHTS, read_config
from asr_analogy.errors import DataError
from asr_analogy.workspace import local_rank

UNREADABLE = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, SafetensorError)
"""What transformers raises on a folder that is damaged or of another kind."""


class Recogniser(Protocol):
    """A loaded checkpoint: how it labels text, hears sound, computes its loss and transcribes."""

    model: Any
    processor: Any
    decoding: dict[str, str]
    """What generation_config.json is to say for the recipe's language; empty where a model knows one language only."""
    parts: dict[str, str]
    """What the names of the parameters of the encoder, feature_encoder and decoder begin with."""
    window: float | None
    """Seconds that every clip is padded to and none may exceed, or None."""
    positions: int | None
    """Longest label that the decoder takes, or None."""

    def label(self, text: str) -> list[int]:
        """Token ids that this model should produce for `text`; special tokens included where the family has them."""
        ...

    def timed_label(self, parts: Sequence[tuple[str, float, float]]) -> list[int]:
        """As `label` for text, start and end (seconds) of several parts, with these times in it.

        Raises RecipeError where the base has no tokens for times.
        """
        ...

    def refusal(self, text: str, seconds: float) -> str | None:
        """Why an utterance cannot be trained on (too long, no letters, more labels than frames), or None."""
        ...

    def batch(self, clips: Sequence[np.ndarray], labels: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        """Model inputs with padded labels (-100), from clips at 16 kHz, shapes (batch, ...)."""
        ...

    def transcribe(self, clips: Sequence[np.ndarray], beams: int = 1, prompt: Sequence[str] = ()) -> list[str]:
        """Transcripts of clips that are no longer than the window, decoded together; listening.py takes any clips.

        1 beam is greedy. `prompt` holds terms to expect; raises RecipeError where the model takes none.
        """
        ...


def open_recogniser(folder: Path, language: str, weights: bool = True) -> Recogniser:
    """Load the checkpoint in `folder` (fp32, on the CPU); without `weights` only what labels and limits need.

    Raises DataError for a folder that is damaged, incomplete or pickled with code in it, RecipeError for a model of
    another family or without the language.
    """
    kind = read_config(folder)["model_type"]
    if weights and not any((folder / name).exists() for name in WEIGHTS):
        raise DataError(f"{folder}: no weights there ({WEIGHTS[0]}); check the path")
    if kind == "whisper":
        from asr_analogy.asr.whisper import WhisperRecogniser

        return WhisperRecogniser(folder, language, weights)
    from asr_analogy.asr.conformer import ConformerRecogniser

    return ConformerRecogniser(folder, weights)


def ready(folder: Path, language: str) -> Recogniser:
    """The recogniser in `folder`, ready to transcribe on the best device here, in fp32 on a CPU.

    There the fused attention kernel and numbers too small to matter taken as zero save 45 % of the time, with the same
    transcripts (docs/results.md).
    """
    torch.set_flush_denormal(True)
    recogniser = open_recogniser(folder, language)
    recogniser.model.set_attn_implementation("sdpa")
    recogniser.model.eval().to(
        f"cuda:{local_rank() % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
    )
    return recogniser


def open_processor(folder: Path) -> Any:
    """The feature extractor and tokenizer of a model folder, as transformers' processor of its family."""
    kind: Any = transformers.Wav2Vec2Processor
    if read_config(folder)["model_type"] == "whisper":
        kind = transformers.WhisperProcessor
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except UNREADABLE as error:
        raise DataError(
            f"{folder}: no usable {kind.__name__} ({_first_line(error)}); save it beside the model"
        ) from error


def open_config(folder: Path) -> Any:
    """transformers' config of a model folder, with the defaults of what config.json leaves out."""
    read_config(folder)
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    except UNREADABLE as error:
        raise DataError(f"{folder / 'config.json'}: not usable ({_first_line(error)})") from error


def load_model(kind: Any, folder: Path, attention: str | None = None) -> Any:
    """`from_pretrained` of a transformers class on local files, in fp32, whatever the base is stored in.

    A base that is published as pytorch_model.bin only is read as a plain table of tensors (weights_only=True): a pickle
    that would run code is refused. So is a checkpoint without all weights, because the missing ones would be random.
    `attention` names the kernel for a CPU, where plain bfloat16 products beat the fused one (docs/results.md).
    """
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    try:
        model, report = kind.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            weights_only=True,
            attn_implementation="sdpa" if torch.cuda.is_available() else attention or "eager",
            output_loading_info=True,
        )
    except UnpicklingError as error:
        raise DataError(
            f"{folder}: its pickled weights are damaged or hold more than tensors, and were not executed; "
            "get the base as safetensors"
        ) from error
    except UNREADABLE as error:
        raise DataError(f"{folder}: not loadable as {kind.__name__} ({_first_line(error)})") from error
    # masked_spec_embed only marks what SpecAugment hides in training, and some published checkpoints lack it.
    missing = sorted(name for name in report["missing_keys"] if not name.endswith("masked_spec_embed"))
    if missing:
        raise DataError(
            f"{folder}: lacks {len(missing)} weights of a {kind.__name__}, first {missing[0]}; "
            "give a checkpoint that was trained to transcribe"
        )
    return model


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
