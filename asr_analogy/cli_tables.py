"""What commands print: plans, tables, scores."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asr_analogy.workspace import Step, Workspace


def show_plan(steps: "Sequence[Step]", workspace: "Workspace", as_json: bool) -> None:
    """What a run would do, and what that costs."""
    todo = [step for step in steps if not step.done]
    totals = {name: round(sum(getattr(step, name) for step in todo), 2) for name in ("seconds", "megabytes")}
    if as_json:
        print(json.dumps({"workspace": str(workspace.root), "steps": [vars(step) for step in steps], **totals}))
        return
    print(f"{workspace.root}: {len(steps) - len(todo)} of {len(steps)} folders are there")
    for step in steps:
        hours = f"{step.audio_hours:.2f} h" if step.audio_hours else ""
        cost = "" if step.done else f"about {step.seconds:.0f} s, {step.megabytes:.1f} MB"
        print(f"  {'done' if step.done else 'run ':4}  {step.name:38} {hours:>8}  {cost}  {step.detail}".rstrip())
    print(f"to do: about {totals['seconds']:.0f} s on this machine, {totals['megabytes']:.0f} MB of disk")


def show_report(workspace: "Workspace", as_json: bool) -> None:
    """The scores that the report of a workspace holds, and where the page is."""
    from asr_analogy.stages.report import files

    found = json.loads(files(workspace)[0].read_text())
    if as_json:
        print(json.dumps(found))
        return
    show_scores(found)
    print(f"report: {files(workspace)[1]}")


def show_scores(found: dict[str, Any]) -> None:
    """The tables of all test sets, and the verdict."""
    from asr_analogy.text.tables import across, headings, notes, rows, title
    from asr_analogy.text.verdict import verdict

    for name, test in found["tests"].items():
        show_table(title(name, test), headings(test), rows(test))
        print("\n".join([*notes(test), ""]))
    print("\n".join([*across(found), verdict(found)]))


def show_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Names stand left, numbers right; only notes may be broken into lines."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in headings:
        words = heading in ("system", "card", "note", "base", "run", "test")
        table.add_column(heading, justify="left" if words else "right", no_wrap=heading != "note")
    for cells in rows:
        table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else 150).print(table)
