"""The figures of a run's page: bars of every test set, the curve of the scale, each with its numbers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from asr_analogy.page import charts, tables
from asr_analogy.page.names import colour, short
from asr_analogy.page.tables import Table

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A chart with its title, a note, and the table of its numbers."""

    title: str
    note: str
    svg: Markup
    table: Table | None


def bars(found: Found, main: str) -> list[Figure]:
    """A chart for every test set with rates, all on one axis; recall where there is nothing else."""
    spoken = {name: test for name, test in found["tests"].items() if _rated(test, main)}
    ends = [
        end for test in spoken.values() for row in test["systems"].values() for end in row[f"{main}_interval"] or [0.0]
    ]
    figures = []
    for place, (name, test) in enumerate(found["tests"].items()):
        key, unit, top = (main, f"% {main.upper()}", max(ends)) if name in spoken else ("recall", "% recall", 100.0)
        rows = [one for system, row in test["systems"].items() if (one := _bar(system, row, key)) is not None]
        if rows:
            title = f"{name}{' (stand-in)' if test.get('stand_in') else ''}"
            text = "" if name in spoken else "Recall of keywords: more is better."
            svg = charts.bars(f"bars-{place}", f"{unit} on {title}", unit, rows, top)
            figures.append(Figure(title, text, Markup(svg), _numbers(title, unit, rows)))
    return figures


def _rated(test: Found, main: str) -> bool:
    return all(row.get(main) is not None and row.get(f"{main}_interval") for row in test["systems"].values())


def _bar(system: str, row: Found, key: str) -> charts.Bar | None:
    value = (row.get("terms") or {}).get("recall") if key == "recall" else row.get(key)
    ends = None if key == "recall" else row.get(f"{key}_interval")
    return None if value is None else charts.Bar(short(system), colour(system), value, ends and (ends[0], ends[1]))


def _numbers(title: str, unit: str, rows: Sequence[charts.Bar]) -> Table:
    cells = tuple((bar.name, tables.number(bar.value), tables.span(bar.ends)) for bar in rows)
    return Table(title, ("system", unit, "95 % interval"), cells)


def curve(root: Path) -> dict[str, Any] | None:
    """How the scale was chosen, if it was."""
    file = root / "models/merged/choice.json"
    if not file.is_file():
        return None
    choice = json.loads(file.read_text(encoding="utf-8"))
    budget = choice.get("max_forgetting")
    note = f"Chosen by {choice['by']}: {choice['chosen']:g}."
    note += (
        f" Scales that cost more than {budget:g} points of WER on general speech were left out."
        if budget is not None
        else ""
    )
    folds = [(str(one["name"]), f"{one['best']:g}") for one in choice.get("folds") or [] if one.get("best") is not None]
    return {
        "note": note,
        "charts": _curves(choice),
        "table": tables.curve(choice),
        "folds": Table("The best scale of every fold", ("fold", "best scale"), tuple(folds)) if folds else None,
    }


def _curves(choice: Found) -> list[Figure]:
    series = []
    for key, kind, title in (("wer", "first", "domain"), ("general_wer", "second", "general")):
        points = [
            charts.Point(one["scale"], one[key], _pair(one.get("interval")) if key == "wer" else None, one.get("inside_budget") is not False)
            for one in sorted(choice["curve"], key=lambda one: one["scale"])
            if one.get(key) is not None
        ]  # fmt: skip
        series += [charts.Series(title, kind, points)] if points else []
    figures = []
    if series:
        svg = charts.curve("curve", "Error rate by scale", "scale", "% WER", series, choice["chosen"])
        text = "Round: the domain's held-out speech. Square: general speech, where a rise is forgetting. Hollow: outside the budget."
        figures.append(Figure("Error rate by scale", text, Markup(svg), None))
    entropy = [charts.Point(one["scale"], one["entropy"]) for one in choice["curve"] if one.get("entropy") is not None]
    if entropy:
        one = charts.Series("entropy", "first", sorted(entropy, key=lambda point: point.x))
        svg = charts.curve("entropy", "Entropy by scale", "scale", "entropy", [one], choice["chosen"])
        figures.append(Figure("Entropy of the output by scale", "", Markup(svg), None))
    return figures


def _pair(ends: Sequence[float] | None) -> charts.Ends | None:
    return (ends[0], ends[1]) if ends and None not in ends else None
