"""The report's link to the audit."""

from pathlib import Path

from asr_analogy.stages.report import _audit
from asr_analogy.workspace import Workspace, content, write_whole


def make(workspace: Workspace, name: str, text: str, **inputs: object) -> str:
    with workspace.folder(name, inputs, force=True).writing() as out:
        write_whole(out / "file", text)
    return content(workspace.root / name)


def test_an_audit_is_linked_if_it_is_of_these_corpora(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert _audit(workspace) is None
    corpora = {name: make(workspace, f"prepared/{name}", name) for name in ("general-real", "domain-synthetic")}
    make(workspace, "audit", "", corpora=corpora)
    assert _audit(workspace) == "../audit/audit.md"
    make(workspace, "prepared/general-real", "made again")
    assert _audit(workspace) is None
