"""comparison: several finished runs side by side (voices, sizes, seeds), as a page, Markdown and JSON."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asr_analogy.errors import DataError, RecipeError
from asr_analogy.page.headline import baseline, domain_tests, product
from asr_analogy.page.overview import markdown, overview
from asr_analogy.page.tables import kind_of
from asr_analogy.workspace import Workspace, content, read_record, write_whole

Run = dict[str, Any]


def comparison(folders: Sequence[Path], out: Path) -> dict[str, Any]:
    """Compare the runs in `folders`; writes comparison.html, .md and .json into `out` and returns the last's content.

    Raises DataError for a folder without scores, RecipeError for one given twice.
    """
    runs = [_run(folder) for folder in folders]
    places = [folder.resolve() for folder in folders]
    for place in places:
        if places.count(place) > 1:
            raise RecipeError(f"{place}: is given twice; a run equals itself")
    for run, label in zip(runs, _labels(places), strict=True):
        run["label"] = label
    found = compared(runs)
    inputs = {run["label"]: run["scores_content"] for run in runs}
    made = Workspace(out.parent).folder(out.name, inputs, force=True)
    made.done()  # refuses a folder that is not ours
    with made.writing() as partial:
        write_whole(partial / "comparison.json", json.dumps(found, indent=1, ensure_ascii=False))
        write_whole(partial / "comparison.md", markdown(found))
        write_whole(partial / "comparison.html", overview(found))
    return found


def _run(folder: Path) -> Run:
    file = folder / "scores" / "scores.json"
    if read_record(folder / "scores") is None or not file.is_file():
        raise DataError(f"{folder}: holds no scores, so it cannot be compared; evaluate its recipe first")
    scores = json.loads(file.read_text(encoding="utf-8"))
    record = read_record(folder / "report") or {"inputs": {}}
    origin = read_record(folder / "scores") or {"inputs": {}}
    settings = record["inputs"].get("recipe") or {}
    return {
        "scores": scores,
        "settings": settings,
        "seed": settings.get("seed", origin["inputs"].get("seed")),
        "scores_content": content(folder / "scores"),
        "tests": {name: _test_content(folder, name) for name in scores["tests"]},
        "folder": str(folder),
    }


def _test_content(folder: Path, test: str) -> str | None:
    """The content hash of a test set, as its transcripts recorded it."""
    for file in sorted((folder / "hypotheses" / test).glob("*/run.json")):
        return (read_record(file.parent) or {"inputs": {}})["inputs"].get("test")
    return None


def _labels(places: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    for count in range(1, max(len(place.parts) for place in places) + 1):
        labels = ["/".join(place.parts[-count:]) for place in places]
        if len(set(labels)) == len(labels):
            return labels
    return [str(place) for place in places]


def compared(runs: Sequence[Run]) -> dict[str, Any]:
    """The rows, their summary, the spread over seeds, and what must be known before they are compared."""
    rows = [row for run in runs for row in _rows(run)]
    if not rows:
        raise DataError("report: no run holds a domain test with transcripts, so there is nothing to compare")
    return {
        "rate": rows[0]["rate"],
        "normalisers": sorted({run["scores"]["normaliser"] for run in runs}),
        "rows": rows,
        "together": _together(rows),
        "seeds": _seeds(runs, rows),
        "settings": _differences(runs),
        "notes": _notes(runs, rows),
    }


def _rows(run: Run) -> Iterator[dict[str, Any]]:
    """A row for every domain test of a run that has rates."""
    scores = run["scores"]
    rate, ours, theirs = scores.get("rate", "wer"), product(scores), baseline(scores)
    for name, test in domain_tests(scores).items():
        row, rival = test["systems"].get(ours, {}), test["systems"].get(theirs, {})
        if row.get(rate) is None or rival.get(rate) is None:
            continue
        yield {
            "label": run["label"],
            "test": name,
            "rate": rate,
            "stand_in": bool(test.get("stand_in")),
            "words": test.get("words") or 0,
            "seed": run["seed"],
            "base": test["systems"].get("base", {}).get(rate),
            "c": rival[rate],
            "product": ours,
            "merged": row[rate],
            "difference": row.get("difference_to_c"),
            "interval": row.get("difference_interval"),
            "relative": row.get("relative_to_c"),
            "forgetting": _forgetting(scores, rate, ours),
        }


def _forgetting(scores: Mapping[str, Any], rate: str, ours: str) -> float | None:
    """Points that the product has more than the base, mean over the general test sets."""
    gaps = []
    for name, test in scores["tests"].items():
        one, base = (test["systems"].get(system, {}).get(rate) for system in (ours, "base"))
        if kind_of(name, test) == "general" and one is not None and base is not None:
            gaps.append(one - base)
    return round(statistics.fmean(gaps), 3) if gaps else None


def _together(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rates of C and the product over all rows, and on how many of them the product is better."""
    found: dict[str, Any] = {}
    for key in ("base", "c", "merged"):
        pairs = [(row[key], row["words"]) for row in rows if row[key] is not None]
        words = sum(weight for _, weight in pairs)
        values = [value for value, _ in pairs]
        found[key] = {
            "macro": round(statistics.fmean(values), 3) if values else None,
            "micro": round(sum(value * weight for value, weight in pairs) / words, 3) if words else None,
            "median": round(statistics.median(values), 3) if values else None,
        }
    found["wins"] = sum(row["merged"] < row["c"] for row in rows)
    found["shown"] = sum(bool(row["interval"]) and row["interval"][1] < 0 for row in rows)
    return {**found, "of": len(rows)}


