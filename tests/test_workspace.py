"""The workspace: whole folders or none, skip or refuse, and what happens when the machine fails in the middle."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr_analogy.errors import DataError, RecipeError, ResourceError
from asr_analogy.workspace import (
    RECORD,
    Folder,
    Workspace,
    content,
    digest,
    first_difference,
    hash_of,
    read_record,
    write_whole,
)

INPUTS = {"text": hash_of(["a"]), "seed": 1, "path": Path("a/b"), "nested": {"steps": 5}}


def fill(place: Folder, text: str = "hello") -> None:
    with place.writing() as out:
        (out / "sub").mkdir(exist_ok=True)
        (out / "sub" / "a.txt").write_text(text)
        (out / "b.txt").write_text(text)


def tree(root: Path) -> dict[str, bytes]:
    """Every file below root but run.json's, whose seconds vary."""
    return {
        str(file.relative_to(root)): file.read_bytes()
        for file in root.rglob("*")
        if file.is_file() and file.name != RECORD
    }


def test_written_then_done(tmp_path: Path) -> None:
    place = Workspace(tmp_path).folder("models/a", INPUTS)
    assert not place.done() and not place.path.exists()
    fill(place)
    assert place.done()
    record = json.loads((place.path / RECORD).read_text())
    assert record["inputs"]["path"] == "a/b" and record["inputs"]["nested"] == {"steps": 5}
    assert record["files"] == {"b.txt": digest(place.path / "b.txt"), "sub/a.txt": digest(place.path / "sub" / "a.txt")}
    assert {"seconds", "versions", "commit", "machine"} <= record.keys()
    assert sorted(tree(tmp_path)) == ["models/a/b.txt", "models/a/sub/a.txt"]  # nothing hidden stays behind


