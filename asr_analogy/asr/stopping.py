"""Early stopping: the loss on utterances kept out of training, and the weights that did best on it.

The utterances are some of the arm's own corpus, so none of the target's real audio can choose anything.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from asr_analogy.asr.batching import plan
from asr_analogy.asr.checkpoint import State, changing
from asr_analogy.asr.family import Recogniser
from asr_analogy.asr.feeding import feed
from asr_analogy.errors import DataError
from asr_analogy.recipe import Train
from asr_analogy.speech.corpus import Utterance
from asr_analogy.workspace import hash_of

log = logging.getLogger("asr_analogy")

SHARE = 0.05
"""Of an arm's utterances, kept out of training."""

MOST = 128
"""Utterances; more would only cost time."""

CHECKS = 20
"""Looks at the loss in a run of full length."""


def kept_out(ids: Sequence[str]) -> set[str]:
    """The ids of utterances to keep out of training: drawn by their hash, so that paired arms keep out the same.

    Raises DataError when nothing would be left to train on.
    """
    different = sorted(set(ids), key=lambda name: hash_of(["kept out", name]))
    if len(different) < 2:
        raise DataError("train.patience: needs two utterances or more, one to look at; leave it out")
    return set(different[: max(1, min(MOST, int(SHARE * len(different))))])


class Stopping:
    """Looks at the held-out loss CHECKS times in a run; `over` after `options.patience` looks without a lower one."""

    def __init__(self, recogniser: Recogniser, held_out: Sequence[Utterance], options: Train, state: State) -> None:
        self.recogniser, self.held_out, self.options, self.state = recogniser, held_out, options, state
        size = min(options.clips, len(held_out))
        self.batches = plan([row.duration for row in held_out], size, len(held_out) // size, 0)

    @property
    def over(self) -> bool:
        return self.options.patience is not None and self.state.waited >= self.options.patience

    def due(self) -> bool:
        """True if the loss is to be looked at after the step just done."""
        return self.state.step % max(1, self.options.steps // CHECKS) == 0 or self.state.step == self.options.steps

    def losses(self, autocast: Any) -> Iterable[torch.Tensor]:
        """The loss of every held-out batch, dropout and masks off. The caller sets the mode of training again."""
        model = self.recogniser.model
        model.eval()
        with torch.no_grad(), autocast:
            for _, batch in feed(self.recogniser, self.held_out, self.batches):
                yield model(**{name: value.to(model.device) for name, value in batch.items()}).loss.float()

    def note(self, loss: float) -> None:
        """Enter the held-out loss of the weights as they are now; they are kept if none did better."""
        state = self.state
        if not math.isfinite(loss):
            raise DataError(f"the loss of the held-out utterances is {loss} at step {state.step}; look at their audio")
        state.waited += 1
        if loss < state.least:
            state.least, state.waited = loss, 0
            state.best = {name: value.detach().clone() for name, value in changing(self.recogniser.model).items()}
        state.metrics[-1]["held_out_loss"] = round(loss, 5)

    def apply(self) -> None:
        """Put the weights that did best into the model."""
        log.info(
            "train: least held-out loss %.4f, after %d looks without a lower one", self.state.least, self.state.waited
        )
        with torch.no_grad():
            for name, value in changing(self.recogniser.model).items():
                value.copy_(self.state.best[name])
