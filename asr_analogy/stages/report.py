"""report: the table that says what the recipe bought, as JSON, Markdown and for the terminal."""

import json
from pathlib import Path
from typing import Any

from asr_analogy.recipe import Recipe
from asr_analogy.text.tables import HEADINGS, TITLES, across, headings, notes, rows, title
from asr_analogy.text.verdict import verdict
from asr_analogy.workspace import Workspace, content, read_record, write_whole

__all__ = ["HEADINGS", "TITLES", "files", "headings", "markdown", "notes", "report", "rows", "title", "verdict"]


def report(recipe: Recipe, workspace: Workspace) -> dict[str, Any]:
    """Write report.json and report.md into `report/` and return the content of the former.

    It costs nothing, so it is written anew every time. Raises DataError if there are no scores yet.
    """
    inputs = {"scores": content(workspace.root / "scores"), "recipe": recipe.model_dump(mode="json")}
    found = _collect(recipe, workspace)
    with workspace.folder("report", inputs, force=True).writing() as out:
        write_whole(out / "report.json", json.dumps(found, indent=1))
        write_whole(out / "report.md", markdown(found))
    return found


def _collect(recipe: Recipe, workspace: Workspace) -> dict[str, Any]:
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
        "name": recipe.name,
        "base": recipe.base,
        "scale": _scale(recipe, workspace),
        "seed": recipe.seed,
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
    return {
        **found,
        **scores,
        "verdict": verdict(scores),
        "recipe": recipe.model_dump(mode="json", exclude_defaults=True),
    }


def _choice(workspace: Workspace) -> Path:
    return workspace.root / "models" / "merged" / "choice.json"


def _scale(recipe: Recipe, workspace: Workspace) -> float:
    """The scale of the merged model, given or chosen."""
    if _choice(workspace).is_file():
        return float(json.loads(_choice(workspace).read_text())["chosen"])
    return recipe.merge.number


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
    lines += [f"Base `{found['base']}`, scale {found['scale']:g}, seed {found['seed']}, {found.get('rate', 'wer').upper()} with normaliser {found['normaliser']} on both sides, "
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
    """Where report.json and report.md stand."""
    return workspace.root / "report" / "report.json", workspace.root / "report" / "report.md"
