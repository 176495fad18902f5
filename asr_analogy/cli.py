"""The command line: one command per verb, no logic. Heavy imports happen inside a command only."""

import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asr_analogy.cli_vectors import vectors
from asr_analogy.errors import AnalogyError, DataError, Interrupted, RecipeError

if TYPE_CHECKING:
    from asr_analogy.recipe import Recipe
    from asr_analogy.workspace import Step, Workspace

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=(
    "Adapt a speech recogniser to a domain from text alone: merged = C + scale * (B - A)."
))  # fmt: skip

app.add_typer(vectors, name="vectors")

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


def _stage(
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
    from asr_analogy.recipe import Recipe
    from asr_analogy.workspace import Workspace, follower, processes

    _logging(verbose)
    if processes() > 1 and list(names) not in (["train"], ["eval"]):
        raise RecipeError("several processes can only train or eval: give the launcher one of these commands")
    if processes() > 1 and force and "eval" in names:
        raise RecipeError("eval: --force goes with one process; give it to a call of its own")
    recipe = Recipe.load(path, overrides)
    workspace = Workspace(place or Path("runs") / recipe.name)
    if dry_run:
        _show_plan(recipe, workspace, as_json)
        return
    with nullcontext() if join else workspace.locked(*only):  # arms may train side by side
        for name in names:
            _call(name, recipe, workspace, force, only)
    if "report" in names:
        _show_report(workspace, as_json)
    elif as_json and not follower():
        print(json.dumps({"workspace": str(workspace.root), "done": list(names)}))


def _call(name: str, recipe: "Recipe", workspace: "Workspace", force: bool, only: Sequence[str]) -> None:
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
        from asr_analogy.stages.merge import merge

        merge(recipe, workspace, force)
    elif name == "eval":
        from asr_analogy.stages.evaluate import evaluate

        evaluate(recipe, workspace, force)
    else:
        from asr_analogy.stages.geometry import geometry
        from asr_analogy.stages.report import report

        geometry(recipe, workspace)
        report(recipe, workspace)


def _plan(recipe: "Recipe", workspace: "Workspace") -> "list[Step]":
    from asr_analogy.stages import evaluate, merge, prepare, train

    prepared = prepare.estimate(recipe, workspace)
    hours = {step.name.removeprefix("prepared/"): step.audio_hours for step in prepared}
    trained = train.estimate(recipe, workspace, hours)
    return [*prepared, *trained, *merge.estimate(recipe, workspace), *evaluate.estimate(recipe, workspace, hours)]


def _show_plan(recipe: "Recipe", workspace: "Workspace", as_json: bool) -> None:
    steps = _plan(recipe, workspace)
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


def _show_report(workspace: "Workspace", as_json: bool) -> None:
    from asr_analogy.stages.report import files

    found = json.loads(files(workspace)[0].read_text())
    if as_json:
        print(json.dumps(found))
        return
    _show_scores(found)
    print(f"report: {files(workspace)[1]}")


def _show_scores(found: dict[str, Any]) -> None:
    """The tables of all test sets, and the verdict."""
    from asr_analogy.text.tables import across, headings, notes, rows, title
    from asr_analogy.text.verdict import verdict

    for name, test in found["tests"].items():
        _show_table(title(name, test), headings(test), rows(test))
        print("\n".join([*notes(test), ""]))
    print("\n".join([*across(found), verdict(found)]))


def _show_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
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


def _logging(verbose: bool) -> None:
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    from asr_analogy.workspace import follower

    level = logging.WARNING if follower() else logging.INFO  # one of several processes is enough to listen to
    logging.getLogger("asr_analogy").setLevel(logging.DEBUG if verbose else level)


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
        _stage(stages, recipe, set_, workspace, force, dry_run, as_json, verbose)


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
    _stage(stages, recipe, set_, workspace, force, dry_run, as_json, verbose, join=join)


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

    _logging(verbose)
    loaded = Recipe.load(recipe, set_)
    place = Workspace(workspace or Path("runs") / loaded.name)
    with place.locked():
        found = compare(loaded, place, voices.split(","), sentences, listen, _judge if full else None)
    _show_comparison(found, place, as_json)


def _judge(recipe: "Recipe", workspace: "Workspace") -> None:
    """Take a recipe through the stages that end in scores."""
    with workspace.locked():
        for name in STAGES[: STAGES.index("report")]:
            _call(name, recipe, workspace, False, ())


def _show_comparison(found: dict[str, Any], workspace: "Workspace", as_json: bool) -> None:
    from asr_analogy.stages.compare import HEADINGS, rows, title

    if as_json:
        print(json.dumps(found))
        return
    _show_table(title(found), HEADINGS, rows(found))
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
    _stage(["train"], recipe, set_, workspace, force, dry_run, as_json, verbose, arm)


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
        _stage(["merge"], recipe, set_, workspace, force, dry_run, as_json, verbose)
        return
    if vector and (plus or minus):
        raise RecipeError("merge: --vector stands instead of --plus and --minus; give one or the other")
    missing = [name for name, value in folders.items() if value is None]
    if missing:
        raise RecipeError(f"merge: {missing[0]} is missing; give a recipe, or all of --to, --plus, --minus and --out")
    from asr_analogy.recipe import Merge
    from asr_analogy.stages.merge import equip_folders, merge_folders

    _logging(verbose)
    how = Merge.given(set_)
    scale = how.scale if scale is None else scale
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


@app.command(help="Transcribe sound files with a model: text per file, or JSON lines with times.")
def transcribe(
    model: Annotated[str, typer.Argument(help="model folder (e.g. runs/NAME/models/merged) or hub id")],
    files: Annotated[list[Path], typer.Argument(help="sound files, folders of them, or JSON-lines manifests")],
    language: Annotated[str | None, typer.Option(help="language that is spoken  [default: the model's own]")] = None,
    batch: Annotated[int, typer.Option(min=1, help="clips decoded together")] = 32,
    beams: Annotated[int, typer.Option(min=1, help="hypotheses kept; 1 takes the likeliest token every time")] = 1,
    out: Annotated[Path | None, typer.Option(help="write a .jsonl, or the .txt, .srt or .vtt of one recording")] = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    from asr_analogy.stages.transcribe import check_out, write
    from asr_analogy.stages.transcribe import transcribe as hear

    _logging(verbose)
    if out is not None:
        check_out(out)
    found, failed, count = [], [], 0
    for heard in hear(model, files, language, batch, beams):
        count += 1
        if heard.error is not None:
            failed.append(heard.error)
            print(f"asr-analogy: {heard.error}", file=sys.stderr)
        if out is not None:
            found.append(heard)
        elif as_json:
            print(json.dumps(heard.row(), ensure_ascii=False), flush=True)
        elif heard.error is None:
            print(f"{heard.file}\t{heard.text}", flush=True)
    if out is not None:
        write(out, found)
    if failed:
        raise DataError(f"{len(failed)} of {count} files could not be transcribed, the first: {failed[0]}")


@app.command(help="Say what this machine is, what is installed, and which bases fit on it.")
def doctor(as_json: AsJson = False) -> None:
    from asr_analogy.stages.doctor import HEADINGS, facts, rows, title
    from asr_analogy.stages.doctor import doctor as examine

    found = examine()
    if as_json:
        print(json.dumps(found))
        return
    print("\n".join(facts(found)))
    _show_table(title(), HEADINGS, rows(found))


@app.command(
    "eval",
    help="Transcribe and score: a recipe's test sets with base, B, C, merged (and the oracle), or any test set with any "
    "models, given as --test, --model, --model, --out.",
)
def evaluate(
    recipe: Annotated[Path | None, typer.Argument(help="recipe (YAML); leave out to judge any models")] = None,
    test: Annotated[Path | None, typer.Option(help='models: manifest, JSON lines with "audio" and "text" or "keywords"')] = None,
    model: Annotated[list[str], typer.Option(help="models: folder or hub id; the first is the baseline of every difference")] = [],
    out: Annotated[Path | None, typer.Option(help="models: the folder to write")] = None,
    language: Annotated[str | None, typer.Option(help="models: language of the speech  [default: en]")] = None,
    set_: Overrides = [], workspace: Place = None, force: Force = False, dry_run: DryRun = False, as_json: AsJson = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    needed = {"--test": test, "--model": model or None, "--out": out}
    if recipe is not None:
        given = next((name for name, value in {**needed, "--language": language}.items() if value is not None), None)
        if given:
            raise RecipeError(f"eval: {given} judges models without a recipe; leave the recipe or {given} out")
        _stage(["eval"], recipe, set_, workspace, force, dry_run, as_json, verbose)
        return
    missing = next((name for name, value in needed.items() if value is None), None)
    if missing:
        raise RecipeError(f"eval: {missing} is missing; give a recipe, or all of --test, --model and --out")
    if workspace:
        raise RecipeError("eval: --workspace goes with a recipe; models are judged in --out")
    assert test and out
    _logging(verbose)
    _judge_models(test, model, out, language or "en", set_, force, dry_run, as_json)


def _judge_models(
    test: Path, models: Sequence[str], out: Path, language: str, overrides: Sequence[str], force: bool, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    from asr_analogy.recipe import Evaluate, Source
    from asr_analogy.stages.evaluate import evaluate_models
    from asr_analogy.stages.prepare import prepare_test
    from asr_analogy.workspace import Workspace

    options, place = Evaluate.given(overrides), Workspace(out)
    if (out / "models").exists():
        raise RecipeError(
            f"--out {out}: is the workspace of a recipe, whose scores would be replaced; give another folder"
        )
    if dry_run:
        print(f"would transcribe {test} with {', '.join(models)} and write {out}")
        return
    with place.locked():
        prepare_test(Source(manifest=(test,)), place, force)
        found = evaluate_models(models, place, language, options, force=force)
    if as_json:
        print(json.dumps(found))
        return
    _show_scores(found)
    print(f"scores: {out / 'scores' / 'scores.json'}")


@app.command(help="Show the tables and write report.html, report.md and report.json; of several runs, compare them.")
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECIPE|FOLDER...", help="a recipe, the folder of a finished run, or several folders to compare"
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="several folders: where the comparison is written  [default: comparison]")
    ] = None,
    set_: Overrides = [],
    workspace: Place = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    if len(runs) == 1 and not runs[0].is_dir():
        if out is not None:
            raise RecipeError("report: --out goes with several folders; the report of a recipe is in its workspace")
        _stage(["report"], runs[0], set_, workspace, force, dry_run, as_json, verbose)
        return
    given = {"--set": set_, "--workspace": workspace, "--force": force, "--dry-run": dry_run}
    wrong = next((name for name, value in given.items() if value), None)
    if wrong is None and len(runs) == 1 and out is not None:
        wrong = "--out"
    if wrong is not None:
        raise RecipeError(f"report: {wrong} does not go with {'a folder' if len(runs) == 1 else 'several folders'}")
    _logging(verbose)
    _report_folders(runs, out or Path("comparison"), as_json)


def _report_folders(runs: Sequence[Path], out: Path, as_json: bool) -> None:
    from asr_analogy.workspace import Workspace

    if len(runs) == 1:
        from asr_analogy.stages.report import report_again

        place = Workspace(runs[0])
        report_again(place)
        _show_report(place, as_json)
        return
    from asr_analogy.page.overview import sentence, table_of, title
    from asr_analogy.stages.comparison import comparison

    found = comparison(runs, out)
    if as_json:
        print(json.dumps(found))
        return
    headings, rows = table_of(found)
    _show_table(title(found), headings, rows)
    print("\n".join([sentence(found), *found["notes"], f"comparison: {out / 'comparison.html'}"]))


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
