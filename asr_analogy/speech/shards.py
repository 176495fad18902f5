"""Shards: the parts in which a corpus is made, by one process or by several at once.

A shard is claimed, written whole and skipped from then on. What it holds depends on its part of the input alone, so the
corpus is the same whoever made which shard.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from asr_analogy.claims import POLL, Claims
from asr_analogy.errors import DataError
from asr_analogy.progress import Advance
from asr_analogy.speech.corpus import Utterance, lengths, write_shard
from asr_analogy.workspace import lines_whole, write_whole

SUMMARY, DROPPED = "summary.json", "dropped.jsonl"

Part = TypeVar("Part")


@dataclass(frozen=True)
class Refused:
    """An utterance that is not made, and why."""

    id: str
    text: str
    source: str
    reason: str


Maker = Callable[[Sequence[Any]], Iterator[Utterance | Refused]]
"""Makes cues or rows of a source into utterances, in order."""
Reject = Callable[[Utterance], str | None]
"""Why an utterance cannot be used, or None."""


@dataclass(frozen=True)
class Job:
    """What shards are made of: `parts` (a pass over the input, anew for every call), the maker, opened when it is first
    needed, and the rule by which utterances are left out."""

    parts: Callable[[], Iterator[list[Any]]]
    open: Callable[[], Maker]
    reject: Reject


def batched(found: Iterable[Part], size: int) -> Iterator[list[Part]]:
    """Lists of `size`, the last one shorter."""
    rest = iter(found)
    while part := list(islice(rest, size)):
        yield part


def write_shards(out: Path, claims: Claims, job: Job, advance: Advance) -> None:
    """Make every shard of a corpus in `out` that is not there and that no other process is making; wait for the others."""
    counted, maker = set[int](), cache(job.open)
    while not finished(out):
        left = list[Path]()
        for number, part in enumerate(job.parts()):
            shard = out / f"{number:05d}"
            if _is_whole(shard):
                advance(0 if number in counted else len(part), "")
            elif not _make(shard, claims, part, maker, job.reject, advance):
                left.append(shard)
                continue
            counted.add(number)
        if not left:
            return
        _wait(left, claims)


def finished(out: Path) -> bool:
    """Whether all shards are made and summed up, by whatever process; the folder may have its final name already."""
    return (out / SUMMARY).exists() or not out.exists()


def _is_whole(shard: Path) -> bool:
    return shard.with_suffix(".dropped").exists() or finished(shard.parent)


def _wait(left: Sequence[Path], claims: Claims) -> None:
    """Wait until a shard is nobody's, or all are whole."""
    while missing := [shard for shard in left if not _is_whole(shard)]:
        if not all(claims.alive(shard.name) for shard in missing):
            return
        time.sleep(POLL)


def _make(
    shard: Path,
    claims: Claims,
    part: Sequence[Any],
    maker: Callable[[], Maker],
    reject: Reject,
    advance: Advance,
) -> bool:
    """Write `shard`.parquet (if anything is left for it), then `shard`.dropped, which says that the shard is whole.

    False if another process has the shard in hand.
    """
    with claims.held(shard.name) as ours:
        if not ours or _is_whole(shard):
            return ours
        kept, dropped = list[Utterance](), list[dict[str, str]]()
        for made in maker()(part):
            reason = made.reason if isinstance(made, Refused) else reject(made)
            if isinstance(made, Utterance) and reason is None:
                kept.append(made)
            else:
                dropped.append({"id": made.id, "text": made.text, "source": made.source, "reason": reason or ""})
            advance(1, "")
        if kept:  # `datasets` cannot read a shard without rows
            write_shard(shard.with_suffix(".parquet"), kept)
        write_whole(shard.with_suffix(".dropped"), "".join(json.dumps(row) + "\n" for row in dropped))
    return True


def sum_up(name: str, out: Path, stand_in: bool, script: Sequence[str], rejected: str) -> None:
    """Write dropped.jsonl and summary.json; what only the making needed (`script` files and the shards' own) is gone
    afterwards. A killed call may be given again.

    Raises DataError if no utterance is left.
    """
    parts = [*out.glob(rejected), *sorted(out.glob("*.dropped"))]
    if not (out / SUMMARY).exists():
        with lines_whole(out / DROPPED) as dropped:
            count = sum(dropped.write(line) > 0 for part in parts for line in part.open(encoding="utf-8"))
        seconds, utterances = lengths(out)
        if not utterances:
            with (out / DROPPED).open(encoding="utf-8") as file:
                first = file.readline()
            why = json.loads(first)["reason"] if first else "there was nothing to prepare"
            raise DataError(f"{name}: none of {count} utterances is usable; the first: {why}")
        summary = {"utterances": utterances, "hours": round(seconds / 3600, 4), "dropped": count}
        write_whole(out / SUMMARY, json.dumps({**summary, "stand_in": stand_in}))
    for part in [*parts, *(out / file for file in script)]:
        part.unlink(missing_ok=True)
