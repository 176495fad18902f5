"""The panel of an evaluation: the systems that are judged, by name, and the test sets that they are judged on.

Nothing heavy is imported, so that a stage with nothing to do ends at once.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_analogy.asr.hub import find
from asr_analogy.errors import RecipeError
from asr_analogy.recipe import Evaluate, Recipe, shipped
from asr_analogy.speech.corpora import test_sets
from asr_analogy.text.normaliser import Normaliser, normaliser
from asr_analogy.text.terms import Term
from asr_analogy.workspace import Workspace, content, digest, hash_of

BASE, BASELINE, REAL, PROMPTED = "base", "domain-synthetic", "general-real", "prompted"
SYSTEMS = (
    BASE, PROMPTED, REAL, BASELINE, "average", "addition", "joint", "general-mixed", "continued", "merged", "domain-real",
)  # fmt: skip
"""Systems in the order of the table; the last is the oracle. It and the arms beside the analogy's are there if trained."""
MIXTURES = {"average": (REAL, BASELINE, 0.5), "addition": (REAL, BASE, 1.0)}
"""Baselines that are C + scale * (plus - minus): plus, minus, scale. Made when they are to transcribe, and not kept."""
TEST = "test"
"""The test set of models that are judged without a recipe."""


def systems(recipe: Recipe) -> list[str]:
    """The systems that the recipe's table shows."""
    left_out = {"joint", "general-mixed", "continued"} - set(recipe.train.further_arms)
    left_out |= {PROMPTED, *MIXTURES} - set(recipe.evaluate.baselines)
    left_out |= {"domain-real"} if recipe.domain.real is None else set()
    left_out |= {REAL} if recipe.general.vector is not None else set()
    return [name for name in SYSTEMS if name not in left_out]


@dataclass(frozen=True)
class Panel:
    """Who is judged on what: systems in the order of the table, the folders of the models that they are or are made of,
    and the prepared test sets with their kind. Models below `trained` are those that this run finished; `prompt` is what
    the base is told to expect when it is prompted."""

    systems: Sequence[str]
    folders: Mapping[str, Path]
    tests: Mapping[str, str]
    baseline: str
    language: str
    options: Evaluate
    seed: int
    trained: Path | None = None
    prompt: Sequence[str] = ()

    @classmethod
    def of(cls, recipe: Recipe, workspace: Workspace, terms: Sequence[Term] | None = None) -> "Panel":
        """The systems and test sets of a recipe, and the domain's terms, if they are known."""
        trained = workspace.root / "models"
        folders = {name: trained / name for name in SYSTEMS if name not in MIXTURES}
        folders[BASE] = folders[PROMPTED] = find(recipe.base)
        kinds = {name: name.split("-")[0] for name in test_sets(recipe)}
        prompt = [one.term for one in sorted(terms or (), key=lambda one: (-one.count, one.term))]
        options = recipe.evaluate
        return cls(systems(recipe), folders, kinds, BASELINE, recipe.language, options, recipe.seed, trained, prompt)

    @classmethod
    def given(cls, models: Sequence[str], language: str, options: Evaluate, seed: int) -> "Panel":
        """Any models, by folder or hub id, on the one test set TEST; the first is the baseline."""
        folders = dict(zip(distinct(models), map(find, models), strict=True))
        return cls(list(folders), folders, {TEST: "domain"}, next(iter(folders)), language, options, seed)

    def model(self, system: str) -> str:
        """The hash of a system's weights and settings. Raises DataError if a model of this run was never finished."""
        if system not in self.folders:
            plus, minus, scale = MIXTURES[system]
            return hash_of([str(scale), *map(self.model, (self.baseline, plus, minus))])
        folder = self.folders[system]
        return content(folder) if folder.parent == self.trained else digest(folder)

    @property
    def form(self) -> Normaliser:
        """The normaliser of both sides."""
        spellings = self.options.spellings
        return normaliser(self.language, None if spellings is None else shipped(spellings))


def distinct(models: Sequence[str]) -> list[str]:
    """Short names for models: the ends of their paths, as many parts of each as it takes to tell them apart.

    Raises RecipeError for a model that is given twice.
    """
    paths = [Path(model).resolve().parts if Path(model).exists() else Path(model).parts for model in models]
    for depth in range(1, max(map(len, paths), default=0) + 1):
        names = [re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts[-depth:])).strip("-.") for parts in paths]
        if len(set(names)) == len(names):
            return names
    raise RecipeError("--model: a model is given twice; give each once")
