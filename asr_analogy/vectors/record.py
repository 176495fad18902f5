"""The record of a stored task vector: which base it fits, what it was made from, how large it is, what it did.

It is the file vector.json beside the weights. Whatever it says is checked when it is read; nothing in it is run.
"""

import hashlib
import json
from collections.abc import Mapping
from math import sqrt
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, Field, StringConstraints, ValidationError

from asr_analogy.errors import DataError, RecipeError
from asr_analogy.recipe import Name, Options, faults
from asr_analogy.vectors.difference import own_name
from asr_analogy.vectors.stream import Weights
from asr_analogy.workspace import hash_of

FORMAT = 1
"""Version of the record. A later one is refused by name, never half understood."""

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Foundation(Options):
    """The base that a vector belongs to."""

    id: str = Field(description="hub id or folder, as the recipe names it")
    folder: Hash | None = Field(None, description="hash of the base's folder, as its fine-tunes record it")
    tensors: dict[str, Hash] = Field(description="hash of dtype, shape and content of every tensor of the base")

    @property
    def content(self) -> str:
        """One hash for all tensors, whatever files they lie in."""
        return hash_of(part for name in sorted(self.tensors) for part in (name, self.tensors[name]))


class Arm(Options):
    """One of the two models whose difference the vector is."""

    model: Hash = Field(description="content hash of the model folder")
    corpora: dict[str, Hash] = Field({}, description="content hash of each corpus it was paired on")
    speech: str = Field("", description="what it learnt from: the kind of recordings, a stand-in, or synthetic")
    voices: dict[str, Any] | None = Field(None, description="the voice card, if its speech is synthetic")
    train: dict[str, Any] = Field({}, description="the recipe's block train")
    seed: int | None = None


class Score(Options):
    """What one system scored on one test set of the run that the vector comes from, in % WER with its interval."""

    test: str
    system: str
    wer: float
    interval: tuple[float, float]
    utterances: int
    stand_in: bool


class Entry(Options):
    """One tensor of the vector: not stored if its norm is 0."""

    shape: tuple[Annotated[int, Field(ge=0)], ...]
    norm: float = Field(ge=0, description="Euclidean norm")
    base: float | None = Field(None, ge=0, description="norm of the base's tensor of that name, if it has one")


class Record(Options):
    """What vector.json holds."""

    format: Literal[1] = 1
    name: Name
    base: Foundation
    encoding: Literal["exact", "bf16", "int8", "int4", "lowrank"]
    sha256: Hash = Field(description="of the file with the weights")
    size: int = Field(gt=0, description="bytes of that file")
    exact_size: int = Field(gt=0, description="bytes of the same numbers in fp32")
    error: float = Field(ge=0, description="norm of what the encoding lost, as a share of the vector's norm")
    wer_change: float | None = Field(None, description="% WER that the encoding cost, measured when it was saved")
    tensors: dict[str, Entry]
    arms: dict[Literal["plus", "minus"], Arm] = {}
    parents: tuple[str, ...] = Field((), description="stored vectors that this one was made from, name@hash")
    scale: float | None = Field(None, description="the scale that the scores were got with")
    scores: tuple[Score, ...] = ()
    language: str | None = None
    licence: str | None = None
    voices_licence: str | None = Field(None, description="what the voice card says about speech made with it")
    versions: dict[str, str] = {}

    @property
    def norm(self) -> float:
        """Euclidean norm of the whole vector."""
        return sqrt(sum(entry.norm**2 for entry in self.tensors.values()))

    @property
    def relative(self) -> float | None:
        """Norm of the vector as a share of the base's, over the tensors that both have."""
        both = [(entry.norm, entry.base) for entry in self.tensors.values() if entry.base is not None]
        whole = sqrt(sum(base**2 for _, base in both))
        return sqrt(sum(norm**2 for norm, _ in both)) / whole if whole else None

    @classmethod
    def parse(cls, text: str | bytes, where: str) -> "Record":
        """The record in a JSON text; DataError naming `where` and every fault."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not JSON ({error}); save or pull the vector again") from error
        if not isinstance(data, dict):
            raise DataError(f"{where}: not the record of a vector; save or pull it again")
        if isinstance(data.get("format"), int) and data["format"] > FORMAT:
            raise DataError(f"{where}: written by a later version (format {data['format']}); update asr-analogy")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise DataError(f"{where}: {_faults(error, cls)}; save or pull the vector again") from error

    def text(self) -> str:
        """The content of vector.json."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"

    def check_base(self, name: str, tensors: Mapping[str, str], hint: str = "") -> None:
        """Raise RecipeError naming both bases and the first tensor that differs, unless `tensors` are this base's."""
        ours = self.base.tensors
        for tensor in [*ours, *tensors]:
            if ours.get(tensor) == tensors.get(tensor):
                continue
            lacks = name if tensor not in tensors else self.base.id
            how = "differs" if tensor in ours and tensor in tensors else f"is missing in {lacks}"
            raise RecipeError(
                f"vector {self.name}: made for the base {self.base.id}, not for {name}: tensor {tensor!r} {how}; use a "
                f"vector of {name}, or fine-tunes of {self.base.id}{hint}"
            )


def fingerprints(weights: Weights, ties: Mapping[str, str] | None = None) -> dict[str, str]:
    """Tensor name -> SHA-256 of its dtype, shape and bytes; a tied tensor counts once, under its own name."""
    found: dict[str, str] = {}
    for name in sorted(weights.names):
        own = own_name(name, ties or {})
        if own not in found:
            tensor = weights.tensor(name)
            found[own] = _fingerprint(str(tensor.dtype), tuple(tensor.shape), _bytes(tensor))
    return found


def norms(weights: Weights, ties: Mapping[str, str] | None = None) -> dict[str, float]:
    """Parameter name -> Euclidean norm, summed in fp64; a tied tensor counts once, under its own name."""
    found: dict[str, float] = {}
    for name in weights.names:
        own = own_name(name, ties or {})
        if own not in found and weights.dtype(name).is_floating_point:
            found[own] = float(torch.linalg.vector_norm(weights.tensor(name), dtype=torch.float64))
    return found


def _fingerprint(dtype: str, shape: tuple[int, ...], data: memoryview) -> str:
    total = hashlib.sha256(f"{dtype.removeprefix('torch.')} {list(shape)} ".encode())
    total.update(data)
    return total.hexdigest()


def _bytes(tensor: torch.Tensor) -> memoryview:
    """Row-major bytes of a tensor, through uint8 because numpy knows no bf16."""
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data


def _faults(error: ValidationError, model: type[BaseModel]) -> str:
    """The faults of a record; only the first three, since a record may hold thousands of lines."""
    found = faults(error, model).split("; ")
    return "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