def _seeds(runs: Sequence[Run], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over the runs whose recipes differ in nothing but the seed (and the name)."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if run["settings"]:
            rest = {key: value for key, value in run["settings"].items() if key not in ("seed", "name")}
            groups.setdefault(json.dumps(rest, sort_keys=True), []).append(run)
    found = []
    for group in groups.values():
        labels = [run["label"] for run in group]
        if len({run["seed"] for run in group}) < 2:
            continue
        for test in dict.fromkeys(row["test"] for row in rows if row["label"] in labels):
            same = [row for row in rows if row["label"] in labels and row["test"] == test]
            if len(same) > 1:
                found.append({"labels": labels, "seeds": [row["seed"] for row in same], "test": test, **_spread(same)})
    return found


def _spread(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = {}
    for key in ("c", "merged", "difference", "relative", "forgetting"):
        values = [row[key] for row in rows if row[key] is not None]
        mean = round(statistics.fmean(values), 3) if values else None
        found[key] = {"mean": mean, "deviation": round(statistics.stdev(values), 3) if len(values) > 1 else None}
    return found


def _differences(runs: Sequence[Run]) -> dict[str, dict[str, str]]:
    """Settings in which the recipes differ, by run; the name is left out."""
    flat = {run["label"]: dict(_flat(run["settings"])) for run in runs}
    keys = dict.fromkeys(key for settings in flat.values() for key in settings if key != "name")
    different = [key for key in keys if len({settings.get(key) for settings in flat.values()}) > 1]
    return {label: {key: settings.get(key, "not known") for key in different} for label, settings in flat.items()}


def _flat(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        place = f"{path}.{key}" if path else key
        if isinstance(value, Mapping) and value:
            yield from _flat(value, place)
        else:
            yield place, json.dumps(value, ensure_ascii=False)


def _notes(runs: Sequence[Run], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What forbids comparing rates, or asks for care."""
    notes = []
    if any(row["stand_in"] for row in rows):
        notes.append("Test speech is a STAND-IN (simulated) in some or all rows.")
    if len({run["scores"]["normaliser"] for run in runs}) > 1 or len({row["rate"] for row in rows}) > 1:
        notes.append("The runs were scored with different normalisers or rates: compare differences, not rates.")
    for test in dict.fromkeys(row["test"] for row in rows):
        if len({run["tests"].get(test) for run in runs if test in run["tests"]}) > 1:
            notes.append(f"{test} is not the same set in all runs: compare differences, not rates.")
    unknown = [run["label"] for run in runs if not run["settings"]]
    if unknown:
        notes.append(f"The recipe of {', '.join(unknown)} is not known here; write its report first to see it.")
    return notes
