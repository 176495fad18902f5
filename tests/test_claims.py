"""Claims: one process holds a part, the dead and the silent lose theirs, nobody takes a live one."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from asr_analogy.claims import Claims

HOLD = """
import sys
from pathlib import Path
from asr_analogy.claims import Claims
with Claims(Path(sys.argv[1]), touch=0.05).held("a") as ours:
    print(ours, flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "True\n"
    return process


def write(folder: Path, age: float, **owner: object) -> Path:
    """A claim that was last touched so many seconds ago."""
    path = folder / "a.claim"
    path.write_text(json.dumps(owner))
    os.utime(path, (time.time() - age,) * 2)
    return path


def ours(claims: Claims) -> bool:
    with claims.held("a") as found:
        return found


def test_a_live_claim_is_respected_and_a_dead_one_taken_over(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    with holder(tmp_path) as other:
        assert not ours(claims)
        assert claims.holders() == [f"process {other.pid} on {socket.gethostname()}"]
        with claims.held("b") as found:
            assert found and claims.alive("b") and len(claims.holders()) == 1
        other.kill()
        other.wait()
        assert claims.holders() == [] and ours(claims)
    assert not list(tmp_path.iterdir())


def test_a_claim_ends_with_its_block(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        other.communicate("")
    assert not list(tmp_path.iterdir())


def test_another_host_loses_its_claim_when_it_falls_silent(tmp_path: Path) -> None:
    claims = Claims(tmp_path, stale=60)
    write(tmp_path, 50, host="elsewhere", pid=1)
    assert not ours(claims) and claims.holders() == ["process 1 on elsewhere"]
    write(tmp_path, 70, host="elsewhere", pid=1)
    assert ours(claims)
    write(tmp_path, 70, host=socket.gethostname(), pid=os.getpid())  # of a process before us with our number
    assert ours(claims)
    write(tmp_path, 0).write_text("")  # being written
    assert not ours(claims)


def test_a_claim_is_touched_while_it_is_held(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        changed = (tmp_path / "a.claim").stat().st_mtime
        time.sleep(2)
        assert (tmp_path / "a.claim").stat().st_mtime > changed + 1
        assert not ours(Claims(tmp_path, stale=1.5))
        other.communicate("")


def test_a_claim_that_was_taken_over_is_left_alone(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    with claims.held("a"):
        write(tmp_path, 0, host="elsewhere", pid=2)
    assert claims.holders() == ["process 2 on elsewhere"]


def test_once(tmp_path: Path) -> None:
    done, claims = list[str](), Claims(tmp_path)
    with holder(tmp_path) as other:
        waiting = threading.Thread(target=claims.once, args=("a", lambda: bool(done), lambda: done.append("us")))
        waiting.start()
        time.sleep(0.5)
        assert done == []
        other.kill()
        other.wait()
        waiting.join(30)
    assert done == ["us"]
    claims.once("a", lambda: True, lambda: done.append("again"))
    assert done == ["us"]


def test_no_folder_no_claim(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "gone")
    assert not ours(claims) and not claims.alive("a") and claims.holders() == []
