"""Rules that combine task vectors, each on one tensor's deltas: tensors of one shape and dtype, fp32 or fp64.

`deltas` are tuned minus base, one per vector, `weights` their coefficients. What a rule returns is added to the base.
Nothing here changes its arguments. Rules that drop entries stand in sparsity.py, rules on singular values in spectra.py.
"""

from collections.abc import Sequence
from itertools import combinations
from math import acos, sin, sqrt

import torch
from torch import Tensor

PARALLEL = 0.9995
"""Cosine from which on `slerp` goes straight, since the sine of the angle is nearly zero."""


def weighted_sum(deltas: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """sum_i w_i d_i: task arithmetic, Ilharco et al. 2023 (arXiv 2212.04089), section 2; the analogy is (1, scale)."""
    total = deltas[0] * weights[0]
    for delta, weight in zip(deltas[1:], weights[1:], strict=True):
        total.add_(delta * weight)  # two roundings on purpose: add_(alpha=) fuses them, but not at the end of a stretch
    return total


def average(deltas: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """sum_i w_i d_i / sum_i w_i: weight averaging, Wortsman et al. 2022 (arXiv 2203.05482), equation 1 with weights.

    ZeroDivisionError if the weights add up to zero.
    """
    return weighted_sum(deltas, [weight / sum(weights) for weight in weights])


def consensus(deltas: Sequence[Tensor], weights: Sequence[float], normalise: bool = False) -> Tensor:
    """Elect signs and merge disjointly, steps 2 and 3 of TIES: Yadav et al. 2023 (arXiv 2306.01708), algorithm 1.

    The sign of an entry is that of sum_i w_i d_i; what has another sign is left out, and nothing remains where the sum
    is zero. The rest is added; with `normalise` it is divided by the weights that took part (the paper's mean).
    """
    parts = [delta * weight for delta, weight in zip(deltas, weights, strict=True)]
    total = parts[0].clone()
    for part in parts[1:]:
        total.add_(part)
    sign = total.sign_()
    agreeing = [part.mul_(sign).clamp_(min=0) for part in parts]
    merged = agreeing[0].clone()
    for part in agreeing[1:]:
        merged.add_(part)
    if normalise:
        shares = [part.sign_().mul_(weight) for part, weight in zip(agreeing, weights, strict=True)]
        share = torch.stack(shares).sum(0).abs_()
        merged.div_(share.add_((share == 0).to(share.dtype)))
    return merged.mul_(sign)


def model_stock(gram: Tensor) -> float:
    """t = K c / ((K - 1) c + 1), the share of the mean of K deltas to keep: Jang et al. 2024 (arXiv 2403.19522), eq. 7.

    `gram` (K, K) holds the deltas' inner products, c is their mean pairwise cosine; a delta of zeros has cosine zero
    with all. The result lies within 0 and 1: vectors that point apart agree on nothing.
    """
    count = len(gram)
    cosines = [cosine(gram, one, other) for one, other in combinations(range(count), 2)]
    mean = sum(cosines) / len(cosines) if cosines else 1.0
    return min(1.0, max(0.0, count * mean / ((count - 1) * mean + 1))) if mean > 0 else 0.0


def slerp(gram: Tensor, share: float) -> tuple[float, float]:
    """The weights of two vectors at `share` of the way from the first to the second along the arc between them:
    sin((1 - t) a) / sin(a) and sin(t a) / sin(a), Shoemake 1985, section 3.3.

    `gram` (2, 2) holds their inner products. Nearly parallel or zero vectors are interpolated straight.
    """
    near = cosine(gram, 0, 1)
    if abs(near) > PARALLEL or not gram.diagonal().all():
        return 1 - share, share
    angle = acos(near)
    return sin((1 - share) * angle) / sin(angle), sin(share * angle) / sin(angle)


def cosine(gram: Tensor, one: int, other: int) -> float:
    """Cosine of two vectors from the matrix of all inner products; zero if one of them is zero."""
    length = sqrt(gram[one, one].item()) * sqrt(gram[other, other].item())
    return gram[one, other].item() / length if length else 0.0
