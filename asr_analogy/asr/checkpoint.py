"""A training run's checkpoints: safetensors files that bring everything back, so that going on changes no bit.

The last two are kept. A file that does not hash to what it says (cut off, a flipped bit) is noticed, and the one before
it taken. What neither trains nor changes is not written: the base still has it.
"""

import hashlib
import json
import logging
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from asr_analogy.asr.folder import plain_errors
from asr_analogy.errors import DataError
from asr_analogy.workspace import sync

log = logging.getLogger("asr_analogy")

CHECKPOINT = "checkpoint.safetensors"
BEFORE = "checkpoint.before.safetensors"
"""The checkpoint before the last."""

Tensors = dict[str, torch.Tensor]


@dataclass
class State:
    """Where a training run stands: optimiser steps done, a line of metrics for each of them, the mean of its weights."""

    step: int = 0
    metrics: list[dict[str, float]] = field(default_factory=list)
    average: Tensors = field(default_factory=dict)
    best: Tensors = field(default_factory=dict)
    """The weights that did best on held-out utterances."""
    least: float = math.inf
    """Their held-out loss."""
    waited: int = 0
    """Looks at the held-out loss since then."""


def write(out: Path, model: Any, optimizer: Any, state: State, randoms: Sequence[Tensors]) -> None:
    """Write weights, buffers, optimiser moments, the random states of every process, means and progress into `out`.

    A parameter that has had no gradient yet (of a layer that layer drop has skipped so far) has no moments to keep.
    """
    tensors = {f"model.{name}": value for name, value in changing(model).items()}
    numbers = set()
    for index, moments in enumerate(_moments(optimizer)):
        tensors |= {f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in moments.items()}
        numbers |= {key for key, value in moments.items() if not isinstance(value, torch.Tensor)}
    for rank, states in enumerate(randoms):
        tensors |= {f"random.{rank}.{name}": value for name, value in states.items()}
    tensors |= {f"average.{name}": value for name, value in state.average.items()}
    tensors |= {f"best.{name}": value for name, value in state.best.items()}
    own = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"step": str(state.step), "metrics": json.dumps(state.metrics), "numbers": json.dumps(sorted(numbers))}
    metadata |= {"least": repr(state.least), "waited": str(state.waited)}
    part = out / (CHECKPOINT + ".part")
    with plain_errors():
        save_file(own, part, metadata | {"sha256": _digest(own, metadata)})
    sync(part)
    if (out / CHECKPOINT).exists():
        (out / CHECKPOINT).replace(out / BEFORE)
    part.replace(out / CHECKPOINT)
    sync(out)


def restore(out: Path, model: Any, optimizer: Any, rank: int = 0) -> State:
    """Bring back the last sound checkpoint in `out`, if there is one, in the process of this rank.

    Raises DataError if all that are there are damaged.
    """
    faults: dict[Path, str] = {}
    for path in (out / CHECKPOINT, out / BEFORE):
        if not path.exists():
            continue
        found = _read(path)
        if isinstance(found, str):
            faults[path] = found
            continue
        for damaged, fault in faults.items():
            log.warning("train: %s: damaged (%s); going on from the checkpoint before it", damaged, fault)
            if rank == 0:
                damaged.unlink()  # else the next checkpoint would push out the sound one
        return _take(*found, model, optimizer, rank)
    for path, fault in faults.items():
        raise DataError(f"{path}: damaged ({fault}); delete it and give the command again")
    return State()


def remove(out: Path) -> None:
    """Delete the checkpoints of a finished run."""
    for name in (CHECKPOINT, BEFORE):
        (out / name).unlink(missing_ok=True)


def random_states() -> Tensors:
    """The random states of this process: Python's, torch's (dropout, layer drop) and numpy's global one (from which
    transformers draws SpecAugment masks)."""
    _, numbers, spare = random.getstate()
    _, keys, position, *gauss = np.random.get_state(legacy=True)
    states = {
        "python": torch.tensor(numbers),
        "python_spare": torch.tensor([] if spare is None else [spare], dtype=torch.float64),
        "numpy": torch.from_numpy(np.append(np.asarray(keys, dtype=np.int64), position)),
        "numpy_spare": torch.tensor(gauss, dtype=torch.float64),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _set_random_states(states: Tensors) -> None:
    random.setstate((3, tuple(states["python"].tolist()), next(iter(states["python_spare"].tolist()), None)))
    numbers, (has_gauss, gauss) = states["numpy"].numpy(), states["numpy_spare"].tolist()
    np.random.set_state(("MT19937", numbers[:-1].astype(np.uint32), int(numbers[-1]), int(has_gauss), gauss))
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def changing(model: Any) -> Tensors:
    """The parameters that train and the buffers of `model`."""
    found = {name: value for name, value in model.named_parameters() if value.requires_grad}
    return found | dict(model.named_buffers())


def _moments(optimizer: Any) -> list[Mapping[str, Any]]:
    """What the optimiser holds for every parameter, in the order of its groups.

    Tensors, and numbers such as the step of an optimiser of 8 bits, whose `state_dict` may nest them further.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return [optimizer.state.get(parameter, {}) for parameter in parameters]


def _read(path: Path) -> tuple[dict[str, str], Tensors] | str:
    """(metadata, tensors) of a checkpoint, or what is wrong with it."""
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, TypeError) as error:
        return str(error)
    return (metadata, tensors) if metadata.pop("sha256", "") == _digest(tensors, metadata) else "its hash differs"


def _take(metadata: Mapping[str, str], tensors: Tensors, model: Any, optimizer: Any, rank: int) -> State:
    """Put a checkpoint into the model, the optimiser and the random generators."""

    def below(prefix: str) -> Tensors:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    weights = below("model.")
    with torch.no_grad():
        for name, value in changing(model).items():
            value.copy_(weights[name])
    moments: dict[int, dict[str, Any]] = {}
    numbers = json.loads(metadata.get("numbers", "[]"))
    for name, value in below("optimizer.").items():
        index, key = name.split(".")
        moments.setdefault(int(index), {})[key] = value.item() if key in numbers else value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    _set_random_states(below(f"random.{rank}.") or below("random.0."))
    device = next(model.parameters()).device
    average, best = (
        {name: value.to(device) for name, value in below(prefix).items()} for prefix in ("average.", "best.")
    )
    least, waited = float(metadata.get("least", "inf")), int(metadata.get("waited", 0))
    return State(int(metadata["step"]), json.loads(metadata["metrics"]), average, best, least, waited)


def _digest(tensors: Tensors, metadata: Mapping[str, str]) -> str:
    """SHA-256 of names, types, shapes and bytes, and of what else the file says."""
    total = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