def test_content_depends_on_files_alone(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for name, text in {"a": "hello", "b": "hello", "c": "other"}.items():
        fill(workspace.folder(name, {"name": name}), text)
    assert content(tmp_path / "a") == content(tmp_path / "b") != content(tmp_path / "c")
    with pytest.raises(DataError, match="none: not finished; run the stage"):
        content(tmp_path / "none")


@pytest.mark.parametrize(
    ("inputs", "difference"),
    [
        ({**INPUTS, "seed": 2}, "seed: 1 -> 2"),
        ({**INPUTS, "nested": {"steps": 6}}, "nested.steps: 5 -> 6"),
        ({**INPUTS, "more": True}, "more: nothing -> True"),
        ({key: value for key, value in INPUTS.items() if key != "seed"}, "seed: 1 -> nothing"),
        ({**INPUTS, "text": hash_of(["b"])}, f"text: {hash_of(['a'])[:12]}... -> {hash_of(['b'])[:12]}..."),
    ],
)
def test_other_inputs_are_refused_by_name_and_replaced_by_force(tmp_path: Path, inputs: dict, difference: str) -> None:
    workspace = Workspace(tmp_path)
    fill(workspace.folder("a", INPUTS))
    with pytest.raises(RecipeError) as caught:
        workspace.folder("a", inputs).done()
    assert f"made from other inputs ({difference}); --force replaces it" in str(caught.value)
    forced = workspace.folder("a", inputs, force=True)
    assert not forced.done()
    fill(forced, "new")
    assert tree(tmp_path) == {"a/b.txt": b"new", "a/sub/a.txt": b"new"}
    assert workspace.folder("a", inputs).done()


def test_force_makes_again_what_is_the_same(tmp_path: Path) -> None:
    fill(Workspace(tmp_path).folder("a", INPUTS))
    assert not Workspace(tmp_path).folder("a", INPUTS, force=True).done()


def test_long_values_are_shown_where_they_differ() -> None:
    old, new = "x" * 100 + "left" + "y" * 100, "x" * 100 + "right" + "y" * 100
    difference = first_difference({"k": old}, {"k": new})
    assert difference and "left" in difference and "right" in difference and len(difference) < 120
    assert first_difference({"k": [1, 2]}, {"k": [1, 2]}) is None


def test_foreign_folder_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.txt").write_text("mine")
    for record in (None, "{}", "[1]", "{half"):
        if record is not None:
            (tmp_path / "a" / RECORD).write_text(record)
        for force in (False, True):
            with pytest.raises(RecipeError, match="was not made by asr-analogy .*move it away"):
                Workspace(tmp_path).folder("a", INPUTS, force).done()
    assert (tmp_path / "a" / "thesis.txt").read_text() == "mine"


def test_a_file_that_went_missing_is_noticed(tmp_path: Path) -> None:
    place = Workspace(tmp_path).folder("a", INPUTS)
    fill(place)
    (place.path / "sub" / "a.txt").unlink()
    with pytest.raises(DataError, match="a/sub/a.txt: is gone since it was made; --force"):
        place.done()


def test_partial_folder_is_kept_for_the_same_inputs_only(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)

    def stop(inputs: dict) -> None:
        with pytest.raises(KeyboardInterrupt), workspace.folder("a", inputs).writing() as out:
            (out / "first").write_text("1")
            (out / "second.part").write_text("half")
            raise KeyboardInterrupt

    stop(INPUTS)
    assert not (tmp_path / "a").exists()
    with workspace.folder("a", INPUTS).writing() as out:
        assert (out / "first").read_text() == "1"
        assert not (out / "second.part").exists()
    assert sorted(tree(tmp_path / "a")) == ["first"]
    stop({"seed": 9})
    with workspace.folder("a", {"seed": 8}, force=True).writing() as out:
        assert not (out / "first").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from asr_analogy import workspace
where, call = sys.argv[1:]
calls = {"rename": (Path, "rename"), "write": (workspace, "write_whole"), "digest": (workspace, "digest"),
         "unlink": (Path, "unlink"), "sync": (workspace, "sync")}
owner, name = calls[call.rstrip("0123456789")]
real, left = getattr(owner, name), [int(call.lstrip("abcdefghijklmnopqrstuvwxyz") or 1)]
def last(*arguments, **options):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)
place = workspace.Workspace(Path(where)).folder("a", {"seed": 2}, force=True)
with place.writing() as out:
    (out / "first").write_text("1")
    setattr(owner, name, last)
    workspace.write_whole(out / "second", "2")
