"""How scales are chosen: a search along a curve of errors, and formulas that look at the vectors alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from asr_analogy.errors import DataError
from asr_analogy.vectors import rules
from asr_analogy.vectors.difference import Delta

GRID = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
"""Scales that are tried first, so that a curve of several valleys is not taken for its first one."""
HIGHEST = 2.0
"""Scale up to which the grid goes on while its last point is its best."""
REFINED = 4
"""Golden-section steps around the best point of the grid."""
SECTION = 0.381966
"""The smaller part of the golden section, (3 - sqrt 5) / 2."""


@dataclass(frozen=True)
class Trial:
    """A scale and the error it has; infinity where it is not allowed."""

    scale: float
    error: float


def most() -> int:
    """The most evaluations that `search` takes."""
    return len(GRID) + round((HIGHEST - GRID[-1]) / (GRID[-1] - GRID[-2])) + REFINED


def search(
    error: Callable[[float], float], grid: Sequence[float] = GRID, highest: float = HIGHEST, steps: int = REFINED
) -> list[Trial]:
    """Every trial of a search for the scale of least error, in their order: the grid, then a golden section.

    `grid` ascends, with two scales at least, and goes on up to `highest` while its last is the best. The section goes on between the neighbours of the grid's best point, each
    time in the wider half (Kiefer 1953; the step is Brent 1973, chapter 5), and assumes one valley only there. Scales are
    rounded to 4 digits.
    """
    trials = [Trial(scale, error(scale)) for scale in grid]
    width = grid[-1] - grid[-2]
    while best(trials) is trials[-1] and trials[-1].scale + width <= highest + 1e-9:
        scale = round(trials[-1].scale + width, 4)
        trials.append(Trial(scale, error(scale)))
    place = trials.index(best(trials))
    low, middle, high = trials[max(0, place - 1)].scale, trials[place], trials[min(len(trials) - 1, place + 1)].scale
    for _ in range(steps):
        up, down = high - middle.scale, middle.scale - low
        scale = round(middle.scale + (SECTION * up if up > down else -SECTION * down), 4)
        trials.append(Trial(scale, error(scale)))
        better, worse = sorted((middle, trials[-1]), key=_rank)
        low, high = (worse.scale, high) if worse.scale < better.scale else (low, worse.scale)
        middle = better
    return trials


def best(trials: Sequence[Trial]) -> Trial:
    """The trial of least error; of several the one of the smallest scale. It may be infinite."""
    return min(trials, key=_rank)


def _rank(trial: Trial) -> tuple[float, float]:
    return trial.error, trial.scale


def metagpt(squares: Sequence[float]) -> list[float]:
    """lambda_t = |tau_t|^2 / sum_k |tau_k|^2, one for each task vector:
    Zhou et al. 2024 (arXiv 2406.11385), the closed form.

    `squares` are the squared norms. Raises DataError if all vectors are zero.
    """
    if not sum(squares):
        raise DataError("merge.scale: metagpt: all task vectors are zero; the arms were not trained")
    return [square / sum(squares) for square in squares]


def square(vector: Delta, factor: Callable[[str], float] = lambda _: 1.0) -> float:
    """|v|^2 of a vector whose tensors have a `factor` by name, one tensor in memory at a time."""
    return sum((factor(name) * float(torch.linalg.vector_norm(vector.tensor(name).double()))) ** 2
               for name in vector.names)  # fmt: skip


def shrinkage(vectors: Mapping[str, Delta]) -> tuple[dict[str, float], float]:
    """For every tensor the share t of the vectors' mean to keep, K c / ((K - 1) c + 1) with their mean cosine c, and the
    share of the whole: |t m| / |m| over all tensors of the mean m.

    Model Stock: Jang et al. 2024 (arXiv 2403.19522), equation 7, layer by layer as there. Raises DataError (vector,
    tensor) for other names or shapes.
    """
    (first, leader), *others = vectors.items()
    for label, other in others:
        if other.names != leader.names or any(other.shape(name) != leader.shape(name) for name in leader.names):
            raise DataError(f"{label}: holds other tensors than {first}; train all arms from one base")
    shares, kept, whole = dict[str, float](), 0.0, 0.0
    for name in leader.names:
        flat = torch.stack([vector.tensor(name).reshape(-1).double() for vector in vectors.values()])
        gram = flat @ flat.T
        shares[name] = rules.model_stock(gram)
        size = float(gram.sum()) / len(vectors) ** 2
        whole, kept = whole + size, kept + shares[name] ** 2 * size
    return shares, (kept / whole) ** 0.5 if whole else 0.0
