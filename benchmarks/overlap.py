"""Does it merge better what overlaps less? Sums of every two fine-tunes of a leave-one-out workspace, and what each loses.

    asr-analogy run recipes/quickstart-leave-one-out.yaml --workspace runs/overlap
    python benchmarks/overlap.py runs/overlap [--clips 100] [--scale 1.0]

Fine-tunes: of each source domain on real and on synthetic speech, and of the target on synthetic speech. The task of each is
real (stand-in) speech of its domain that no fine-tune has heard. For every pair theta_0 + scale (tau_1 + tau_2) is scored on
the tasks of both: `lost` is its WER minus that of the fine-tune alone, in points, mean of the two. One JSON line per pair,
then Spearman's rank correlation of `lost` with cosine and with overlap of the largest 10 % entries.
"""

import argparse
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from asr_analogy.asr.family import Recogniser, ready
from asr_analogy.asr.folder import anatomy
from asr_analogy.asr.hub import find
from asr_analogy.asr.listening import transcribe
from asr_analogy.recipe import Recipe
from asr_analogy.speech.corpus import Corpus, Utterance, read_corpus
from asr_analogy.speech.domains import domains, held_out
from asr_analogy.text.scoring import count_words, total
from asr_analogy.vectors.difference import Difference
from asr_analogy.vectors.geometry import measure
from asr_analogy.vectors.task_vector import TaskVector

BATCH = 32


def tasks(recipe: Recipe, root: Path, clips: int) -> dict[str, list[Utterance]]:
    """Domain -> speech of it that nothing was trained on."""
    place = root / "prepared/general-real"
    rows = read_corpus(place, ["id", "text", "source"])
    found = {}
    for domain in domains(recipe):
        ids = held_out(rows, domain)
        found[domain.name] = list(Corpus(place).ordered([row.id for row in rows if row.id in ids][:clips]))
    return {**found, "target": read_corpus(root / "prepared/domain-test")[:clips]}


def wer(recogniser: Recogniser, rows: list[Utterance]) -> float:
    texts = transcribe(recogniser, rows, BATCH)
    return total(count_words([row.text for row in rows], texts)).rate


def ranks(values: list[float]) -> np.ndarray:
    """Ranks without a rule for ties: measured numbers hardly tie."""
    return np.argsort(np.argsort(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--recipe", default="recipes/quickstart-leave-one-out.yaml")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    recipe, root = Recipe.load(given.recipe), given.workspace
    base, models = find(recipe.base), root / "models"
    arms = {
        domain.arm(corpus): domain.name
        for domain in domains(recipe)
        for corpus in ("general-real", "general-synthetic")
    }
    arms["domain-synthetic"] = "target"
    sets = tasks(recipe, root, given.clips)
    plain = ready(base, recipe.language)
    start = {name: wer(plain, rows) for name, rows in sets.items()}
    alone = {arm: wer(ready(models / arm, recipe.language), sets[task]) for arm, task in arms.items()}
    print(json.dumps({"base": start, "alone": alone}), flush=True)
    vectors = {arm: TaskVector.between(base, models / arm) for arm in arms}
    lines = []
    for one, other in combinations(arms, 2):
        sides = {name: Difference.between(base, models / name, *anatomy(base)) for name in (one, other)}
        pair = measure(sides)["groups"]["all"]["pairs"][0]
        model = ready(base, recipe.language)
        moved = (vectors[one] + vectors[other]) * given.scale
        with torch.no_grad():
            for name, value in model.model.named_parameters():
                if name in moved:
                    value.add_(moved[name].to(value.dtype))
        sums = {arm: wer(model, sets[arms[arm]]) for arm in (one, other)}
        lost = [sums[arm] - alone[arm] for arm in (one, other)]
        line = {"one": one, "other": other, "cosine": round(pair["cosine"], 3), "overlap": round(pair["overlap"], 3)}
        lines.append({**line, "conflict": round(pair["conflict"], 3), "lost": round(float(np.mean(lost)), 2)})
        print(json.dumps(lines[-1]), flush=True)
    lost = ranks([line["lost"] for line in lines])
    found = {
        key: round(float(np.corrcoef(ranks([line[key] for line in lines]), lost)[0, 1]), 2)
        for key in ("cosine", "overlap")
    }
    print(json.dumps({"pairs": len(lines), "clips": given.clips, "spearman_of_lost_with": found}))


if __name__ == "__main__":
    main()