raise SystemExit("was not killed")
"""


@pytest.mark.parametrize("call", ["write", "digest2", "write2", "unlink", "sync3", "rename", "rename2"])
def test_kill_at_any_moment(tmp_path: Path, call: str) -> None:
    """SIGKILL while a folder is replaced: the old one or none or the new one, whole; the next call ends the same."""
    workspace = Workspace(tmp_path)
    with workspace.folder("a", {"seed": 1}).writing() as out:
        (out / "old").write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), call], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    if (tmp_path / "a").exists():
        record = read_record(tmp_path / "a")
        assert record and sorted(record["files"]) == sorted(tree(tmp_path / "a"))
    place = workspace.folder("a", {"seed": 2}, force=True)
    with place.writing() as out:
        assert (out / "first").read_text() == "1"  # what the killed call finished is still there
        write_whole(out / "second", "2")
    assert tree(tmp_path) == {"a/first": b"1", "a/second": b"2"}
    assert workspace.folder("a", {"seed": 2}).done()


def test_two_processes_at_once(tmp_path: Path) -> None:
    code = "import sys, pathlib; from asr_analogy.workspace import Workspace\n"
    code += "with Workspace(pathlib.Path(sys.argv[1])).locked():\n    print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        refusal = rf"another run \(process {other.pid}\) is working here"
        with pytest.raises(ResourceError, match=refusal), Workspace(tmp_path).locked():
            pytest.fail("both hold the workspace")
        with Workspace(tmp_path.parent / "elsewhere").locked():
            pass
        other.kill()
        other.wait()
        with Workspace(tmp_path).locked():
            assert (tmp_path / ".lock").read_text() == str(os.getpid())
    with Workspace(tmp_path).locked():
        pass


@pytest.mark.parametrize("name", ["..", "../x", "/etc/x", ".", "", "a/../../x"])
def test_paths_that_leave_the_workspace(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecipeError, match="leaves the workspace"):
        Workspace(tmp_path / "w").folder(name, {})


def test_a_link_that_leaves_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "out").symlink_to(tmp_path)
    with pytest.raises(RecipeError, match="leaves the workspace"):
        Workspace(tmp_path / "w").folder("out/x", {})


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    point = tmp_path / "tiny"
    point.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(point)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("cannot mount a tmpfs here")
    yield point
    subprocess.run(["umount", "-l", str(point)], check=True)


def big(place: Folder) -> None:
    with place.writing() as out:
        for index in range(8):
            write_whole(out / f"{index}", bytes([index]) * 300_000)


def test_disk_full(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(ResourceError, match=r"run/a: disk full; what was finished is kept.*--workspace") as caught:
        big(Workspace(tiny / "run").folder("a", INPUTS))
    assert caught.value.exit_code == 5
    assert not (tiny / "run" / "a").exists()
    elsewhere = Workspace(tmp_path / "run")
    big(elsewhere.folder("a", INPUTS))
    assert elsewhere.folder("a", INPUTS).done() and len(tree(tmp_path / "run")) == 8
    subprocess.run(["mount", "-o", "remount,size=4m", str(tiny)], check=True)
    big(Workspace(tiny / "run").folder("a", INPUTS))  # room was made: the same command ends the same
    assert tree(tiny / "run") == tree(tmp_path / "run")


def test_read_only_disk(tiny: Path) -> None:
    workspace = Workspace(tiny / "run")
    fill(workspace.folder("a", INPUTS))
    subprocess.run(["mount", "-o", "remount,ro", str(tiny)], check=True)
    with pytest.raises(ResourceError, match="read-only file system"), workspace.locked():
        pass
    with pytest.raises(ResourceError, match="b: read-only file system"):
        fill(workspace.folder("b", INPUTS))
    assert workspace.folder("a", INPUTS).done()  # what is there can still be read


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_forbidden_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ResourceError, match="no permission to write"):
        fill(Workspace(tmp_path / "run").folder("a", INPUTS))
    tmp_path.chmod(0o700)


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    for root in (tmp_path / "run", tmp_path / "run" / "below"):
        with pytest.raises(ResourceError, match="a file stands where a folder is needed"), Workspace(root).locked():
            pass


def test_hash_of_keeps_parts_apart() -> None:
    hashes = {hash_of(parts) for parts in (["ab"], ["a", "b"], ["", "ab"], ["ab", ""], [])}
    assert len(hashes) == 5 and hash_of(["é"]) == hash_of(["é".encode()])


def test_digest_of_a_folder_sees_names_and_contents(tmp_path: Path) -> None:
    seen = set()
    for name, text in [("a", "1"), ("a", "2"), ("b", "2")]:
        (tmp_path / "f").mkdir(exist_ok=True)
        for file in (tmp_path / "f").iterdir():
            file.unlink()
        (tmp_path / "f" / name).write_text(text)
        seen.add(digest(tmp_path / "f"))
    assert len(seen) == 3


def test_parts_of_a_workspace_side_by_side(tmp_path: Path) -> None:
    one, two = Workspace(tmp_path), Workspace(tmp_path)
    with one.locked("general-real"), two.locked("general-synthetic", "domain-synthetic"):
        with pytest.raises(ResourceError, match="another run"), Workspace(tmp_path).locked("general-real"):
            pytest.fail("both hold the arm")
        with pytest.raises(ResourceError, match="another run"), Workspace(tmp_path).locked():
            pytest.fail("one holds an arm, another the whole")
    with one.locked(), pytest.raises(ResourceError, match="another run"), two.locked("general-real"):
        pytest.fail("one holds the whole, another an arm")
