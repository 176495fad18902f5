from dataclasses import replace
from pathlib import Path

import models
import pytest
import torch
from accelerate.utils import set_seed
from runs import same

from asr_analogy.asr import fitting, stopping
from asr_analogy.asr.batching import plan
from asr_analogy.asr.family import open_recogniser
from asr_analogy.asr.fitting import fit
from asr_analogy.errors import DataError, Interrupted, RecipeError
from asr_analogy.recipe import Recipe, Train
from asr_analogy.stages.train import train
from asr_analogy.workspace import Workspace


def run(base: Path, out: Path, held_out: list, **given: object) -> tuple:
    options = Train.model_validate(
        {"precision": "fp32", "batch": 2, "warmup": 1, "rate": 0.01, "steps": 20, "patience": 2, **given}
    )
    out.mkdir(exist_ok=True)
    set_seed(1)
    recogniser, rows = open_recogniser(base, "en"), models.utterances()
    batches = plan([row.duration for row in rows], 2, options.steps, 1)
    return recogniser, fit("an-arm", recogniser, rows, batches, options, out, held_out=held_out)


@pytest.mark.parametrize("family", models.FAMILIES)
def test_the_weights_that_did_best_are_kept(family: str, tmp_path: Path) -> None:
    # What is looked at says something else than what is learnt, so the loss must rise in the end.
    base = models.tiny(family, tmp_path / "base")
    held_out = [replace(row, text="zebra quiz") for row in models.utterances()[:2]]
    recogniser, metrics = run(base, tmp_path / "out", held_out, rate=0.05, steps=60)
    looks = [line["held_out_loss"] for line in metrics if "held_out_loss" in line]
    best = looks.index(min(looks))
    assert len(looks) == best + 3 and len(metrics) == 3 * len(looks) < 60  # two looks in vain, then the end
    again, _ = run(base, tmp_path / "two", held_out, rate=0.05, steps=60, patience=60)
    assert same(recogniser, again)  # the same weights, had it gone on to the end


def test_a_stop_and_a_resume_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, held_out = models.tiny("whisper", tmp_path / "base", dropout=0.2), models.utterances()[:2]
    expected, metrics = run(base, tmp_path / "one", held_out)
    count = fitting._count

    def stop(job: fitting.Job, line: dict, seconds: float) -> None:
        count(job, line, seconds)
        if job.state.step == 7:
            job.save()
            raise Interrupted("cut off")

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(fitting, "_count", stop)
        run(base, tmp_path / "two", held_out)
    resumed, again = run(base, tmp_path / "two", held_out)
    assert same(resumed, expected) and again == metrics


def test_the_stage_keeps_the_same_sentences_out_of_both_arms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = models.tiny("whisper", tmp_path / "base")
    models.prepare(tmp_path / "run")
    found: dict[str, tuple[set[str], set[str]]] = {}
    plain = fitting.fit

    def seen(arm: str, recogniser: object, clips: list, batches: list, *rest: object) -> list:
        found[arm] = ({clips[index].id for batch in batches for index in batch}, {row.id for row in rest[-1]})
        return plain(arm, recogniser, clips, batches, *rest)

    monkeypatch.setattr(fitting, "fit", seen)
    recipe: Recipe = models.recipe(base, train={"precision": "fp32", "steps": 4, "patience": 1, "pack": False})
    train(recipe, Workspace(tmp_path / "run"))
    heard, out = found["general-real"]
    assert out == found["general-synthetic"][1] and out and not out & heard
    assert not any(held & ids for ids, held in found.values())


def test_how_many_are_kept_out() -> None:
    ids = [f"{number:05d}" for number in range(10_000)]
    assert len(stopping.kept_out(ids)) == stopping.MOST and len(stopping.kept_out(ids[:40])) == 2
    assert stopping.kept_out(ids[:2]) < set(ids[:2]) and stopping.kept_out([*ids[:9], *ids[:9]]) == stopping.kept_out(
        ids[:9]
    )
    with pytest.raises(DataError, match="two utterances"):
        stopping.kept_out(["a", "a"])


def test_what_does_not_go_together() -> None:
    with pytest.raises(ValueError, match="average and patience each choose"):
        Train(average="ema", patience=2)
    with pytest.raises(RecipeError, match="patience"):
        Recipe.load("recipes/quickstart.yaml", ["train.patience=0"])


def test_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    base = models.tiny("whisper", tmp_path / "base")
    recogniser = open_recogniser(base, "en")
    state = stopping.State(3, [{}])
    look = stopping.Stopping(recogniser, models.utterances()[:1], Train(batch=2, patience=1), state)
    with pytest.raises(DataError, match="held-out utterances is nan at step 3"):
        look.note(float("nan"))
    assert torch.stack(list(look.losses(fitting._autocast(Train(precision="fp32"))))).isfinite().all()
