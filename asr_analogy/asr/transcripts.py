"""Transcripts of a whole corpus, made in parts by one process or by several at once, and kept part by part.

A part is claimed, decoded, written whole and skipped from then on, so that a killed call goes on where it stood. Which
clips a part holds depends on the corpus and the batch alone: the transcripts are the same whoever makes which part.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from asr_analogy.asr.cost import memory_errors, peak_memory
from asr_analogy.asr.family import Recogniser
from asr_analogy.asr.listening import transcribe
from asr_analogy.claims import POLL, Claims
from asr_analogy.progress import Advance
from asr_analogy.speech.corpus import Corpus, Utterance
from asr_analogy.workspace import COST, lines_whole, write_whole

HYPOTHESES = "hypotheses.jsonl"

BATCHES, SECONDS = 8, 1800.0
"""Most batches of a part, and most seconds of sound unless one recording is longer: what a killed call loses."""


def parts(durations: Sequence[float], batch: int) -> list[list[int]]:
    """The numbers of all clips, from short to long, in the parts in which they are decoded."""
    found: list[list[int]] = []
    seconds = 0.0
    for number in sorted(range(len(durations)), key=lambda place: durations[place]):
        seconds += durations[number]
        if not found or len(found[-1]) == BATCHES * batch or seconds > SECONDS:
            found.append([])
            seconds = durations[number]
        found[-1].append(number)
    return found


def write_parts(
    out: Path, claims: Claims, recogniser: Recogniser, corpus: Corpus, batch: int, beams: int, prompt: Sequence[str],
    advance: Advance,
) -> None:  # fmt: skip
    """Decode every part that is not in `out` and that no other process has in hand; wait for the others."""
    left = dict(enumerate(parts([row.duration for row in corpus.rows], batch)))
    while left and not _finished(out):
        for number, chosen in list(left.items()):
            file = out / f"{number:05d}.json"
            with claims.held(file.stem) as ours:
                if file.exists() or _finished(out):
                    advance(len(chosen), "")
                elif ours:
                    _decode(file, recogniser, corpus.chosen(chosen), batch, beams, prompt, advance)
                else:
                    continue
            del left[number]
        time.sleep(POLL if left else 0)


def _finished(out: Path) -> bool:
    """Whether all is put together, by whatever process; the folder may have its final name already."""
    return (out / HYPOTHESES).exists() or not out.exists()


def _decode(
    file: Path, recogniser: Recogniser, clips: Corpus, batch: int, beams: int, prompt: Sequence[str], advance: Advance
) -> None:
    started = time.perf_counter()
    with memory_errors(f"try --set evaluate.batch={max(1, batch // 2)}"):
        texts = transcribe(recogniser, clips, batch, beams, prompt, advance)
    cost = {"seconds": time.perf_counter() - started, "peak_mib": peak_memory() / 2**20}
    write_whole(file, json.dumps({"texts": texts, **cost}))


def sum_up(out: Path, corpus: Corpus, batch: int, row: Callable[[Utterance, str], dict[str, Any]]) -> None:
    """Write hypotheses.jsonl, `row` by `row` in the order of the corpus, and cost.json; the parts are gone afterwards.

    A killed call may be given again.
    """
    count = len(parts([utterance.duration for utterance in corpus.rows], batch))
    files = [out / f"{number:05d}.json" for number in range(count)]
    if not (out / HYPOTHESES).exists():
        _join(out, files, corpus, batch, row)
    for file in files:
        file.unlink(missing_ok=True)


def _join(
    out: Path, files: Sequence[Path], corpus: Corpus, batch: int, row: Callable[[Utterance, str], dict[str, Any]]
) -> None:
    durations = [utterance.duration for utterance in corpus.rows]
    texts, seconds, peak = [""] * len(durations), 0.0, 0.0
    for file, chosen in zip(files, parts(durations, batch), strict=True):
        found = json.loads(file.read_text(encoding="utf-8"))
        for place, text in zip(chosen, found["texts"], strict=True):
            texts[place] = text
        seconds, peak = seconds + found["seconds"], max(peak, found["peak_mib"])
    cost = {"seconds": round(seconds, 3), "audio_seconds": round(sum(durations), 3), "peak_mib": round(peak, 1)}
    write_whole(out / COST, json.dumps(cost))
    with lines_whole(out / HYPOTHESES) as lines:
        for utterance, text in zip(corpus.rows, texts, strict=True):
            lines.write(json.dumps(row(utterance, text), ensure_ascii=False) + "\n")
