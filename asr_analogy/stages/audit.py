"""audit: how far the prepared synthetic speech is from the real, measure by measure, and its worst clips."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from asr_analogy.errors import RecipeError
from asr_analogy.progress import progress
from asr_analogy.recipe import Recipe
from asr_analogy.speech.audit import MEASURES, distance, measure, median, mistakes
from asr_analogy.speech.corpus import Utterance, lengths, utterance
from asr_analogy.speech.histogram import edges, shares, svg
from asr_analogy.text.spoken import spoken
from asr_analogy.workspace import Folder, Workspace, content, digest, read_record, write_whole

log = logging.getLogger("asr_analogy")

REFERENCE = "general-real"
SYNTHETIC = ("general-synthetic", "domain-synthetic")
MEASURED = 500
"""Utterances of each corpus that are measured at most."""
HEARD = 100
"""Clips of each synthetic corpus that the recogniser listens to at most."""
WORST = 20
"""Clips that are shown and kept for listening: those with the most characters misheard."""

Found = dict[str, dict[str, list[float]]]
"""Corpus -> measure -> one value for every utterance measured."""


def audit(recipe: Recipe, workspace: Workspace, force: bool = False) -> None:
    """Measure a sample of the prepared corpora and write `audit/`; skipped if it was made from these corpora.

    Raises DataError if a corpus is not prepared.
    """
    if recipe.general.vector is not None:
        raise RecipeError(
            "audit: holds synthetic against real general speech; a recipe with general.vector has neither"
        )
    place = _folder(recipe, workspace)
    record = read_record(place.path)
    if record is not None and record["inputs"] == place.inputs and not force:
        log.info("audit: is there")
        return
    place.done()  # refuses a folder that is not ours
    samples = {
        name: _sample(workspace.root / "prepared" / name, MEASURED, recipe.seed) for name in (REFERENCE, *SYNTHETIC)
    }
    found = {name: _values(name, rows, recipe.language) for name, rows in samples.items()}
    worst = _worst(recipe, samples)
    stand_in = bool((read_record(workspace.root / "prepared" / REFERENCE) or {"inputs": {}})["inputs"].get("stand_in"))
    with place.writing() as out:
        report = {**_report(recipe, found, stand_in), "worst": [row for row, _ in worst]}
        write_whole(out / "audit.json", json.dumps(report, indent=1, ensure_ascii=False))
        write_whole(out / "audit.md", markdown(report))
        for key, part in report["measures"].items():
            groups = {_label(name, stand_in): one["shares"] for name, one in part["corpora"].items()}
            write_whole(out / f"{key}.svg", svg(part["title"], part["unit"], part["edges"], groups))
        (out / "worst").mkdir(exist_ok=True)
        for row, utterance in worst:
            write_whole(out / row["file"], utterance.flac)
    log.info("audit: %s", place.path / "audit.md")


def _folder(recipe: Recipe, workspace: Workspace) -> Folder:
    """The output folder; another audit of ours in it is replaced, because prepare has already decided what stands."""
    from asr_analogy.asr.hub import find

    corpora = {name: content(workspace.root / "prepared" / name) for name in (REFERENCE, *SYNTHETIC)}
    inputs: dict[str, Any] = {"corpora": corpora, "checker": digest(find(recipe.checker))}
    inputs |= {"language": recipe.language, "seed": recipe.seed, "sizes": [MEASURED, HEARD, WORST]}
    return workspace.folder("audit", inputs, force=True)


def _sample(folder: Path, count: int, seed: int) -> list[Utterance]:
    """At most `count` utterances of a prepared corpus, drawn by `seed`, in order; one shard in memory at a time."""
    size = lengths(folder)[1]
    chosen = np.sort(np.random.default_rng(seed).permutation(size)[:count])
    found, start = list[Utterance](), 0
    for file in sorted(folder.glob("*.parquet")):
        shard = pq.ParquetFile(file)
        stop = start + shard.metadata.num_rows
        wanted = [int(index) - start for index in chosen if start <= index < stop]
        if wanted:
            for record in shard.read().take(wanted).to_pylist():
                found.append(utterance(record))
        start = stop
    return found


def _values(name: str, rows: Sequence[Utterance], language: str) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {key: [] for key in MEASURES}
    with progress(f"measuring {name}", len(rows)) as advance:
        for row in rows:
            # A recording has no spoken form of its own, so both sides get theirs in the same way.
            for key, value in measure(row.samples(), spoken(row.text, language)).items():
                values[key].append(value)
            advance(1, "")
    return values


def _worst(recipe: Recipe, samples: dict[str, list[Utterance]]) -> list[tuple[dict[str, Any], Utterance]]:
    """The clips of both synthetic corpora that the recogniser understands least, as rows of the report."""
    from asr_analogy.asr.hub import find
    from asr_analogy.asr.listening import listener

    size = recipe.evaluate.batch
    listen = listener(find(recipe.checker), recipe.language, size)
    clips = [(name, row) for name in SYNTHETIC for row in _some(samples[name], recipe.seed)]
    clips.sort(key=lambda pair: pair[1].duration)
    found = list[tuple[dict[str, Any], Utterance]]()
    with progress("listening", len(clips)) as advance:
        for start in range(0, len(clips), size):
            part = clips[start : start + size]
            texts = listen([row.samples() for _, row in part])
            for (name, row), heard in zip(part, texts, strict=True):
                counts = mistakes(row.text, recipe.language, heard)
                if counts.words:
                    line = {"corpus": name, "id": row.id, "cer": round(counts.rate, 2), "text": row.text}
                    line |= {"heard": heard, "voice": row.speaker, "file": f"worst/{name}-{row.id}.flac"}
                    found.append((line, row))
            advance(len(part), "")
    return sorted(found, key=lambda pair: (-pair[0]["cer"], pair[0]["file"]))[:WORST]


def _some(rows: list[Utterance], seed: int) -> list[Utterance]:
    return [rows[index] for index in np.random.default_rng(seed).permutation(len(rows))[:HEARD]]


def _report(recipe: Recipe, found: Found, stand_in: bool) -> dict[str, Any]:
    """Medians, distances and histograms of every measure."""
    measures: dict[str, Any] = {}
    for key, (title, unit) in MEASURES.items():
        groups = {name: values[key] for name, values in found.items()}
        borders = edges(groups)
        corpora = {name: _column(values, groups[REFERENCE], borders) for name, values in groups.items()}
        measures[key] = {"title": title, "unit": unit, "edges": borders, "corpora": corpora}
    return {
        "name": recipe.name,
        "reference": REFERENCE,
        "stand_in": stand_in,
        "checker": recipe.checker,
        "heard": {name: min(HEARD, len(found[name]["duration"])) for name in SYNTHETIC},
        "measures": measures,
    }


def _column(values: Sequence[float], real: Sequence[float], borders: Sequence[float]) -> dict[str, Any]:
    """One corpus in one measure; `distance` is None if one side has no value."""
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    gap = distance(values, real)
    low, high = np.percentile(numbers, [5, 95]) if len(numbers) else (np.nan, np.nan)
    return {
        "clips": len(values),
        "without_value": len(values) - len(numbers),
        "median": median(values),
        "percentiles_5_95": None if not len(numbers) else [round(float(low), 3), round(float(high), 3)],
        "distance": None if np.isnan(gap) else round(gap, 4),
        "shares": shares(values, borders),
    }


def _label(name: str, stand_in: bool) -> str:
    return f"{name} (stand-in)" if stand_in and name == REFERENCE else name


def markdown(report: dict[str, Any]) -> str:
    """The audit as Markdown, with links to its plots and clips."""
    real = _label(REFERENCE, report["stand_in"])
    sizes = [f"{one['clips']} of {name}" for name, one in report["measures"]["duration"]["corpora"].items()]
    heads = ["measure", "unit", real]
    for name in SYNTHETIC:
        heads += [name, "KS"]
    lines = [f"# Audit of {report['name']}: synthetic against real speech", ""]
    lines += [
        f"Medians over {', '.join(sizes)}. KS: Kolmogorov-Smirnov distance to {real}, 0 (alike) to 1 (apart).",
        "",
    ]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for part in report["measures"].values():
        cells = [part["title"], part["unit"], _number(part["corpora"][REFERENCE]["median"], 1)]
        for name in SYNTHETIC:
            cells += [_number(part["corpora"][name]["median"], 1), _number(part["corpora"][name]["distance"], 2)]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *(f"![{part['title']}]({key}.svg)" for key, part in report["measures"].items()), ""]
    heard = " and ".join(f"{count} of {name}" for name, count in report["heard"].items())
    lines += ["## Worst by round trip", "", f"Clips that {report['checker']} misheard most, of {heard}.", ""]
    lines += ["| CER % | clip | voice | text | heard |", "|---|---|---|---|---|"]
    for row in report["worst"]:
        clip = f"[{row['corpus']} {row['id']}]({row['file']})"
        cells = [f"{row['cer']:.0f}", clip, *(row[key].replace("|", "\\|") for key in ("voice", "text", "heard"))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
