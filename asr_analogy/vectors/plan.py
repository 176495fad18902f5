"""How a rule goes over one tensor: what it measures of the whole first, then what it does to each stretch."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from asr_analogy.errors import RecipeError
from asr_analogy.vectors import rules, sparsity, spectra

Step = Callable[[int, list[Tensor]], Tensor]
"""The move of one stretch: from the element it begins at and the deltas of all vectors there, each 1-D."""


@dataclass(frozen=True)
class Rule:
    """A rule by its name in a recipe, the share of entries that rules which drop some keep, and their seed."""

    name: str = "analogy"
    density: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Group:
    """One tensor's deltas: its name and shape, a weight for every vector, and a way to go over all, `length` elements
    at a time, as often as a rule needs."""

    name: str
    shape: tuple[int, ...]
    weights: tuple[float, ...]
    over: Callable[[int], Iterator[list[Tensor]]]


@dataclass(frozen=True)
class Plan:
    """The stretches that a rule wants a tensor cut into, and what it makes of each."""

    length: int
    step: Step


def planned(rule: Rule, group: Group, length: int) -> Plan:
    """Measure what `rule` must know of the whole tensor; `length` is the longest stretch where the rule lets us choose.

    The result is the same for every `length`: it is rounded up to whole blocks, a rule on rows gets whole rows, and a
    rule on matrices the whole tensor. Raises RecipeError if weights do not suit the rule.
    """
    length = -(-length // sparsity.BLOCK) * sparsity.BLOCK
    size = prod(group.shape)
    if rule.name in ("ties", "breadcrumbs"):
        return Plan(length, _by_rank(rule, group, length))
    if rule.name in ("dare", "dare-ties"):
        return Plan(length, _by_chance(rule, group))
    if rule.name == "della":
        width = size // group.shape[0] if len(group.shape) > 1 else size
        return Plan(max(1, length // width) * width, _by_chance(rule, group, width))
    if rule.name in ("iso-c", "tsv-m") and len(group.shape) == 2:
        return Plan(size, _by_spectrum(rule, group))
    if rule.name in ("model-stock", "slerp"):
        weights = _by_angle(rule, group, length)
    elif rule.name == "average":
        if not sum(group.weights):
            raise RecipeError("merge.rule average: the weights add up to zero; give another merge.scale than -1")
        return Plan(length, lambda _, deltas: rules.average(deltas, group.weights))
    else:
        weights = group.weights
    return Plan(length, lambda _, deltas: rules.weighted_sum(deltas, weights))


def _by_rank(rule: Rule, group: Group, length: int) -> Step:
    """TIES and Breadcrumbs: bounds on the magnitudes first."""
    size = prod(group.shape)
    if rule.name == "ties":
        keep = sparsity.kept(size, rule.density)
        bounds = (
            sparsity.magnitudes(lambda: group.over(length), [keep]) if keep < size else [[0.0]] * len(group.weights)
        )

        def step(_: int, deltas: list[Tensor]) -> Tensor:
            trimmed = [sparsity.trim(delta, bound[0]) for delta, bound in zip(deltas, bounds, strict=True)]
            return rules.consensus(trimmed, group.weights)

        return step
    bands = sparsity.magnitudes(lambda: group.over(length), sparsity.band_ranks(size, rule.density))

    def cut(_: int, deltas: list[Tensor]) -> Tensor:
        middle = [sparsity.band(delta, low, high) for delta, (high, low) in zip(deltas, bands, strict=True)]
        return rules.weighted_sum(middle, group.weights)

    return cut


def _by_chance(rule: Rule, group: Group, width: int = 0) -> Step:
    """DARE, DARE-TIES and, on rows of `width` entries, DELLA: every vector is thinned by draws of its own."""

    def thinned(begin: int, vector: int, delta: Tensor) -> Tensor:
        draws = sparsity.draws(rule.seed, group.name, vector, begin, begin + len(delta))
        if width:
            return sparsity.della(delta.view(-1, width), rule.density, draws).view(-1)
        return sparsity.dare(delta, rule.density, draws)

    def step(begin: int, deltas: list[Tensor]) -> Tensor:
        sparse = [thinned(begin, vector, delta) for vector, delta in enumerate(deltas)]
        merged = rules.weighted_sum if rule.name == "dare" else rules.consensus
        return merged(sparse, group.weights)

    return step


def _by_spectrum(rule: Rule, group: Group) -> Step:
    """Iso-C and TSV-M on a matrix: vectors of weight zero take no share of the rank."""

    def step(_: int, deltas: list[Tensor]) -> Tensor:
        active = [number for number, weight in enumerate(group.weights) if weight and deltas[number].any()]
        matrices = [deltas[number].view(group.shape) for number in active]
        weights = [group.weights[number] for number in active]
        if not active or (rule.name == "tsv-m" and len(active) == 1):
            return rules.weighted_sum(deltas, group.weights)
        merged = spectra.iso_c if rule.name == "iso-c" else spectra.tsv_m
        return merged(matrices, weights).reshape(-1)

    return step


def _by_angle(rule: Rule, group: Group, length: int) -> Sequence[float]:
    """Model Stock and SLERP are weighted sums whose weights follow from the angles between the vectors."""
    gram = _gram(group, length)
    if rule.name == "model-stock":
        count, scale = len(group.weights), torch.tensor(group.weights, dtype=torch.float64)
        share = rules.model_stock(gram * torch.outer(scale, scale)) / count
        return [share * weight for weight in group.weights]
    if len(group.weights) != 2 or not 0 <= group.weights[1] <= 1:
        raise RecipeError(
            f"merge.rule slerp goes from one vector to another, by merge.scale from 0 to 1 (got {group.weights[-1]:g})"
        )
    return rules.slerp(gram, group.weights[1])


def _gram(group: Group, length: int) -> Tensor:
    """Inner products of all pairs of vectors, (vectors, vectors) fp64: block by block, added up without rounding, so
    that the stretches make no difference."""
    count = len(group.weights)
    parts: list[list[list[float]]] = [[[] for _ in range(count)] for _ in range(count)]
    for deltas in group.over(length):
        for blocks in zip(*(delta.to(torch.float64).split(sparsity.BLOCK) for delta in deltas), strict=True):
            for one in range(count):
                for other in range(one, count):
                    parts[one][other].append(torch.dot(blocks[one], blocks[other]).item())
    gram = torch.zeros(count, count, dtype=torch.float64)
    for one in range(count):
        for other in range(one, count):
            gram[one, other] = gram[other, one] = math.fsum(parts[one][other])
    return gram
