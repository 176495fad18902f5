"""Experiment trackers by name, through accelerate. Without a name nothing is sent or written."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import LoggerType

from asr_analogy.errors import MissingError, RecipeError
from asr_analogy.recipe import Train


def settings(options: Train, folder: Path) -> dict[str, Any]:
    """What Accelerator needs to know of the tracker; local ones write into `folder`.

    Raises RecipeError for a name that accelerate does not know, MissingError if the tracker's package is not here.
    """
    name = options.tracker
    if name is None:
        return {}
    known = [str(kind) for kind in LoggerType if kind != LoggerType.ALL]
    if name not in known:
        raise RecipeError(f"train.tracker: {name}: no such tracker; known: {', '.join(known)}")
    if name not in [str(kind) for kind in get_available_trackers()]:
        raise MissingError(f"train.tracker: {name}: its package is not installed; pip install {name}")
    return {"log_with": name, "project_dir": folder}


@contextmanager
def tracked(accelerator: Accelerator, arm: str, options: Train) -> Iterator[None]:
    """While entered, `accelerator.log` reaches the tracker, which is told the arm and its plain options."""
    if options.tracker is not None:
        plain: Mapping[str, Any] = options.model_dump(exclude_none=True)
        config = {key: value for key, value in plain.items() if isinstance(value, int | float | str | bool)}
        accelerator.init_trackers(arm, config)
    try:
        yield
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()
