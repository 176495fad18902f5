"""The command line: one command per verb, no logic. Heavy imports happen inside a command only."""

import json
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asr_analogy.cli_judging import judging
from asr_analogy.cli_recipe import (
    STAGES,
    Arms,
    AsJson,
    DryRun,
    Force,
    Overrides,
    Place,
    RecipeFile,
    Verbose,
    run_stage,
    run_stages,
    start_log,
)
from asr_analogy.cli_tables import show_table
from asr_analogy.cli_vectors import vectors
from asr_analogy.errors import AnalogyError, Interrupted, RecipeError

if TYPE_CHECKING:
    from asr_analogy.recipe import Recipe
    from asr_analogy.workspace import Workspace

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=(
    "Adapt a speech recogniser to a domain from text alone: merged = C + scale * (B - A)."
))  # fmt: skip

app.add_typer(vectors, name="vectors")


def _verb(name: str, stages: Sequence[str], text: str) -> None:
    """Register a command that runs these stages of a recipe."""

    @app.command(name, help=text)
    def verb(
        recipe: RecipeFile,
        set_: Overrides = [],
        workspace: Place = None,
        force: Force = False,
        dry_run: DryRun = False,
        as_json: AsJson = False,
        verbose: Verbose = False,
    ) -> None:
        run_stages(stages, recipe, set_, workspace, force, dry_run, as_json, verbose)


_verb("run", STAGES, "Do everything: prepare, train, merge, eval, report. Finished parts are skipped.")


