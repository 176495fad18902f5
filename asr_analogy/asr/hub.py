"""Where a checkpoint lies and what its files say without being loaded: found, its JSON files, its size.

Nothing heavy is imported, so that a stage with nothing to do ends at once.
"""

import json
import struct
from math import prod
from pathlib import Path
from typing import Any

from asr_analogy.errors import DataError, MissingError, RecipeError
from asr_analogy.recipe import shipped

FAMILIES = {"whisper": "Whisper", "wav2vec2-conformer": "Wav2Vec2-Conformer"}
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def find(base: str) -> Path:
    """The folder of a checkpoint: a folder, a shipped foundation, or a hub id (downloaded, or from the cache offline)."""
    folder = shipped(base)
    if folder.is_dir():
        return folder
    if base.startswith((".", "/", "~")) or base.count("/") > 1:
        raise MissingError(f"{base}: no such folder; give a model folder or a hub id")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["*.json", "*.txt", "*.safetensors"]
    try:
        found = Path(snapshot_download(base, allow_patterns=patterns))
        if not any((found / name).exists() for name in WEIGHTS[:2]):
            found = Path(snapshot_download(base, allow_patterns=[*patterns, "pytorch_model*.bin"]))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise MissingError(
            f"{base}: neither a model folder here nor reachable on the hub ({type(error).__name__}); "
            "give a folder, or go online once to fill the cache"
        ) from error
    return found


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a model folder. Raises DataError if there is none, RecipeError if its family is not one of ours."""
    config = read_json(folder / "config.json")
    if config is None:
        raise DataError(f"{folder}: no config.json, so this is not a model folder; check the path")
    if config.get("model_type") not in FAMILIES:
        raise RecipeError(f"{folder}: model type {config.get('model_type')!r}; supported: {', '.join(FAMILIES)}")
    return config


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file of a model folder, or None without the file. Raises DataError if it is damaged."""
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as JSON ({error}); download or save the folder again") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: not a JSON object; download or save the folder again")
    return found


def parameters(folder: Path) -> int:
    """Number of weights in a model folder, from its safetensors headers (from the file size for a pickled base).

    Raises DataError for a file that is not safetensors.
    """
    if (folder / WEIGHTS[0]).is_file():
        return _parameters(folder / WEIGHTS[0])
    index = read_json(folder / WEIGHTS[1])
    if index is not None:
        return sum(_parameters(folder / shard) for shard in sorted(set(index.get("weight_map", {}).values())))
    return sum(file.stat().st_size for file in folder.glob("pytorch_model*.bin")) // 4


def _parameters(file: Path) -> int:
    try:
        with file.open("rb") as handle:
            header = json.loads(handle.read(struct.unpack("<Q", handle.read(8))[0]))
        return sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    except (
        OSError,
        OverflowError,
        MemoryError,
        struct.error,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise DataError(f"{file}: damaged, or not safetensors; download or save it again") from error
