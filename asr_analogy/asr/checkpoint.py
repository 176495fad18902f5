"""A training run's checkpoint: one safetensors file that brings everything back, so that going on changes no bit."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from asr_analogy.asr.folder import plain_errors
from asr_analogy.errors import DataError

CHECKPOINT = "checkpoint.safetensors"


@dataclass
class State:
    """Where a training run stands: optimiser steps done, and one line of metrics for each of them."""

    step: int = 0
    metrics: list[dict[str, float]] = field(default_factory=list)


def write(out: Path, model: Any, optimizer: Any, state: State) -> None:
    """Write weights, buffers, optimiser moments, random states and progress into `out`; replaced whole.

    A parameter that has had no gradient yet (of a layer that layer drop has skipped so far) has no moments to keep.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in moments.items()}
    tensors |= _random_states()
    own = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    metadata = {"step": str(state.step), "metrics": json.dumps(state.metrics)}
    part = out / (CHECKPOINT + ".part")
    with plain_errors():
        save_file(own, part, metadata)
    with part.open("rb") as handle:
        os.fsync(handle.fileno())
    part.replace(out / CHECKPOINT)


def restore(out: Path, model: Any, optimizer: Any) -> State:
    """Bring back the checkpoint in `out`, if there is one. Raises DataError if it is damaged."""
    path = out / CHECKPOINT
    if not path.exists():
        return State()
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: damaged ({error}); delete it and give the command again") from error
    weights = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    model.load_state_dict(weights)
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    _set_random_states(tensors)
    return State(int(metadata["step"]), json.loads(metadata["metrics"]))


def _random_states() -> dict[str, torch.Tensor]:
    """torch's generators (dropout, layer drop) and numpy's global one (transformers draws SpecAugment masks from it)."""
    _, keys, position, *_ = np.random.get_state(legacy=True)
    numbers = np.append(np.asarray(keys, dtype=np.int64), position)
    states = {"random.torch": torch.get_rng_state(), "random.numpy": torch.from_numpy(numbers)}
    if torch.cuda.is_available():
        states["random.cuda"] = torch.cuda.get_rng_state()
    return states


def _set_random_states(states: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(states["random.torch"])
    numbers = states["random.numpy"].numpy()
    np.random.set_state(("MT19937", numbers[:-1].astype(np.uint32), int(numbers[-1]), 0, 0.0))
    if "random.cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["random.cuda"])
