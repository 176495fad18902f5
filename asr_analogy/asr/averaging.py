"""Means of weights: over the steps of one run, over the runs of several seeds. Parameters only, in fp32."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import torch

from asr_analogy.asr.family import open_recogniser
from asr_analogy.asr.folder import save

POINTS = 20
"""Points in a run whose weights a mean of the last k of them takes (Izmailov et al. 2018 average along one run)."""

WINDOW = 0.1
"""Share of a run that its exponential moving average looks back on."""


class Average:
    """The running mean of a run's weights, name -> fp32 tensor in `weights`; kind "ema", or how many points it takes."""

    def __init__(self, kind: Literal["ema"] | int, steps: int, weights: dict[str, torch.Tensor]) -> None:
        self.kind, self.steps, self.weights = kind, steps, weights

    def share(self, step: int) -> float:
        """What the weights after this step (from 1) count in the mean so far; 0 leaves it as it is."""
        if self.kind == "ema":
            return max(1 / step, min(1.0, 1 / (WINDOW * self.steps)))
        gap = max(1, self.steps // POINTS)
        points = [self.steps - gap * index for index in range(self.kind) if self.steps > gap * index]
        return 1 / sum(point <= step for point in points) if step in points else 0.0

    def update(self, step: int, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Take in the weights after this step."""
        share = self.share(step)
        if share == 0.0:
            return
        for name, value in weights:
            if name in self.weights:
                self.weights[name].lerp_(value.float(), share)
            else:
                self.weights[name] = value.float().clone()

    def apply(self, model: torch.nn.Module) -> None:
        """Put the mean into `model`; buffers and what never trained stay."""
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for name, value in self.weights.items():
                parameters[name].copy_(value)


def mean_folder(folders: Sequence[Path], language: str, base: Path, out: Path) -> None:
    """Write the model folder whose parameters are the mean of those in `folders`; buffers come from the last."""
    total: dict[str, torch.Tensor] = {}
    for folder in folders:
        recogniser = open_recogniser(folder, language)
        for name, value in recogniser.model.named_parameters():
            total[name] = total[name] + value.detach() if name in total else value.detach()
    with torch.no_grad():
        for name, value in recogniser.model.named_parameters():
            value.copy_(total[name] / len(folders))
    save(recogniser, out, base)
