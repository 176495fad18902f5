"""The page and the Markdown of several runs side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from asr_analogy.page import charts
from asr_analogy.page.figures import Figure
from asr_analogy.page.names import colour
from asr_analogy.page.sheet import rendered
from asr_analogy.page.tables import Table, number, span

Found = Mapping[str, Any]


def overview(found: Found) -> str:
    """The HTML of a comparison; `found` is the content of comparison.json."""
    charts_ = [_differences(found), _rates(found)]
    content = {
        "title": title(found),
        "sentence": sentence(found),
        "notes": found["notes"],
        "charts": [chart for chart in charts_ if chart],
        "tables": every_table(found),
        "key": _key(found),
    }
    return rendered("comparison.html", content)


def title(found: Found) -> str:
    """How many runs, by which normaliser."""
    count = len(dict.fromkeys(row["label"] for row in found["rows"]))
    return f"{count} runs compared, {found['rate'].upper()}, normaliser {' and '.join(found['normalisers'])}"


def sentence(found: Found) -> str:
    """What the comparison says, in a line."""
    together = found["together"]
    gap = "" if together["c"]["macro"] is None else (
        f"; mean {number(together['c']['macro'])} to {number(together['merged']['macro'])} %"
    )  # fmt: skip
    shown = f"on {together['shown']} the interval lies below zero"
    return f"Better than the baseline on {together['wins']} of {together['of']} ({shown}){gap}."


def every_table(found: Found) -> list[Table]:
    """Rows, summary, seeds and settings, each if there is any."""
    made = [rows(found), _together(found), _seeds(found), _settings(found)]
    return [one for one in made if one is not None]


def rows(found: Found) -> Table | None:
    """A row for every run and test set of the domain."""
    heads = ("run", "test", "base %", "C %", "merged %", "difference", "95 % interval", "relative", "forgetting")
    cells = tuple(
        (
            row["label"],
            row["test"] + (" (stand-in)" if row["stand_in"] else ""),
            number(row["base"]),
            number(row["c"]),
            number(row["merged"]) + ("" if row["product"] == "merged" else f" ({row['product']})"),
            number(row["difference"], sign=True),
            span(row["interval"], sign=True),
            number(row["relative"], 1, True, " %"),
            number(row["forgetting"], sign=True),
        )
        for row in found["rows"]
    )
    return Table("Runs", heads, cells, frozenset((0, 1))).trimmed()


def table_of(found: Found) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Headings and cells of `rows`."""
    table = rows(found)
    return (table.headings, table.rows) if table else ((), ())


def _together(found: Found) -> Table | None:
    together, names = found["together"], {"base": "base", "c": "C", "merged": "merged"}
    cells = []
    for key, name in names.items():
        wins = f"{together['wins']} of {together['of']}" if key == "merged" else ""
        cells.append((name, *(number(together[key][kind]) for kind in ("macro", "micro", "median")), wins))
    return Table("All rows together", ("system", "macro %", "micro %", "median %", "better on"), tuple(cells)).trimmed()


def _seeds(found: Found) -> Table | None:
    keys = ("c", "merged", "difference", "relative", "forgetting")
    cells = tuple(
        (
            f"{one['test']}: {', '.join(one['labels'])}",
            ", ".join(map(str, one["seeds"])),
            *(_spread(one[key], key not in ("c", "merged")) for key in keys),
        )
        for one in found["seeds"]
    )
    heads = ("runs that differ in the seed alone", "seeds", "C %", "merged %", "difference", "relative %", "forgetting")
    return Table("Over seeds: mean ± standard deviation", heads, cells, frozenset((0, 1))).trimmed()


def _spread(value: Mapping[str, float | None], sign: bool) -> str:
    deviation = "" if value["deviation"] is None else f" ± {number(value['deviation'])}"
    return number(value["mean"], sign=sign) + deviation


def _settings(found: Found) -> Table | None:
    labels = list(found["settings"])
    keys = list(next(iter(found["settings"].values()), {}))
    cells = tuple((key, *(found["settings"][label][key] for label in labels)) for key in keys)
    return Table("Settings that differ", ("setting", *labels), cells, frozenset(range(len(labels) + 1))).trimmed()


def _key(found: Found) -> str:
    return (
        "Difference: merged minus C, in points, with its paired 95 % interval; less than 0 is better. Forgetting: merged "
        "minus base on general speech, in points. Macro: mean over the rows; micro: over all their words."
    )


def _name(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    several = len({one["test"] for one in rows}) > 1
    return f"{row['label']}, {row['test']}" if several else row["label"]


def _differences(found: Found) -> Figure | None:
    shown = [row for row in found["rows"] if row["difference"] is not None]
    bars = [
        charts.Bar(_name(row, found["rows"]), "merged", row["difference"], row["interval"] and tuple(row["interval"]))
        for row in shown
    ]
    if not bars:
        return None
    svg = charts.forest("forest", "Difference of merged to C", "points", bars)
    note = f"Points of {found['rate'].upper()} with 95 % intervals; left of zero is better."
    return Figure("Difference of merged to C", note, Markup(svg), None)


def _rates(found: Found) -> Figure | None:
    bars = []
    for row in found["rows"]:
        for key, system in (("base", "base"), ("c", "domain-synthetic"), ("merged", "merged")):
            if row[key] is not None:
                name = f"{_name(row, found['rows'])}: {key.upper() if key == 'c' else key}"
                bars.append(charts.Bar(name, colour(system), row[key]))
    unit = f"% {found['rate'].upper()}"
    svg = charts.bars("rates", f"Error rates, {unit}", unit, bars)
    return Figure("Error rates", f"{unit}; less is better.", Markup(svg), None)


def markdown(found: Found) -> str:
    """The comparison as Markdown."""
    lines = [f"# {title(found)}", "", sentence(found), "", *(f"- {note}" for note in found["notes"]), ""]
    for table in every_table(found):
        lines += [f"## {table.caption}", "", "| " + " | ".join(map(_cell, table.headings)) + " |"]
        lines += ["|" + "---|" * len(table.headings)]
        lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in table.rows] + [""]
    return "\n".join([*lines, _key(found)]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
