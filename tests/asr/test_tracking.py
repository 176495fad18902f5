from pathlib import Path

import models
import pytest
from accelerate.tracking import get_available_trackers
from runs import fitted

from asr_analogy.asr.tracking import settings
from asr_analogy.errors import MissingError, RecipeError
from asr_analogy.recipe import Train


def test_nothing_is_tracked_by_default(tmp_path: Path) -> None:
    assert settings(Train(), tmp_path) == {} and Train().tracker is None


def test_trackers_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"train\.tracker: tensorbord: no such tracker; known: .*tensorboard"):
        settings(Train(tracker="tensorbord"), tmp_path)
    absent = next(name for name in ("comet_ml", "clearml", "aim") if name not in map(str, get_available_trackers()))
    with pytest.raises(MissingError, match=rf"train\.tracker: {absent}: its package is not installed; pip install"):
        settings(Train(tracker=absent), tmp_path)


def test_tensorboard_gets_the_metrics(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="neither tensorboard nor tensorboardX is installed")
    base = models.tiny("conformer", tmp_path / "base")
    plain, metrics = fitted(base, tmp_path / "one", models.utterances(), steps=2)
    tracked, same_metrics = fitted(base, tmp_path / "out", models.utterances(), steps=2, tracker="tensorboard")
    assert metrics == same_metrics
    (events,) = (tmp_path / "out" / "an-arm").glob("events.*")
    assert b"grad_norm" in events.read_bytes()
