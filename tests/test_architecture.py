"""The house of the package: who may import whom, what may not be used at all."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "asr_analogy"
FILES = sorted(PACKAGE.rglob("*.py"))
GROUND = {"errors", "recipe", "claims", "workspace", "progress"}
LOW = GROUND | {"text", "speech"}
ALLOWED = {
    "errors": set(),
    "progress": {"errors"},
    "recipe": {"errors"},
    "claims": {"errors"},
    "workspace": {"errors", "recipe", "claims"},
    "text": GROUND,
    "speech": LOW,
    "tts": LOW,
    "asr": LOW,
    "vectors": LOW,
    "page": LOW,
    "stages": LOW | {"tts", "asr", "vectors", "page"},
    "cli_tables": LOW | {"stages"},
    "cli_recipe": LOW | {"stages", "cli_tables"},
    "cli_judging": LOW | {"page", "stages", "cli_recipe", "cli_tables"},
    "cli_vectors": LOW | {"stages"},
    "cli": LOW | {"stages", "cli_judging", "cli_recipe", "cli_tables", "cli_vectors"},
    "__main__": {"cli"},
    "__init__": LOW | {"stages", "vectors"},
}


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imported(path: Path) -> set[tuple[str, str]]:
    """(room, module) of every import of our own package, at whatever depth of the code it stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "asr_analogy" and len(parts) > 1:
                found.add((parts[1], parts[2] if len(parts) > 2 else ""))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    own = room(path)
    for other, module in imported(path):
        if other == own:
            assert own != "stages" or module == path.stem, f"{path.name} imports another stage: {module}"
        else:
            assert other in ALLOWED[own], f"{own} may not import {other} ({path})"


def test_only_asr_knows_families() -> None:
    families = ("WhisperForConditionalGeneration", "Wav2Vec2ConformerForCTC")
    for path in FILES:
        if room(path) != "asr":
            assert not any(name in path.read_text() for name in families), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_forbidden_calls(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in {
                "yaml.load",
                "eval",
                "exec",
                "torch.save",
                "torch.load",
                "pickle.load",
                "pickle.loads",
            }, f"{path}: {name}"
            assert name != "print" or path.name.startswith("cli"), f"{path}: print outside cli"
        if isinstance(node, ast.keyword):
            assert node.arg != "trust_remote_code", path


def test_rooms_have_no_junk_drawers() -> None:
    assert not [path for path in FILES if path.stem in {"utils", "common", "manager", "base", "helpers"}]


def test_import_and_help_are_light() -> None:
    code = (
        "import sys, asr_analogy, asr_analogy.cli\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
