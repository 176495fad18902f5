"""The curve of a choice: every candidate that was heard, and what is written of it into choice.json."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asr_analogy.text.scoring import Counts, bootstrap, total
from asr_analogy.vectors.where import Factor


@dataclass
class Point:
    """One candidate: its scale, where it acts if not as the recipe says, what it costs, and whether it may be chosen.

    `counts` are the words of each corpus that decides, `entropy` is in nats, `general` % WER on general.dev.
    """

    scale: float
    where: Mapping[str, Factor] | None = None
    counts: dict[str, list[Counts]] = field(default_factory=dict)
    entropy: float | None = None
    general: float | None = None
    inside: bool = True

    @property
    def rate(self) -> float:
        """% WER over all corpora that decide; nan without any."""
        return total(count for part in self.counts.values() for count in part).rate

    @property
    def error(self) -> float:
        """What a choice makes small: the entropy where there is one, else the rate."""
        return self.rate if self.entropy is None else self.entropy

    @property
    def cost(self) -> float:
        """The error, infinite for what may not be chosen."""
        return self.error if self.inside else math.inf

    @property
    def name(self) -> str:
        """What the candidate is, the same in every run."""
        return f"scale {self.scale:g}" + (f" {json.dumps(dict(self.where))}" if self.where else "")

    def said(self) -> str:
        """The point in a line of the log."""
        found = f"{self.rate:.2f} % WER" if self.entropy is None else f"entropy {self.entropy:.4f}"
        found += "" if self.general is None else f", {self.general:.2f} % on general.dev"
        return f"{self.name}: {found}" + ("" if self.inside else ", out")


class Curve:
    """The points of a choice, in the order in which they were heard."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    def best(self) -> Point:
        """The point of least cost; of several the one of the smallest scale."""
        return min(self.points, key=lambda point: (point.cost, point.scale))

    def zero(self) -> Point:
        """C itself."""
        return next(point for point in self.points if not point.scale)

    def written(self, chosen: Point, draws: int, seed: int) -> dict[str, Any]:
        """The choice as plain numbers: chosen, where, utterances, curve, folds (of several corpora)."""
        points = sorted(self.points, key=lambda point: (point.scale, point.name))
        corpora = list(chosen.counts) if len(chosen.counts) > 1 else []
        return {
            "chosen": chosen.scale,
            "where": None if chosen.where is None else dict(chosen.where),
            "utterances": sum(len(part) for part in chosen.counts.values()),
            "curve": [_row(point, draws, seed) for point in points],
            "folds": [_fold(name, points) for name in corpora] or None,
        }


def _row(point: Point, draws: int, seed: int) -> dict[str, Any]:
    counts, interval = [count for part in point.counts.values() for count in part], None
    if counts and total(counts).words:
        drawn = bootstrap(counts, None, draws, seed)
        interval = [_round(drawn.low), _round(drawn.high)]
    row = {"scale": point.scale, "wer": _round(point.rate), "interval": interval, "general_wer": _round(point.general)}
    row |= {"entropy": _round(point.entropy, 5), "inside_budget": point.inside}
    return row | ({"where": dict(point.where)} if point.where and point.entropy is not None else {})


def _fold(name: str, points: Sequence[Point]) -> dict[str, Any]:
    rates = {point.scale: total(point.counts[name]).rate for point in points}
    rows = [{"scale": scale, "wer": _round(rate)} for scale, rate in rates.items()]
    return {"name": name, "curve": rows, "best": min(rates, key=lambda scale: (rates[scale], scale))}


def _round(value: float | None, digits: int = 3) -> float | None:
    return None if value is None or math.isnan(value) else round(value, digits)
