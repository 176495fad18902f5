"""How good each way to choose merge.scale is: WER on the test set at its scale against the best scale of a grid.

    asr-analogy train recipes/quickstart-leave-one-out.yaml --workspace runs/choosing      (after prepare; arms only)
    python benchmarks/choosing.py recipes/quickstart-leave-one-out.yaml runs/choosing

Looks at the test set only to score the choosers, along the scales 0, 0.1, ..., 1.5 and those that were chosen. One JSON
line for the curve, then one for each chooser: `relative_gap` is in percent of the best scale's WER (aim: 2 at most), the
interval that of the paired difference to it in points. `--choosers dev,entropy` takes only these, `--limit 20` so many
utterances of the test set, `--step 0.5` a coarser grid.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from asr_analogy.recipe import CHOOSERS, Recipe
from asr_analogy.speech.corpus import Corpus
from asr_analogy.stages.choose import PLACE, A, B, C, Jury, choose
from asr_analogy.text.scoring import Counts, bootstrap, paired_bootstrap, total
from asr_analogy.vectors.curve import Point
from asr_analogy.workspace import Workspace


def chosen(recipe: Path, root: Path, scratch: Path, chooser: str) -> tuple[Point, float]:
    """What a chooser takes, with the seconds it needs; its workspace shares the corpora and models of `root`."""
    place = Workspace(scratch / chooser)
    place.root.mkdir(parents=True)
    for name in ("prepared", "models"):
        (place.root / name).symlink_to(root.resolve() / name)
    started = time.perf_counter()
    choose(Recipe.load(recipe, [f"merge.scale={chooser}"]), place)
    found = json.loads((place.root / PLACE / "choice.json").read_text())
    return Point(found["chosen"], found["where"]), time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", type=Path)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--choosers", default=",".join(CHOOSERS))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--step", type=float, default=0.1)
    options = parser.parse_args()
    test = Corpus(options.workspace / "prepared" / "domain-test")
    test = test.chosen(range(len(test))[: options.limit])
    with tempfile.TemporaryDirectory() as folder:
        jury = Jury(
            Recipe.load(options.recipe, ["merge.scale=metagpt"]), Workspace(options.workspace), Path(folder) / "heard"
        )

        def counts(point: Point) -> list[Counts]:
            heard = jury.audition.hear(point.name, jury.weights(C, [(B, A)], point), {"domain-test": test})
            return jury.counts(test, heard["domain-test"].texts)

        grid = [round(number * options.step, 4) for number in range(int(1.5 / options.step + 1e-9) + 1)]
        curve = {scale: counts(Point(scale)) for scale in grid}
        rates = {scale: total(found).rate for scale, found in curve.items()}
        best = min(rates, key=lambda scale: (rates[scale], scale))
        shown = {str(scale): round(rate, 3) for scale, rate in rates.items()}
        print(json.dumps({"utterances": len(test), "curve": shown, "best_scale": best}), flush=True)
        for chooser in options.choosers.split(","):
            point, seconds = chosen(options.recipe, options.workspace, Path(folder), chooser)
            found = counts(point)
            own, gap = bootstrap(found), paired_bootstrap(found, curve[best])
            row = {"chooser": chooser, "chosen": point.scale, "by_tensor": point.where is not None}
            row |= {"wer": round(total(found).rate, 3), "interval": [round(own.low, 3), round(own.high, 3)]}
            row |= {"best_scale": best, "best_wer": round(rates[best], 3), "wer_of_c": round(rates[0.0], 3)}
            row |= {"relative_gap": round(100 * (total(found).rate / rates[best] - 1), 2)}
            row |= {"difference_interval": [round(gap.low, 3), round(gap.high, 3)], "utterances": len(test)}
            print(json.dumps({**row, "seconds": round(seconds, 1)}), flush=True)


if __name__ == "__main__":
    main()
