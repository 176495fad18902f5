"""How long work shows itself: a rich bar on a terminal, now and then a plain line elsewhere. Always on stderr."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger("asr_analogy")

Advance = Callable[[int, str], None]


@contextmanager
def progress(title: str, total: int, start: int = 0, every: float = 10.0) -> Iterator[Advance]:
    """Yield `advance(count, note)`; without a terminal a line appears at most every `every` seconds."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(title, total=total, completed=start, note="")

            def move(count: int, note: str) -> None:
                bars.update(task, advance=count, note=note)

            yield move
        return
    done, said = start, time.monotonic()

    def advance(count: int, note: str) -> None:
        nonlocal done, said
        done += count
        if time.monotonic() - said >= every:
            said = time.monotonic()
            log.info("  %s: %d of %d %s", title, done, total, note)

    yield advance
