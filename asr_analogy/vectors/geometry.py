"""Geometry: how large task vectors are and how much they overlap, by layer and by kind of module. One tensor at a time.

For vectors x, y (entries x_i, y_i over a group of parameters; sums in fp64):

norm        |x| = sqrt(sum x_i^2); relative: |x| / |base|, over the tensors whose base norm is known
moved       share of entries with x_i != 0 (as stored: a coarse encoding makes zeros)
cosine      sum x_i y_i / (|x| |y|)   (arXiv 2212.04089, figure 5: near 0 between tasks that merge well)
overlap     |T(x) & T(y)| / |T(x)|, T(x) the `top` % largest |x_i| of every tensor; `top` / 100 is what chance gives
conflict    share of entries, x_i y_i != 0, whose signs differ (TIES, arXiv 2306.01708, section 3); chance gives 1/2
conflict_top  the same among T(x) & T(y), where it hurts
reliability  K c / ((K - 1) c + 1) of K vectors with mean cosine c: the squared correlation of their mean with what they
            share (Spearman-Brown; the factor t of Model Stock, arXiv 2403.19522)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from math import ceil, sqrt
from typing import Any

import torch
from torch import Tensor

from asr_analogy.errors import DataError
from asr_analogy.vectors.difference import Delta

KINDS = {
    "attn": "attention", "attention": "attention", "linear_q": "attention", "linear_k": "attention", "linear_v": "attention",
    "norm": "normalisation", "conv": "convolution", "fc1": "feed-forward", "fc2": "feed-forward", "ffn": "feed-forward",
    "feed_forward": "feed-forward", "mlp": "feed-forward", "embed": "embeddings", "lm_head": "output", "proj_out": "output",
}  # fmt: skip
"""What a part of a parameter's name says about its module; the first that fits counts, norms before all others."""
CHUNK = 1 << 22
"""Entries that are widened to fp64 at once."""
ALONE, SAME = 0.1, 0.5
"""Cosines below and above which vectors are called nearly independent and alike. Conventions: the measured cases draw no line."""
CLASH = 0.2
"""Share of a vector's size that points against the other from which on a merge is called risky. A convention as well."""
PROVISIONAL = "provisional thresholds: in ten measured sums the overlap did not foretell the loss, so score the merge"
"""docs/results.md: sums of fine-tunes with cosines of 0.39 to 0.62 (benchmarks/overlap.py)."""


class _Sums:
    """Sums in a group, field by field."""

    def add(self, other: "_Sums") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class _Size(_Sums):
    """Sums over one vector's entries in a group."""

    square: float = 0.0
    base: float = 0.0
    known: float = 0.0
    moved: int = 0
    count: int = 0

    def found(self) -> dict[str, Any]:
        relative = sqrt(self.known / self.base) if self.base else None
        return {"norm": sqrt(self.square), "relative": relative, "moved": self.moved / max(1, self.count)}


@dataclass
class _Pair(_Sums):
    """Sums over the entries of two vectors in a group."""

    dot: float = 0.0
    left: float = 0.0
    right: float = 0.0
    top: int = 0
    common: int = 0
    both: int = 0
    against: int = 0
    against_top: int = 0

    def found(self) -> dict[str, float | None]:
        sizes = sqrt(self.left * self.right)
        return {
            "cosine": max(-1.0, min(1.0, self.dot / sizes)) if sizes else None,
            "overlap": self.common / self.top if self.top else None,
            "conflict": self.against / self.both if self.both else None,
            "conflict_top": self.against_top / self.common if self.common else None,
        }


@dataclass
class _Group:
    """One layer, one kind of module, or all: the sums of every vector and of every pair."""

    sizes: dict[str, _Size] = field(default_factory=dict)
    pairs: dict[tuple[str, str], _Pair] = field(default_factory=dict)


def measure(vectors: Mapping[str, Delta], base: Mapping[str, float] | None = None, top: float = 10.0) -> dict[str, Any]:
    """Compare two or more `vectors` (label -> vector); `base` holds the norm of each tensor of their base, if known.

    Returns {"vectors": labels, "top", "groups": {group: {"sizes": {label: norm, relative, moved}, "pairs": [{left, right,
    cosine, overlap, conflict, conflict_top}]}}, "mean_cosine", "reliability", "verdict"}; groups are "all", the kinds of
    module, then the layers. A number that has no meaning (a vector that is zero there) is None.
    Raises DataError (vector, tensor) if names or shapes differ.
    """
    (first, leader), *others = vectors.items()
    for label, other in others:
        for name in sorted({*leader.names, *other.names}):
            if name not in leader.names or name not in other.names or leader.shape(name) != other.shape(name):
                raise DataError(f"{label}: tensor {name!r} is not as in {first}; compare vectors of one base")
    groups: dict[str, _Group] = {"all": _Group()}
    kinds, layers = dict[str, _Group](), dict[str, _Group]()
    for name in leader.names:
        own = _tensor({label: vector.tensor(name).reshape(-1) for label, vector in vectors.items()}, top)
        norm = (base or {}).get(name)
        if norm is not None:
            for size in own.sizes.values():
                size.base, size.known = norm**2, size.square
        for place, key in ((groups, "all"), (kinds, kind(name)), (layers, layer(name))):
            _merge(place.setdefault(key, _Group()), own)
    everything = {**groups, **kinds, **{f"layer {key}": value for key, value in layers.items()}}
    found: dict[str, Any] = {"vectors": list(vectors), "top": top}
    found["groups"] = {key: _shown(group) for key, group in everything.items()}
    return {**found, **_consistency(found["groups"]["all"], len(vectors)), "verdict": verdict(found["groups"]["all"])}