@app.command(help="Speak the texts and read the recordings: the corpora of all arms and tests.")
def prepare(
    recipe: RecipeFile,
    audit: Annotated[bool, typer.Option(help="then measure synthetic against real speech, into audit/")] = False,
    join: Annotated[
        bool, typer.Option(help="help other processes, on machines that share the folder of the run")
    ] = False,
    set_: Overrides = [],
    workspace: Place = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    if join and (force or audit):
        raise RecipeError("prepare: --join goes without --force and --audit; give those to a call of its own")
    stages = ["prepare", "audit"] if audit else ["prepare"]
    run_stages(stages, recipe, set_, workspace, force, dry_run, as_json, verbose, join=join)


@app.command(
    "compare-tts", help="Speak the same sentences with several voice cards and measure them beside real speech."
)
def compare_tts(
    recipe: RecipeFile,
    voices: Annotated[str, typer.Option(metavar="A,B,...", help="voice cards: names or .yaml files")],
    sentences: Annotated[int, typer.Option(min=1, help="sentences that every card speaks")] = 50,
    listen: Annotated[int, typer.Option(min=0, help="keep so many clips of every card to listen to")] = 0,
    full: Annotated[bool, typer.Option(help="also train and merge with every card: WER of C and of merged")] = False,
    set_: Overrides = [],
    workspace: Place = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    from asr_analogy.recipe import Recipe
    from asr_analogy.stages.compare import compare
    from asr_analogy.workspace import Workspace

    start_log(verbose)
    loaded = Recipe.load(recipe, set_)
    place = Workspace(workspace or Path("runs") / loaded.name)
    with place.locked():
        found = compare(loaded, place, voices.split(","), sentences, listen, _judge if full else None)
    _show_comparison(found, place, as_json)


def _judge(recipe: "Recipe", workspace: "Workspace") -> None:
    """Take a recipe through the stages that end in scores."""
    with workspace.locked():
        for name in STAGES[: STAGES.index("report")]:
            run_stage(name, recipe, workspace, False, ())


def _show_comparison(found: dict[str, Any], workspace: "Workspace", as_json: bool) -> None:
    from asr_analogy.stages.compare import HEADINGS, rows, title

    if as_json:
        print(json.dumps(found))
        return
    show_table(title(found), HEADINGS, rows(found))
    print(f"comparison: {workspace.root / 'compare' / 'compare.md'}")


@app.command(help="Fine-tune the base once per arm.")
def train(
    recipe: RecipeFile,
    arm: Arms = [],
    set_: Overrides = [],
    workspace: Place = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    run_stages(["train"], recipe, set_, workspace, force, dry_run, as_json, verbose, arm)


@app.command(
    help="C + scale * (B - A): of a recipe's arms, or of any three model folders with --to, --plus, --minus, --out."
)
def merge(
    recipe: Annotated[Path | None, typer.Argument(help="recipe (YAML); leave out to merge folders")] = None,
    to: Annotated[str | None, typer.Option(help="folders: the model C that the vector is added to")] = None,
    plus: Annotated[str | None, typer.Option(help="folders: the model B, trained on real speech")] = None,
    minus: Annotated[str | None, typer.Option(help="folders: the model A, trained on synthetic speech")] = None,
    scale: Annotated[float | None, typer.Option(help="folders: coefficient on B - A  [default: 0.3]")] = None,
    out: Annotated[Path | None, typer.Option(help="folders: the folder to write")] = None,
    vector: Annotated[list[str], typer.Option(metavar="NAME[=WEIGHT]", help="folders: a stored vector instead of --plus and --minus (may be given again)")] = [],
    rule: Annotated[str | None, typer.Option(help="how the vectors are combined, short for --set merge.rule=ties")] = None,
    base: Annotated[str | None, typer.Option(help="folders: what all were fine-tuned from; the analogy goes without")] = None,
    set_: Overrides = [], workspace: Place = None, force: Force = False, dry_run: DryRun = False, as_json: AsJson = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    folders = {"--to": to, "--out": out} if vector else {"--to": to, "--plus": plus, "--minus": minus, "--out": out}
    set_ = [*set_, f"merge.rule={rule}"] if rule else set_
    if recipe is not None:
        only = {**folders, "--scale": scale, "--vector": vector or None, "--base": base}
        given = [name for name, value in only.items() if value is not None]
        if given:
            raise RecipeError(
                f"merge: {given[0]} merges folders and goes without a recipe; for a recipe use --set merge.scale=0.5"
            )
        run_stages(["merge"], recipe, set_, workspace, force, dry_run, as_json, verbose)
        return
    if vector and (plus or minus):
        raise RecipeError("merge: --vector stands instead of --plus and --minus; give one or the other")
    missing = [name for name, value in folders.items() if value is None]
    if missing:
        raise RecipeError(f"merge: {missing[0]} is missing; give a recipe, or all of --to, --plus, --minus and --out")
    from asr_analogy.recipe import Merge
    from asr_analogy.stages.equip import equip_folders
    from asr_analogy.stages.merge import merge_folders

    start_log(verbose)
    how = Merge.given(set_)
    scale = how.number if scale is None else scale
    if dry_run:
        by = "" if how.rule == "analogy" else f", combined by {how.rule} on {base}"
        print(f"would write {out} = {to} + {scale:g} * ({' + '.join(vector) if vector else f'{plus} - {minus}'}){by}")
        return
    if vector:
        if how.rule != "analogy":
            raise RecipeError(
                "merge: --rule goes with --plus and --minus; a stored vector (--vector) is added as it is"
            )
        assert to and out
        weights = equip_folders(to, vector, scale, out, base, None, force)
        print(json.dumps({"out": str(out), "vectors": weights}) if as_json else f"merged: {out}")
        return
    assert to and plus and minus and out
    merge_folders(to, plus, minus, scale, out, force, base, how)
    print(json.dumps({"out": str(out), "scale": scale}) if as_json else f"merged: {out}")


@app.command(help="Say what this machine is, what is installed, and which bases fit on it.")
def doctor(as_json: AsJson = False) -> None:
    from asr_analogy.stages.doctor import HEADINGS, facts, rows, title
    from asr_analogy.stages.doctor import doctor as examine

    found = examine()
    if as_json:
        print(json.dumps(found))
        return
    print("\n".join(facts(found)))
    show_table(title(), HEADINGS, rows(found))


app.add_typer(judging)


@contextmanager
def _signals() -> Any:
    """Ctrl-C and SIGTERM end a command in the same way."""

    def stop(*_: object) -> None:
        raise Interrupted("stopped; the same command goes on from where it stood")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: user errors end in one line on stderr and the exit code of their kind."""
    run_app: Callable[..., Any] = app
    try:
        with _signals():
            run_app(list(arguments) if arguments is not None else None)
    except AnalogyError as error:
        print(f"asr-analogy: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except MemoryError:
        print(
            "asr-analogy: out of memory; lower train.batch or evaluate.batch, e.g. --set train.batch=4", file=sys.stderr
        )
        sys.exit(5)


if __name__ == "__main__":
    main()
