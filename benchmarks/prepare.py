"""What prepare costs with the espeak card: seconds, real-time factor and peak memory at so many domain sentences.

    python benchmarks/prepare.py 1000 100000 [--place FOLDER]

The sentences are halves of those in data/text, put together anew, all different. Everything that prepare does is in the
numbers: spoken form, synthesis, checks, FLAC, Parquet (no round trip), the small general corpora (20 sentences) and the
start of the program. Memory is the proportional set size of the whole process tree, sampled five times a second. Prints
one JSON line for each size. An hour of audio takes some 65 MB in FOLDER.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from quickstart import timed

from asr_analogy.recipe import shipped

OTHERS = 20
"""Sentences of the general text and of the test set."""


def halves() -> tuple[list[str], list[str]]:
    """First and second halves of sentences, each once."""
    starts, ends = dict[str, None](), dict[str, None]()
    for name in ("legal", "finance"):
        for line in shipped(f"data/text/{name}.train.txt").read_text(encoding="utf-8").splitlines():
            words = line.split()
            if len(words) > 5:
                starts[" ".join(words[: len(words) // 2])] = ends[" ".join(words[len(words) // 2 :])] = None
    return list(starts), list(ends)


def sentences() -> Iterator[str]:
    """A first half with every second half, no two alike; neighbours have nothing in common."""
    starts, ends = halves()
    for shift in range(len(ends)):
        for number, start in enumerate(starts):
            yield f"{start} {ends[(number + shift) % len(ends)]}"


def recipe(place: Path, count: int) -> Path:
    """A recipe file in `place`, with its texts."""
    with (place / "domain.txt").open("w", encoding="utf-8") as file:
        written = sum(1 for line in islice(sentences(), count) if file.write(line + "\n"))
    if written < count:
        raise SystemExit(f"{count}: no more than {written} different sentences can be made; give fewer")
    for name, source in {"general": "general.train", "test": "general.test"}.items():
        lines = shipped(f"data/text/{source}.txt").read_text(encoding="utf-8").splitlines()
        (place / f"{name}.txt").write_text("\n".join(lines[:OTHERS]) + "\n", encoding="utf-8")
    content = {
        "name": "prepare",
        "base": "data/foundations/whisper-micro",
        "voices": "espeak",
        "general": {"text": str(place / "general.txt"), "real": {"simulate": "office", "voices": "stand-in-train"}},
        "domain": {
            "text": str(place / "domain.txt"),
            "test": {"simulate": "office", "voices": "stand-in-test", "text": str(place / "test.txt")},
        },
    }
    (place / "recipe.yaml").write_text(json.dumps(content))
    return place / "recipe.yaml"


def measured(count: int, where: str | None) -> dict[str, object]:
    with tempfile.TemporaryDirectory(dir=where) as folder:
        file, run = recipe(Path(folder), count), Path(folder) / "run"
        seconds, peak, _ = timed(["prepare", str(file), "--workspace", str(run), "--json"])
        found = [json.loads(path.read_text()) for path in run.glob("prepared/*/summary.json")]
    hours = sum(summary["hours"] for summary in found)
    return {
        "sentences": count,
        "utterances": sum(summary["utterances"] for summary in found),
        "dropped": sum(summary["dropped"] for summary in found),
        "seconds": round(seconds, 1),
        "audio_hours": round(hours, 2),
        "real_time_factor": round(3600 * hours / seconds, 1),
        "peak_mib": round(peak),
        "cores": os.cpu_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("counts", nargs="+", type=int)
    parser.add_argument("--place", help="folder for the audio while it is made (default: that for temporary files)")
    given = parser.parse_args()
    for count in given.counts:
        print(json.dumps(measured(count, given.place)), flush=True)


if __name__ == "__main__":
    main()
