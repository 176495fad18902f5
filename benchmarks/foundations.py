"""WER of a micro foundation on speech that it has not heard: the scores in its model card.

    python benchmarks/foundations.py data/foundations/conformer-micro --corpus runs/foundation-corpus --data DATA

Held-out sentences in held-out embedded voices (clean, and in the room "office"), and two sets of human recordings.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from asr_analogy.asr.family import ready
from asr_analogy.asr.listening import transcribe
from asr_analogy.recipe import Source
from asr_analogy.speech.sources import rows
from asr_analogy.text.scoring import NORMALISER, bootstrap, count_words, total

Clip = tuple[np.ndarray, str]


def held_out(corpus: Path, name: str) -> list[Clip]:
    pcm = np.fromfile(corpus / f"test-{name}.pcm", np.int16).astype(np.float32) / 32768
    entries = [json.loads(line) for line in (corpus / f"test-{name}.jsonl").read_text().splitlines()]
    return [(pcm[row["start"] : row["start"] + row["count"]], row["text"]) for row in entries]


def human(manifest: Path, split: str) -> list[Clip]:
    return [(row.samples(), row.text) for row in rows(Source(manifest=manifest, where={"split": split}))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--corpus", type=Path, help="folder that recipes/foundations/corpus.py wrote")
    parser.add_argument("--data", type=Path, help="folder that holds human/")
    options = parser.parse_args()
    sets: dict[str, list[Clip]] = {}
    if options.corpus:
        sets = {f"held-out voices, {name}": held_out(options.corpus, name) for name in ("clean", "office")}
    if options.data:
        sets["learner-test"] = human(options.data / "human/learner-test/manifest.jsonl", "test")
        sets["librispeech test-other"] = human(options.data / "human/librispeech/manifest.jsonl", "test-other")
    recogniser = ready(options.model, "en")
    for name, clips in sets.items():
        texts = transcribe(recogniser, [samples for samples, _ in clips], 16)
        counts = count_words([text for _, text in clips], texts)
        interval = bootstrap(counts)
        row = {"set": name, "utterances": len(clips), "words": total(counts).words, "wer": round(total(counts).rate, 2)}
        print(
            json.dumps(row | {"interval": [round(interval.low, 2), round(interval.high, 2)], "normaliser": NORMALISER})
        )


if __name__ == "__main__":
    main()
