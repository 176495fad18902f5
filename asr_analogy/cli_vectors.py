"""The command line's group `vectors`: one command per verb, no logic. Heavy imports happen inside a command only."""

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from asr_analogy.errors import RecipeError

vectors = typer.Typer(no_args_is_help=True, help=(
    "The store of Synthetic2Real vectors: keep, inspect, share and equip them."
))  # fmt: skip

Shelf = Annotated[
    Path | None,
    typer.Option("--store", help="folder of the store  [default: ASR_ANALOGY_STORE, or the user's data folder]"),
]
Vector = Annotated[str, typer.Argument(help="name of a vector in the store")]
Base = Annotated[str | None, typer.Option(help="the base that the models were fine-tuned from: hub id or folder")]
Force = Annotated[bool, typer.Option(help="replace a vector of that name")]
AsJson = Annotated[bool, typer.Option("--json", help="print machine-readable output on stdout")]
Encoding = Annotated[Literal["exact", "bf16", "int8", "int4", "lowrank"], typer.Option(help="how the numbers are kept")]


@vectors.command(help="Store B - A of a finished run, the difference of two models, or a copy of a stored vector.")
def save(
    name: Vector,
    source: Annotated[
        str | None, typer.Option("--from", help="workspace of a run, or a stored vector to encode anew")
    ] = None,
    plus: Annotated[str | None, typer.Option(help="the model trained on real speech: folder or hub id")] = None,
    minus: Annotated[str | None, typer.Option(help="the model trained on synthetic speech")] = None,
    base: Base = None,
    encoding: Encoding = "exact",
    licence: Annotated[str | None, typer.Option(help="licence of the vector, e.g. cc-by-4.0")] = None,
    measure: Annotated[
        bool, typer.Option(help="transcribe the run's domain test set to record what the encoding costs")
    ] = False,
    force: Force = False,
    store: Shelf = None,
    as_json: AsJson = False,
) -> None:
    from asr_analogy.stages import saving
    from asr_analogy.stages import vectors as stage

    _log()
    shelf, models = stage.open_store(store), {"--plus": plus, "--minus": minus, "--base": base}
    given = [option for option, value in models.items() if value is not None]
    if (source is None) == (not given) or (given and len(given) < 3):
        raise RecipeError(
            "vectors save: give --from WORKSPACE (or a stored vector), or all of --plus, --minus and --base"
        )
    if source is None:
        assert plus and minus and base
        found = saving.save_folders(shelf, name, plus, minus, base, encoding, licence, force)
    else:
        found = saving.save_from(shelf, name, source, encoding, licence, measure, force)
    _show(stage.summary(found.record), as_json)


@vectors.command("list", help="The vectors that are there.")
def list_(store: Shelf = None, as_json: AsJson = False) -> None:
    from asr_analogy.stages import vectors as stage

    shelf = stage.open_store(store)
    found = stage.overview(shelf)
    if as_json:
        print(json.dumps({"store": str(shelf.root), "vectors": found}))
        return
    _table(f"{shelf.root}: {len(found)} vectors", stage.LISTED, stage.listed(found))


@vectors.command(help="What a vector is made from, how large it is, what it did.")
def show(name: Vector, store: Shelf = None, as_json: AsJson = False) -> None:
    from asr_analogy.stages import vectors as stage

    _show(stage.summary(stage.open_store(store).find(name).record), as_json)


@vectors.command(help="Add stored vectors to a model: the model folder --to with the vectors, written to --out.")
def apply(
    names: Annotated[list[str], typer.Argument(metavar="NAME[=WEIGHT]...", help="vectors, each with its own weight")],
    to: Annotated[str, typer.Option(help="the model that gets them: folder or hub id")],
    out: Annotated[Path, typer.Option(help="the folder to write")],
    scale: Annotated[float | None, typer.Option(help="weight of those that name none  [default: 0.3]")] = None,
    base: Base = None,
    force: Annotated[bool, typer.Option(help="replace what was made from other inputs")] = False,
    store: Shelf = None,
    as_json: AsJson = False,
) -> None:
    from asr_analogy.recipe import Merge
    from asr_analogy.stages.equip import equip_folders

    _log()
    weights = equip_folders(to, names, Merge().number if scale is None else scale, out, base, store, force)
    print(json.dumps({"out": str(out), "vectors": weights}) if as_json else f"merged: {out}")


@vectors.command(help="Take a vector out of the store.")
def remove(name: Vector, store: Shelf = None) -> None:
    from asr_analogy.stages import vectors as stage

    stage.open_store(store).remove(name)
    print(f"removed: {name}")


@vectors.command(help="Norms, cosines, overlap and sign conflicts of two or more vectors, by layer and module.")
def compare(
    names: Annotated[list[str], typer.Argument(help="stored names, vector folders, or (with --base) model folders")],
    base: Base = None,
    top: Annotated[float, typer.Option(min=0.01, max=100, help="overlap: share of the largest entries, in %")] = 10.0,
    layers: Annotated[bool, typer.Option(help="show every layer")] = False,
    store: Shelf = None,
    as_json: AsJson = False,
) -> None:
    from asr_analogy.stages import geometry as stage
    from asr_analogy.stages.vectors import open_store

    found = stage.compare(open_store(store), names, base, top)
    if as_json:
        print(json.dumps(found))
        return
    sizes, pairs = stage.compared(found, layers)
    _table("sizes", stage.SIZES, sizes)
    _table(f"pairs (overlap: top {top:g} %; by chance {top / 100:.2f}, conflicts 0.50)", stage.PAIRS, pairs)
    if found["reliability"] is not None:
        print(f"mean cosine {found['mean_cosine']:+.3f}; reliability of their mean {found['reliability']:.3f}")
    print(found["verdict"])


@vectors.command(help="Upload a vector to the Hugging Face Hub, private unless --public.")
def push(
    name: Vector,
    repository: Annotated[str, typer.Argument(help="model repository, e.g. you/synthetic2real-whisper-small")],
    public: Annotated[bool, typer.Option(help="let everybody see a repository that is made now")] = False,
    store: Shelf = None,
) -> None:
    from asr_analogy.stages import vectors as stage

    print(f"pushed: {stage.push(stage.open_store(store), name, repository, public)}")


@vectors.command(help="Fetch a vector from the Hugging Face Hub; it is checked before it appears in the store.")
def pull(
    repository: Annotated[str, typer.Argument(help="model repository that holds a vector")],
    name: Annotated[str | None, typer.Option(help="name in the store  [default: the repository's last word]")] = None,
    revision: Annotated[str | None, typer.Option(help="branch, tag or commit")] = None,
    force: Force = False,
    store: Shelf = None,
    as_json: AsJson = False,
) -> None:
    from asr_analogy.stages import vectors as stage

    _show(stage.summary(stage.pull(stage.open_store(store), repository, name, revision, force).record), as_json)


def _show(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(found))
        return
    from asr_analogy.stages.vectors import described

    for heading, value in described(found):
        print(f"{heading:16} {value}")


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Names stand left, numbers right; only notes may be broken into lines."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in headings:
        words = heading in ("name", "base", "encoding", "note", "group", "vector", "left", "right")
        table.add_column(heading, justify="left" if words else "right", no_wrap=heading != "note")
    for cells in rows:
        table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def _log() -> None:
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    logging.getLogger("asr_analogy").setLevel(logging.INFO)
