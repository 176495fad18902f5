"""README and recipes agree with the code: its commands run, its YAML loads, every recipe loads."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import models
import pytest
import soundfile
import yaml
from finished import finished

from asr_analogy.recipe import Recipe
from asr_analogy.speech.audio import SAMPLE_RATE

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RECIPES = sorted(path for path in (ROOT / "recipes").rglob("*.yaml") if path.parent.name != "foundations")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads(path: Path) -> None:
    assert Recipe.load(path).name == path.stem


def test_two_commands_stand_on_the_first_screen() -> None:
    first_screen = "\n".join(README.splitlines()[:24])
    assert "asr-analogy run recipes/quickstart.yaml" in first_screen
    assert blocks("bash test")[0].strip() in first_screen
    assert "README" in (ROOT / ".ci/run").read_text()


TINY = ("train.steps=2", "train.batch=2", "prepare.sentences=6", "domain.test.limit=3", "general.test.limit=3")


@pytest.mark.parametrize(
    "command", [line for block in blocks("bash") for line in block.replace("\\\n", "").splitlines()]
)
def test_commands_run(command: str, tmp_path: Path) -> None:
    """Each command of README, set-up left to this environment, with a tiny amount of work."""
    program, *arguments = shlex.split(command.rpartition("&&")[2])
    assert Path(program).name == "asr-analogy"
    if "minutes/" in command:
        pytest.skip("needs a hub and recordings; its flags are covered by test_cli")
    if arguments[0] == "run":
        arguments += ["--workspace", str(tmp_path / "w"), *(word for value in TINY for word in ("--set", value))]
    else:
        _supply(tmp_path, "ABC" if arguments[0] == "merge" else "CD")
    cwd = ROOT if arguments[0] == "run" else tmp_path
    done = subprocess.run(
        [sys.executable, "-m", "asr_analogy.cli", *arguments], cwd=cwd, capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr


def _supply(place: Path, names: str) -> None:
    """What the commands name: models, a recording, a test set, finished runs."""
    for name in names:
        kind = "whisper" if name == "D" else "conformer"
        (place / name).symlink_to(ROOT / f"data/foundations/{kind}-micro")
    soundfile.write(place / "meeting.wav", models.clip("The motion was carried."), SAMPLE_RATE)
    (place / "test.jsonl").write_text('{"audio": "meeting.wav", "text": "The motion was carried."}\n')
    for name in ("quickstart", "quickstart-ctc"):
        finished(place / "runs" / name)


def test_the_recipe_it_shows_loads(tmp_path: Path) -> None:
    shown = tmp_path / "shown.yaml"
    shown.write_text(blocks("yaml")[0])
    recipe = Recipe.load(shown)
    assert recipe.base == "data/foundations/whisper-micro"
    assert set(yaml.safe_load(shown.read_text())) == {"name", "base", "voices", "general", "domain", "train", "merge"}
