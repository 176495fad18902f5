"""Tables of the page, as text: scores of a test set in four views, test sets together, the curve, geometry, audit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from asr_analogy.page.names import short

NONE = "–"
"""Stands where a number is not defined or was not measured."""

Test = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; the first column names the row, columns in `words` are words, the others numbers."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[int] = frozenset((0,))

    def trimmed(self) -> "Table | None":
        """Without the columns that say nothing; None if no column is left beside the first."""
        kept = [place for place in range(len(self.headings)) if not place or self._says(place)]
        if len(kept) < 2 or not self.rows:
            return None
        return replace(
            self,
            headings=tuple(self.headings[place] for place in kept),
            rows=tuple(tuple(row[place] for place in kept) for row in self.rows),
            words=frozenset(number for number, place in enumerate(kept) if place in self.words),
        )

    def _says(self, place: int) -> bool:
        return any(row[place] not in ("", NONE) for row in self.rows)


def number(value: float | None, places: int = 2, sign: bool = False, unit: str = "") -> str:
    """A number as it stands in a table, with a real minus sign."""
    if value is None:
        return NONE
    return f"{value:{'+' if sign else ''}.{places}f}{unit}".replace("-", "−")


def span(ends: Sequence[float] | None, places: int = 2, sign: bool = False) -> str:
    """An interval."""
    if ends is None or None in ends:
        return NONE
    return f"{number(ends[0], places, sign)} to {number(ends[1], places, sign)}"


def kind_of(name: str, test: Test) -> str:
    """Of a test set: domain or general."""
    return test.get("kind") or name.split("-")[0]


def caption(name: str, test: Test) -> str:
    """What a test set holds, in a line."""
    parts = [f"{test['utterances']:,} utterances"]
    parts += [f"{test['words']:,} words"] if test.get("words") else []
    parts += [f"{test['speakers']} speakers"] if test.get("speakers") else []
    parts += [f"{test['hours']:.2f} h"] if test.get("hours") else []
    parts += [f"{test['dropped']} dropped"] if test.get("dropped") else []
    return f"{name}: {'STAND-IN (simulated), ' if test.get('stand_in') else ''}{', '.join(parts)}"


def rates(name: str, test: Test, main: str = "wer", baseline: str = "domain-synthetic") -> Table | None:
    """Error rates with intervals, differences to the baseline, edits and rates without normaliser."""
    other = "cer" if main == "wer" else "wer"
    heads = [
        "system",
        f"{main.upper()} %",
        "95 % interval",
        "difference to " + short(baseline).split()[0],
        "95 % interval",
        "relative",
    ]
    heads += ["P(better)", "MAPSSWE p", f"{other.upper()} %", "S / D / I", f"raw {main.upper()} %"]
    rows = []
    for system, row in test["systems"].items():
        same = system == baseline
        edits = [row.get(key) for key in ("substitutions", "deletions", "insertions")]
        change = [number(row.get("difference_to_c"), sign=True), span(row.get("difference_interval"), sign=True)]
        change += [number(row.get("relative_to_c"), 1, True, " %"), number(row.get("probability_better"), 3)]
        p = row.get("matched_pairs_p")
        change.append("< 0.0001" if p is not None and p < 1e-4 else number(p, 4))
        rows.append(
            (
                short(system),
                number(row.get(main)),
                span(row.get(f"{main}_interval")),
                *(("",) * 5 if same else change),
                number(row.get(other)),
                NONE if None in edits else " / ".join(f"{edit:,}" for edit in edits),
                number(row.get(f"raw_{main}")),
            )
        )
    return Table(f"Error rates on {name}", tuple(heads), tuple(rows)).trimmed()


def terms(name: str, test: Test) -> Table | None:
    """Recall and precision of the domain's terms, error rates in their words and in all others."""
    heads = ("system", "recall %", "recall difference", "precision %", "said", "written", "both", "B-WER %", "U-WER %")
    rows = []
    for system, row in test["systems"].items():
        found = row.get("terms") or {}
        counts = [NONE if found.get(key) is None else f"{found[key]:,}" for key in ("said", "written", "both")]
        gap = span(found.get("recall_difference_interval"), sign=True)
        cells = [number(found.get("recall")), gap, number(found.get("precision")), *counts]
        rows.append((short(system), *cells, number(row.get("b_wer")), number(row.get("u_wer"))))
    return Table(f"Terms of the domain on {name}", heads, tuple(rows)).trimmed()


