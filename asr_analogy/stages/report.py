"""report: what the recipe bought, as a page (HTML), Markdown, JSON and for the terminal."""

import json
from pathlib import Path
from typing import Any

from asr_analogy.errors import DataError
from asr_analogy.page.build import page
from asr_analogy.recipe import Recipe
from asr_analogy.text.tables import across, headings, notes, rows, title
from asr_analogy.text.verdict import verdict
from asr_analogy.workspace import Workspace, content, hash_of, read_record, write_whole

FILES = ("report.json", "report.md", "report.html")
FORMAT = 1
"""Of the three files: a report of another one is made again."""


def report(recipe: Recipe, workspace: Workspace) -> dict[str, Any]:
    """Write report.html, report.md and report.json into `report/` and return the content of the last.

    Skipped if it was made from the folders as they are. Raises DataError if there are no scores yet.
    """
    changed = recipe.model_dump(mode="json", exclude_defaults=True)
    return _write(recipe.model_dump(mode="json"), changed, workspace)


def report_again(workspace: Workspace) -> dict[str, Any]:
    """The report of a folder with scores, whose recipe is known only by what an earlier report kept of it.

    Raises DataError if there are no scores.
    """
    if not scored(workspace.root):
        raise DataError(f"{workspace.root}: holds no scores; give a recipe or the folder of a run that was evaluated")
    file = workspace.root / "report" / "report.json"
    record = read_record(file.parent) or {"inputs": {}}
    earlier = json.loads(file.read_text(encoding="utf-8")) if record["inputs"] and file.is_file() else {}
    settings = record["inputs"].get("recipe") or {"name": workspace.root.resolve().name}
    return _write(settings, earlier.get("recipe") or {}, workspace)


def scored(root: Path) -> bool:
    """Whether a folder is a workspace that was evaluated."""
    return read_record(root / "scores") is not None and (root / "scores" / "scores.json").is_file()


