"""Does packing harm? The micro Whisper trained packed and unpacked on the same utterances, scored clip by clip.

    asr-analogy prepare recipes/quickstart.yaml --workspace runs/quickstart
    python benchmarks/packing_harm.py runs/quickstart --train domain-synthetic --test domain-test --seeds 1 2 3

Takes a workspace with prepared corpora. Both ways hear as many utterances, in as many steps, at the same rates; each clip is
decoded in a window of its own. One line for every seed, then the difference of the error rates (packed minus unpacked, in
points) with its 95 % interval over utterances, all seeds of an utterance drawn together.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from accelerate.utils import set_seed

from asr_analogy.asr.family import open_recogniser, ready
from asr_analogy.asr.fitting import fit
from asr_analogy.asr.folder import save
from asr_analogy.asr.listening import transcribe
from asr_analogy.asr.packing import planned
from asr_analogy.recipe import Train
from asr_analogy.speech.corpus import Corpus, read_corpus
from asr_analogy.text.scoring import NORMALISER, Counts, count_words, paired_bootstrap, total


def score(base: Path, corpus: Corpus, test: Path, options: Train, seed: int) -> tuple[list[Counts], dict[str, float]]:
    """Word edits of every test utterance after training with `options`, and what the training took."""
    set_seed(seed)
    recogniser = open_recogniser(base, "en")
    texts, durations = [row.text for row in corpus.rows], [row.duration for row in corpus.rows]
    heard, batches = planned(recogniser, corpus, texts, durations, options, seed)
    with tempfile.TemporaryDirectory() as place:
        out = Path(place)
        started = time.perf_counter()
        fit("packed" if options.pack else "unpacked", recogniser, heard, batches, options, out)
        took = {"seconds": round(time.perf_counter() - started, 1), "windows": sum(map(len, batches))}
        save(recogniser, out, base)
        trained = ready(out, "en")
    rows = read_corpus(test)
    return count_words([row.text for row in rows], transcribe(trained, rows, 32)), took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--base", type=Path, default=Path("data/foundations/whisper-micro"))
    parser.add_argument("--train", default="domain-synthetic", help="prepared corpus to train on")
    parser.add_argument("--test", default="domain-test", help="prepared corpus to score on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=86)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=4e-4)
    given = parser.parse_args()
    corpus, test = Corpus(given.workspace / "prepared" / given.train), given.workspace / "prepared" / given.test
    counts: dict[bool, list[Counts]] = {True: [], False: []}
    for seed in given.seeds:
        line: dict[str, object] = {"seed": seed, "utterances": given.steps * given.batch}
        for pack in (True, False):
            options = Train(steps=given.steps, batch=given.batch, rate=given.rate, warmup=10, pack=pack)
            found, took = score(given.base, corpus, test, options, seed)
            counts[pack] += found
            line["packed" if pack else "unpacked"] = {"wer": round(total(found).rate, 2), **took}
        print(json.dumps(line), flush=True)
    groups = [str(number) for _ in given.seeds for number in range(len(counts[True]) // len(given.seeds))]
    interval = paired_bootstrap(counts[True], counts[False], groups)
    difference = total(counts[True]).rate - total(counts[False]).rate
    report = {"difference": round(difference, 2), "interval": [round(interval.low, 2), round(interval.high, 2)]}
    print(json.dumps({**report, "no_harm": interval.low <= 0, "test": given.test, "normaliser": NORMALISER}))


if __name__ == "__main__":
    main()