def decoding(name: str, test: Test) -> Table | None:
    """Signs of made-up text, and what decoding cost."""
    heads = ("system", "insertion bursts", "loops", "clips over 100 %", "empty", "real-time factor", "peak MiB")
    rows = []
    for system, row in test["systems"].items():
        signs = row.get("hallucination") or {}
        cells = [number(signs.get(key), 0) for key in ("bursts", "loops", "over_100", "empty")]
        cost = (number(row.get("real_time_factor"), 3), number(row.get("peak_mib"), 0))
        rows.append((short(system), *cells, *cost))
    return Table(f"Signs of hallucination and cost of decoding on {name}", heads, tuple(rows)).trimmed()


def domains(scores: Mapping[str, Any]) -> Table | None:
    """All test sets of the domain together, if there are several."""
    found = scores.get("domains")
    if not found:
        return None
    rows = []
    for system, row in found["systems"].items():
        wins = f"{row['wins']} of {row['of']}" if row.get("wins") is not None else NONE
        cells = [number(row.get(key)) for key in ("macro", "micro", "median")]
        rows.append((short(system), *cells, wins if system != scores.get("baseline", "domain-synthetic") else ""))
    heads = ("system", "macro %", "micro %", "median %", "better on")
    return Table("All test sets of the domain", heads, tuple(rows)).trimmed()


def curve(choice: Mapping[str, Any]) -> Table | None:
    """How the scale was chosen."""
    heads = ("scale", "WER %", "95 % interval", "general WER %", "entropy", "within the budget")
    rows = []
    for point in choice["curve"]:
        inside = {True: "yes", False: "no"}.get(point.get("inside_budget"), NONE)
        chosen = " (chosen)" if point["scale"] == choice.get("chosen") else ""
        cells = [number(point.get("wer")), span(point.get("interval")), number(point.get("general_wer"))]
        rows.append((f"{point['scale']:g}{chosen}", *cells, number(point.get("entropy"), 4), inside))
    return Table("Scale of the Synthetic2Real vector", heads, tuple(rows), frozenset((0, 5))).trimmed()


def geometry(found: Mapping[str, Any]) -> Table | None:
    """How the domain's vector and the Synthetic2Real vector lie to one another, part by part."""
    left, right = found["vectors"][:2]
    heads = ("part", f"{left}, % of base", f"{right}, % of base", "cosine", "overlap", "sign conflicts")
    rows = []
    for name, part in found["groups"].items():
        if name.startswith("layer "):
            continue
        shares = [part["sizes"][label]["relative"] for label in (left, right)]
        pair = part["pairs"][0]
        cells = [number(None if share is None else 100 * share, 3) for share in shares]
        cells += [number(pair["cosine"], 3, True), number(pair["overlap"], 3), number(pair["conflict"], 3)]
        rows.append((name, *cells))
    return Table("Task vectors", heads, tuple(rows)).trimmed()


def corpora(found: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """What was spoken and recorded."""
    rows = [
        (name, f"{one['utterances']:,}", f"{one['hours']:.2f}", f"{one['dropped']:,}", "stand-in" if one["stand_in"] else "")
        for name, one in found.items()
    ]  # fmt: skip
    return Table("Corpora", ("corpus", "utterances", "hours", "dropped", ""), tuple(rows), frozenset((0, 4))).trimmed()


def audit(found: Mapping[str, Any]) -> Table | None:
    """Synthetic beside real speech: medians, and how far apart the distributions are."""
    real = found["reference"]
    names = [name for name in next(iter(found["measures"].values()))["corpora"] if name != real]
    heads = ["measure", f"{real}{' (stand-in)' if found.get('stand_in') else ''}"]
    for name in names:
        heads += [name, "KS"]
    rows = []
    for part in found["measures"].values():
        cells = [f"{part['title']} ({part['unit']})", number(part["corpora"][real]["median"], 1)]
        for name in names:
            cells += [number(part["corpora"][name]["median"], 1), number(part["corpora"][name]["distance"], 2)]
        rows.append(tuple(cells))
    return Table("Audit of the synthetic speech, medians", tuple(heads), tuple(rows)).trimmed()
