"""Rules on the singular values of matrices. `deltas` are (rows, columns), fp32 or fp64; `weights` their coefficients."""

from collections.abc import Sequence

import torch
from torch import Tensor

from asr_analogy.vectors.rules import weighted_sum


def iso_c(deltas: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """mean(S) U V^T of sum_i w_i d_i = U S V^T: every direction of the sum with the same strength.

    Iso-C, Marczak et al. 2025 (arXiv 2502.04959), algorithm 1.
    """
    left, values, right = torch.linalg.svd(weighted_sum(deltas, weights), full_matrices=False)
    return values.mean() * (left @ right)


def tsv_m(deltas: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Each delta's leading singular triples, an equal share of the rank for each, in directions made orthogonal.

    TSV-M, Gargiulo et al. 2025 (arXiv 2412.00081), algorithm 1: U = [U_1 .. U_K] and V likewise are replaced by the
    nearest orthogonal matrices (P Q^T of their own singular vectors), and the merge is U diag(S) V^T. One vector alone
    is given back.
    """
    rank = max(1, min(deltas[0].shape) // len(deltas))
    parts = [
        torch.linalg.svd(delta * weight, full_matrices=False) for delta, weight in zip(deltas, weights, strict=True)
    ]
    left = torch.cat([part[0][:, :rank] for part in parts], 1)
    values = torch.cat([part[1][:rank] for part in parts])
    right = torch.cat([part[2][:rank] for part in parts])
    return (_orthogonal(left) * values) @ _orthogonal(right)


def _orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with orthonormal rows or columns."""
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    return left @ right
