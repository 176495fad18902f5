"""What commands on a recipe share: their options, and how they run its stages. Heavy imports happen inside a function only."""

import json
import logging
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asr_analogy.cli_tables import show_plan, show_report
from asr_analogy.errors import RecipeError

if TYPE_CHECKING:
    from asr_analogy.recipe import Recipe
    from asr_analogy.workspace import Step, Workspace

RecipeFile = Annotated[
    Path, typer.Argument(help="recipe (YAML); a shipped one may be named, e.g. recipes/quickstart.yaml")
]
Overrides = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="override a recipe key, e.g. --set merge.scale=0.5")
]
Place = Annotated[Path | None, typer.Option(help="folder of the run  [default: runs/<recipe name>]")]
Force = Annotated[bool, typer.Option(help="replace what was made from other inputs")]
DryRun = Annotated[bool, typer.Option(help="print the plan and its cost, do nothing, load no weights")]
AsJson = Annotated[bool, typer.Option("--json", help="print machine-readable output on stdout")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="say more on stderr")]
Arms = Annotated[list[str], typer.Option("--arm", help="train only this arm (may be given again)")]

STAGES = ("prepare", "train", "merge", "eval", "report")


def run_stages(
    names: Sequence[str],
    path: Path,
    overrides: Sequence[str],
    place: Path | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
    verbose: bool,
    only: Sequence[str] = (),
    join: bool = False,
) -> None:
    """Run these stages of the recipe in `path`, or show the plan of all of them."""
    from asr_analogy.recipe import Recipe
    from asr_analogy.workspace import Workspace, follower, processes

    start_log(verbose)
    if processes() > 1 and list(names) not in (["train"], ["eval"]):
        raise RecipeError("several processes can only train or eval: give the launcher one of these commands")
    if processes() > 1 and force and "eval" in names:
        raise RecipeError("eval: --force goes with one process; give it to a call of its own")
    recipe = Recipe.load(path, overrides)
    workspace = Workspace(place or Path("runs") / recipe.name)
    if dry_run:
        show_plan(plan(recipe, workspace), workspace, as_json)
        return
    with nullcontext() if join else workspace.locked(*only):  # arms may train side by side
        for name in names:
            run_stage(name, recipe, workspace, force, only)
    if "report" in names:
        show_report(workspace, as_json)
    elif as_json and not follower():
        print(json.dumps({"workspace": str(workspace.root), "done": list(names)}))


def run_stage(name: str, recipe: "Recipe", workspace: "Workspace", force: bool, only: Sequence[str]) -> None:
    """Run one stage; of train `only` these arms, if any are named."""
    if name == "prepare":
        from asr_analogy.stages.prepare import prepare

        prepare(recipe, workspace, force)
    elif name == "audit":
        from asr_analogy.stages.audit import audit

        audit(recipe, workspace, force)
    elif name == "train":
        from asr_analogy.stages.train import train

        train(recipe, workspace, only, force)
    elif name == "merge":
        _merge(recipe, workspace, force)
    elif name == "eval":
        from asr_analogy.stages.evaluate import evaluate

        evaluate(recipe, workspace, force)
    else:
        from asr_analogy.stages.geometry import geometry
        from asr_analogy.stages.report import report

        geometry(recipe, workspace)
        report(recipe, workspace)


def _merge(recipe: "Recipe", workspace: "Workspace", force: bool) -> None:
    """Equip C with the stored vector if the recipe names one, else choose the scale if need be and merge the arms."""
    if recipe.general.vector is not None:
        from asr_analogy.stages.equip import equip

        equip(recipe, workspace, force)
        return
    from asr_analogy.stages.choose import choose
    from asr_analogy.stages.merge import merge

    choose(recipe, workspace, force)
    merge(recipe, workspace, force)


def plan(recipe: "Recipe", workspace: "Workspace") -> "list[Step]":
    """The folders that a run consists of, done or to do."""
    from asr_analogy.stages import choose, equip, evaluate, merge, prepare, train

    prepared = prepare.estimate(recipe, workspace)
    hours = {step.name.removeprefix("prepared/"): step.audio_hours for step in prepared}
    trained = train.estimate(recipe, workspace, hours)
    merged = merge.estimate(recipe, workspace) if recipe.general.vector is None else equip.estimate(recipe, workspace)
    chosen = choose.estimate(recipe, workspace, hours)
    return [*prepared, *trained, *chosen, *merged, *evaluate.estimate(recipe, workspace, hours)]


def start_log(verbose: bool) -> None:
    """Let the package's log be read on stderr."""
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    from asr_analogy.workspace import follower

    level = logging.WARNING if follower() else logging.INFO  # one of several processes is enough to listen to
    logging.getLogger("asr_analogy").setLevel(logging.DEBUG if verbose else level)