def layer(name: str) -> str:
    """The layer of a parameter: its name up to the first number, or without its last two words."""
    words = name.split(".")
    number = next((index for index, word in enumerate(words) if word.isdigit()), None)
    return ".".join(words[: number + 1]) if number is not None else ".".join(words[:-1]) or name


def kind(name: str) -> str:
    """The kind of module of a parameter, told by its name."""
    if "norm" in name:
        return KINDS["norm"]
    words = name.rpartition(".")[0] or name
    after = words.split("layers.")[-1]
    return next((found for part, found in KINDS.items() if part in after), "other")


def verdict(everything: Mapping[str, Any]) -> str:
    """Plain sentences on the two vectors that are most alike, as measured over all parameters."""
    pairs = [pair for pair in everything["pairs"] if pair["cosine"] is not None]
    if not pairs:
        return "at least one vector is zero: nothing to compare."
    pair = max(pairs, key=lambda one: abs(one["cosine"]))
    names, cosine = f"{pair['left']} and {pair['right']}", pair["cosine"]
    if abs(cosine) < ALONE:
        text = f"{names} are nearly independent (cosine {cosine:+.2f}): added to one model, each should keep its effect"
    elif cosine >= SAME:
        text = f"{names} say largely the same (cosine {cosine:+.2f}): average them rather than add both in full"
    elif cosine > 0:
        text = f"{names} share a part (cosine {cosine:+.2f}): added in full that part counts twice, so lower the scale"
    elif cosine <= -CLASH:
        text = f"{names} work against each other (cosine {cosine:+.2f}): expect a merge to undo part of both"
    else:
        text = f"{names} work slightly against each other (cosine {cosine:+.2f}): check the scale on a dev set"
    return f"{text} ({PROVISIONAL})."


def _tensor(flat: Mapping[str, Tensor], top: float) -> _Group:
    """The sums over one tensor, given flat for each vector."""
    found, tops = _Group(), {label: _top(tensor, top) for label, tensor in flat.items()}
    for label, tensor in flat.items():
        square = sum(float(part.double().square().sum()) for part in tensor.split(CHUNK))
        found.sizes[label] = _Size(square, moved=int(torch.count_nonzero(tensor)), count=tensor.numel())
    for left, right in combinations(flat, 2):
        pair = _Pair(left=found.sizes[left].square, right=found.sizes[right].square, top=int(tops[left].sum()))
        columns = (flat[left], flat[right], tops[left] & tops[right])
        for x, y, common in zip(*(column.split(CHUNK) for column in columns), strict=True):
            pair.dot += float(x.double() @ y.double())
            sign = x.sign() * y.sign()
            pair.common += int(common.sum())
            pair.both += int(torch.count_nonzero(sign))
            pair.against += int((sign < 0).sum())
            pair.against_top += int((sign[common] < 0).sum())
        found.pairs[left, right] = pair
    return found


def _top(tensor: Tensor, top: float) -> Tensor:
    """Mask of the `top` % largest entries, at least one; none of a tensor that is zero."""
    mask = torch.zeros_like(tensor, dtype=torch.bool)
    if not tensor.numel() or not bool(tensor.any()):
        return mask
    mask[tensor.abs().topk(max(1, ceil(tensor.numel() * top / 100))).indices] = True
    return mask & (tensor != 0)


def _merge(group: _Group, own: _Group) -> None:
    for label, size in own.sizes.items():
        group.sizes.setdefault(label, _Size()).add(size)
    for key, pair in own.pairs.items():
        group.pairs.setdefault(key, _Pair()).add(pair)


def _shown(group: _Group) -> dict[str, Any]:
    pairs = [{"left": left, "right": right, **pair.found()} for (left, right), pair in group.pairs.items()]
    return {"sizes": {label: size.found() for label, size in group.sizes.items()}, "pairs": pairs}


def _consistency(everything: Mapping[str, Any], count: int) -> dict[str, float | None]:
    """Mean cosine and, where it is positive, how reliable the mean of the vectors is as an estimate of what they share."""
    cosines = [pair["cosine"] for pair in everything["pairs"]]
    if None in cosines:
        return {"mean_cosine": None, "reliability": None}
    mean = sum(cosines) / len(cosines)
    return {"mean_cosine": mean, "reliability": count * mean / ((count - 1) * mean + 1) if mean > 0 else None}
