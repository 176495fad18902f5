"""What a recipe with a stored vector prepares: no corpus for A and B, and the domain's sentences without general text."""

import json
from pathlib import Path
from typing import Any

import pytest

from asr_analogy.errors import RecipeError
from asr_analogy.recipe import Recipe
from asr_analogy.speech.corpora import corpora
from asr_analogy.speech.script import held_out, read_script, write_script
from asr_analogy.stages.audit import audit
from asr_analogy.stages.compare import compare
from asr_analogy.workspace import Workspace

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight")


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "text.txt").write_text(
        "".join(f"The committee heard witness {word} in the room.\n" for word in NUMBERS)
    )
    (tmp_path / "test.txt").write_text("The judge was late.\n")
    test = {"simulate": "meeting-room", "text": str(tmp_path / "test.txt"), "voices": "stand-in-test"}
    domain = {"text": str(tmp_path / "text.txt"), "test": test}
    return {
        "name": "short",
        "base": "x/y",
        "general": {"vector": "ready"},
        "domain": domain,
        "prepare": {"sentences": 4},
    }


def test_only_c_and_the_tests_are_prepared(data: dict[str, Any]) -> None:
    real = {"simulate": "meeting-room", "text": data["domain"]["text"], "voices": "stand-in-train"}
    for general in ({}, {"real": real}, {"real": real, "text": "x.txt"}):
        recipe = Recipe.model_validate({**data, "general": {**data["general"], **general}})
        assert [corpus.name for corpus in corpora(recipe)] == ["domain-synthetic", "domain-test"]
    recipe = Recipe.model_validate({**data, "general": {"real": real}})
    assert {"general-real", "general-synthetic"} <= {corpus.name for corpus in corpora(recipe)}


def test_sentences_are_an_even_choice(data: dict[str, Any], tmp_path: Path) -> None:
    recipe = Recipe.model_validate(data)
    write_script(recipe, corpora(recipe)[0], tmp_path, lambda: held_out(recipe))
    spoken = [cue.text.split()[4] for cue in read_script(tmp_path)]
    assert spoken == ["one", "three", "five", "seven"]


def test_what_needs_general_speech_says_so(data: dict[str, Any], tmp_path: Path) -> None:
    recipe = Recipe.model_validate({**json.loads(json.dumps(data)), "base": "data/foundations/whisper-micro"})
    with pytest.raises(RecipeError, match="a recipe with general.vector has neither"):
        audit(recipe, Workspace(tmp_path / "w"))
    with pytest.raises(RecipeError, match="leave general.vector out"):
        compare(recipe, Workspace(tmp_path / "w"), ["espeak"], 2, 0, None)
