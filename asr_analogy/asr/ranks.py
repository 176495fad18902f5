"""Several processes on one fine-tune, as a launcher starts them: each hears its part of every planned batch.

The result is that of one process up to the order in which gradients are added: a part counts as much as it has terms in the
mean that the loss is. Only the first process writes. In one process nothing here does anything.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from asr_analogy.asr.batching import IGNORED
from asr_analogy.asr.checkpoint import Tensors, random_states


def meet() -> None:
    """Wait until every process is here."""
    PartialState(cpu=not torch.cuda.is_available()).wait_for_everyone()


def shard(batch: Sequence[Any], rank: int, world: int) -> Sequence[Any]:
    """The part of a batch that the process of this rank hears: every `world`-th item, or the first if none is left."""
    return batch[rank::world] or batch[:1]


def share(accelerator: Any, model: Any, batch: Mapping[str, torch.Tensor], idle: bool) -> float:
    """Factor on this process's loss under which the mean of all processes' gradients is that of the whole batch.

    Whisper's loss is a mean over label tokens, that of CTC over utterances. An idle process hears what another counts.
    """
    if accelerator.num_processes == 1:
        return 1.0
    labels = batch["labels"]
    terms = (labels != IGNORED).sum() if model.config.model_type == "whisper" else torch.tensor(len(labels))
    own = torch.zeros((), device=accelerator.device) if idle else terms.to(accelerator.device, torch.float32)
    return float(own * accelerator.num_processes / total(accelerator, own.clone()))


def total(accelerator: Any, value: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor over all processes."""
    return accelerator.reduce(value, "sum")


def mean(accelerator: Any, value: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over all processes."""
    return value if accelerator.num_processes == 1 else accelerator.reduce(value, "mean")


def agree(accelerator: Any, *wishes: bool) -> tuple[bool, ...]:
    """What any process wishes, for each wish: clocks and signals differ from process to process."""
    if accelerator.num_processes == 1:
        return wishes
    found = total(accelerator, torch.tensor([float(wish) for wish in wishes], device=accelerator.device))
    return tuple(bool(wish) for wish in found > 0)


def all_random_states(accelerator: Any) -> list[Tensors]:
    """The random states of every process, in the order of their ranks."""
    return gather_object([random_states()]) if accelerator.num_processes > 1 else [random_states()]


def part_ways(rank: int) -> None:
    """Give a process other than the first random numbers of its own."""
    if rank:
        seed = torch.initial_seed() + rank
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
