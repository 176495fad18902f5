"""asr-analogy: adapt a speech recogniser to a domain from text alone.

merged = C + scale * (B - A), three fine-tunes of one base. Names are imported when first used, so `import asr_analogy`
costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asr_analogy.errors import AnalogyError, DataError, MissingError, RecipeError, ResourceError
    from asr_analogy.recipe import Recipe
    from asr_analogy.stages.evaluate import evaluate
    from asr_analogy.stages.merge import merge, merge_folders
    from asr_analogy.stages.prepare import prepare
    from asr_analogy.stages.report import report
    from asr_analogy.stages.train import train
    from asr_analogy.stages.transcribe import transcribe
    from asr_analogy.vectors.task_vector import TaskVector
    from asr_analogy.workspace import Workspace

_HOMES = {
    "AnalogyError": "errors",
    "DataError": "errors",
    "MissingError": "errors",
    "Recipe": "recipe",
    "RecipeError": "errors",
    "ResourceError": "errors",
    "TaskVector": "vectors.task_vector",
    "Workspace": "workspace",
    "evaluate": "stages.evaluate",
    "merge": "stages.merge",
    "merge_folders": "stages.merge",
    "prepare": "stages.prepare",
    "report": "stages.report",
    "train": "stages.train",
    "transcribe": "stages.transcribe",
}

__all__ = [
    "AnalogyError",
    "DataError",
    "MissingError",
    "Recipe",
    "RecipeError",
    "ResourceError",
    "TaskVector",
    "Workspace",
    "evaluate",
    "merge",
    "merge_folders",
    "prepare",
    "report",
    "train",
    "transcribe",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
