"""Pretrained voices from a folder or the hub: loaded without running anything they contain, and seeded per utterance."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from asr_analogy.errors import DataError, MissingError
from asr_analogy.recipe import shipped

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def device() -> torch.device:
    """The GPU if there is one (CUDA_VISIBLE_DEVICES hides it), else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(name: str, place: torch.device) -> torch.dtype:
    """The type a card asks for; "auto" is half precision on a GPU and single precision on a CPU."""
    if name == "auto":
        return torch.float16 if place.type == "cuda" else torch.float32
    return PRECISIONS[name]


def load_model(kind: Any, source: str, revision: str, dtype: torch.dtype, place: torch.device) -> Any:
    """The weights of `source` (a folder or hub id) in a model of class `kind`, ready to speak.

    safetensors where there are any; a pickle is read as tensors only. Raises MissingError or DataError.
    """
    with _blamed(source, revision):
        model = kind.from_pretrained(_place(source), revision=revision, dtype=dtype, weights_only=True)
    return model.to(place).eval()


def load_reader(kind: Any, source: str, revision: str) -> Any:
    """The tokenizer or processor of `source`, of class `kind`. Raises MissingError or DataError."""
    with _blamed(source, revision):
        return kind.from_pretrained(_place(source), revision=revision)


def load_file(source: str, name: str, revision: str) -> Path:
    """One file of `source`, by its path in that folder or repository. Raises MissingError."""
    from transformers.utils import cached_file

    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"{source}: names a file outside itself ({name}); do not use it")
    with _blamed(source, revision):
        return Path(str(cached_file(_place(source), name, revision=revision)))


def _place(source: str) -> str:
    folder = shipped(source)
    if not folder.is_dir() and (source.startswith((".", "/", "~")) or source.count("/") > 1):
        raise MissingError(f"{source}: no such model folder; correct the voice card")
    return str(folder)


@contextmanager
def _blamed(source: str, revision: str) -> Iterator[None]:
    """Say of which model an error is, and what to do about it."""
    try:
        yield
    except ImportError as error:
        package = "sentencepiece" if "sentencepiece" in str(error) else "asr-analogy[voices]"
        raise MissingError(f'{source}: needs another package: pip install "{package}"') from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        first = (str(error).strip().splitlines() or [""])[0][:160]
        why = f"{type(error).__name__}: {first}"
        if shipped(source).is_dir():
            raise DataError(f"{source}: not loadable as the card's model ({why}); download or save it again") from error
        command = f"hf download {source}" + (f" --revision {revision}" if revision != "main" else "")
        raise MissingError(
            f"{source}: not on this machine and not reachable on the hub ({why}); type: {command}, or give the path of "
            "a local folder in the voice card"
        ) from error


@contextmanager
def seeded(seed: int, place: torch.device) -> Iterator[None]:
    """Inside, torch draws from `seed` alone; outside, its generators go on as if nothing had been drawn."""
    with torch.random.fork_rng([place] if place.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