def _write(settings: dict[str, Any], changed: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    records = sorted(file for file in workspace.root.rglob("run.json") if file.parent.name != "report")
    inputs = {"scores": content(workspace.root / "scores"), "recipe": settings, "format": FORMAT}
    inputs |= {"folders": hash_of(file.read_bytes() for file in records)}
    place = workspace.folder("report", inputs, force=True)
    record = read_record(place.path)
    if record is not None and record["inputs"] == place.inputs and all((place.path / name).is_file() for name in FILES):
        return json.loads((place.path / FILES[0]).read_text(encoding="utf-8"))
    found = _collect(settings, changed, workspace)
    with place.writing() as out:
        write_whole(out / "report.json", json.dumps(found, indent=1))
        write_whole(out / "report.md", markdown(found))
        write_whole(out / "report.html", page(found, workspace.root))
    return found


def _collect(settings: dict[str, Any], changed: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """What is known of the run; `changed` holds the settings that are not at their default."""
    scores = json.loads((workspace.root / "scores" / "scores.json").read_text())
    stages: dict[str, float] = {}
    for place in ("prepared", "models", "hypotheses", "scores"):
        for record in sorted((workspace.root / place).rglob("run.json")):
            name = str(record.parent.relative_to(workspace.root))
            stages[name] = (read_record(record.parent) or {}).get("seconds", 0.0)
    corpora = {
        path.parent.name: json.loads(path.read_text())
        for path in sorted(workspace.root.glob("prepared/*/summary.json"))
    }
    origin = read_record(workspace.root / "scores") or {}
    found = {
        "name": settings["name"],
        "base": settings.get("base", "unknown"),
        "scale": _scale(settings, workspace),
        "seed": settings.get("seed", origin.get("inputs", {}).get("seed")),
        "language": settings.get("language") or _language(workspace),
        "corpora": corpora,
        "audit": _audit(workspace),
    }
    found |= {
        "seconds": stages,
        "versions": origin.get("versions"),
        "commit": origin.get("commit"),
        "machine": origin.get("machine"),
    }
    found |= {"choice": json.loads(_choice(workspace).read_text())} if _choice(workspace).is_file() else {}
    geometry = workspace.root / "geometry" / "geometry.json"
    found |= {"geometry": json.loads(geometry.read_text())} if geometry.is_file() else {}
    return {**found, **scores, "verdict": verdict(scores), "recipe": changed}


def _language(workspace: Workspace) -> str:
    """The language that the transcripts were made in, English if they do not say."""
    for file in sorted(workspace.root.glob("hypotheses/*/*/run.json")):
        found = (read_record(file.parent) or {"inputs": {}})["inputs"].get("language")
        if found:
            return str(found)
    return "en"


def _scale(settings: dict[str, Any], workspace: Workspace) -> float | None:
    """The scale the product was merged with, or the one asked for; None if neither is known as a number."""
    merged = read_record(workspace.root / "models" / "merged") or {"inputs": {}}
    scale = merged["inputs"].get("scale", settings.get("merge", {}).get("scale"))
    if _choice(workspace).is_file():
        scale = json.loads(_choice(workspace).read_text())["chosen"]
    return scale if isinstance(scale, int | float) else None


def _choice(workspace: Workspace) -> Path:
    return workspace.root / "models" / "merged" / "choice.json"


def choice(found: dict[str, Any]) -> str:
    """A line on how the scale was chosen (choice.json of the merged model)."""
    text = f"The scale, {found['chosen']:g}, was chosen by {found['by']}"
    curve, here = found["curve"], min(found["curve"], key=lambda row: abs(row["scale"] - found["chosen"]))
    if here["wer"] is not None:
        text += f" on {found['utterances']} utterances: {here['wer']:.2f} % WER there, {curve[0]['wer']:.2f} at scale 0"
    elif here["entropy"] is not None:
        text += f" on {found['utterances']} utterances: of {len(curve)} candidates the one most certain of its output"
    else:
        text += ", from the weights alone"
    if found["max_forgetting"] is not None:
        text += f"; general.dev {here['general_wer']:.2f} % WER, within {found['max_forgetting']:g} points of the base"
    return text + "."


def _audit(workspace: Workspace) -> str | None:
    """Where the audit of these very corpora stands, seen from the report; None if there is none."""
    record = read_record(workspace.root / "audit")
    measured = record["inputs"].get("corpora", {}) if record else {}
    now = {name: (read_record(workspace.root / "prepared" / name) or {}).get("content") for name in measured}
    return "../audit/audit.md" if measured and measured == now else None


def markdown(found: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = [f"# {found['name']}", "", found["verdict"], ""]
    scale = "" if found["scale"] is None else f", scale {found['scale']:g}"
    rate = found.get("rate", "wer").upper()
    lines += [f"Base `{found['base']}`{scale}, seed {found['seed']}, {rate} with normaliser {found['normaliser']} on both sides, "
              f"{found['draws']} bootstrap draws by {found['group']}.", ""]  # fmt: skip
    lines += [choice(found["choice"]), ""] if "choice" in found else []
    for name, test in found["tests"].items():
        names = headings(test)
        lines += [f"## {title(name, test)}", "", "| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
        lines += ["| " + " | ".join(row) + " |" for row in rows(test)] + [""]
        lines += [f"- {line}" for line in notes(test)] + [""]
    lines += [line + "\n" for line in across(found)]
    lines += geometry(found["geometry"]) if "geometry" in found else []
    lines += ["## Corpora", "", "| corpus | utterances | hours | dropped | |", "|---|---|---|---|---|"]
    for name, corpus in found["corpora"].items():
        kind = "stand-in" if corpus["stand_in"] else ""
        lines.append(f"| {name} | {corpus['utterances']} | {corpus['hours']:.2f} | {corpus['dropped']} | {kind} |")
    if found.get("audit"):
        lines += ["", f"How far the synthetic speech is from the real, measure by measure: [audit]({found['audit']})."]
    lines += [
        "",
        "S / D / I: substituted, deleted, inserted words. Raw WER: without normaliser. The difference is paired over utterances.",
    ]
    return "\n".join(lines) + "\n"


def geometry(found: dict[str, Any]) -> list[str]:
    """The section on how the domain's vector and the Synthetic2Real vector lie to one another; None without meaning."""
    left, right = found["vectors"]
    lines = ["## Geometry", "", found["verdict"], ""]
    lines += [
        f"| part | {left}, % of base | {right}, % of base | cosine | overlap | sign conflicts |",
        "|---|---|---|---|---|---|",
    ]
    for name, part in found["groups"].items():
        if not name.startswith("layer "):
            shares = [part["sizes"][label]["relative"] for label in (left, right)]
            pair = part["pairs"][0]
            numbers = [
                *(None if share is None else 100 * share for share in shares),
                pair["cosine"],
                pair["overlap"],
                pair["conflict"],
            ]
            lines.append(f"| {name} | " + " | ".join("" if one is None else f"{one:.3f}" for one in numbers) + " |")
    top = found["top"]
    return [
        *lines,
        "",
        f"Overlap: of the {top:g} % largest entries of each tensor; by chance {top / 100:.2f}, and conflicts 0.50.",
        "",
    ]


def files(workspace: Workspace) -> tuple[Path, Path]:
    """Where report.json and report.html stand."""
    return workspace.root / "report" / "report.json", workspace.root / "report" / "report.html"
