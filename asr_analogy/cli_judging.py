"""The commands that judge: eval, transcribe, report. No logic; heavy imports happen inside a command only."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from asr_analogy.cli_recipe import AsJson, DryRun, Force, Overrides, Place, Verbose, run_stages, start_log
from asr_analogy.cli_tables import show_report, show_scores, show_table
from asr_analogy.errors import DataError, RecipeError

judging = typer.Typer()


@judging.command(
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
        run_stages(["eval"], recipe, set_, workspace, force, dry_run, as_json, verbose)
        return
    missing = next((name for name, value in needed.items() if value is None), None)
    if missing:
        raise RecipeError(f"eval: {missing} is missing; give a recipe, or all of --test, --model and --out")
    if workspace:
        raise RecipeError("eval: --workspace goes with a recipe; models are judged in --out")
    assert test and out
    start_log(verbose)
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
    show_scores(found)
    print(f"scores: {out / 'scores' / 'scores.json'}")


@judging.command(
    help="Show the tables and write report.html, report.md and report.json; of several runs, compare them."
)
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
        run_stages(["report"], runs[0], set_, workspace, force, dry_run, as_json, verbose)
        return
    given = {"--set": set_, "--workspace": workspace, "--force": force, "--dry-run": dry_run}
    wrong = next((name for name, value in given.items() if value), None)
    if wrong is None and len(runs) == 1 and out is not None:
        wrong = "--out"
    if wrong is not None:
        raise RecipeError(f"report: {wrong} does not go with {'a folder' if len(runs) == 1 else 'several folders'}")
    start_log(verbose)
    _report_folders(runs, out or Path("comparison"), as_json)


def _report_folders(runs: Sequence[Path], out: Path, as_json: bool) -> None:
    from asr_analogy.workspace import Workspace

    if len(runs) == 1:
        from asr_analogy.stages.report import report_again

        place = Workspace(runs[0])
        report_again(place)
        show_report(place, as_json)
        return
    from asr_analogy.page.overview import sentence, table_of, title
    from asr_analogy.stages.comparison import comparison

    found = comparison(runs, out)
    if as_json:
        print(json.dumps(found))
        return
    headings, rows = table_of(found)
    show_table(title(found), headings, rows)
    print("\n".join([sentence(found), *found["notes"], f"comparison: {out / 'comparison.html'}"]))


@judging.command(help="Transcribe sound files with a model: text per file, or JSON lines with times.")
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

    start_log(verbose)
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
