"""WER over the scale, from the arms of a finished workspace: how the scale of a shipped recipe was chosen, on dev sentences.

    asr-analogy train recipes/quickstart.yaml --workspace runs/dev --set domain.test.text=data/text/legal.dev.txt ...
    python benchmarks/scale_curve.py runs/dev 0 0.25 0.5 0.75 1

Scores every system of the analogy on `prepared/domain-test` and `prepared/general-test` of that workspace, which must then
hold dev sentences. Also scores two rivals of the vector: average(B, C) and A.
"""

import json
import sys
import tempfile
from pathlib import Path

from asr_analogy.asr.family import ready
from asr_analogy.asr.listening import transcribe
from asr_analogy.speech.corpus import read_corpus
from asr_analogy.stages.merge import merge_folders
from asr_analogy.text.scoring import count_words, total


def wer(folder: Path, corpus: Path, batch: int = 32) -> float:
    recogniser = ready(folder, "en")
    utterances = read_corpus(corpus)
    texts = transcribe(recogniser, utterances, batch)
    return round(total(count_words([utterance.text for utterance in utterances], texts)).rate, 2)


def main() -> None:
    root, scales = Path(sys.argv[1]), [float(value) for value in sys.argv[2:]]
    tests = [path for path in (root / "prepared/domain-test", root / "prepared/general-test") if path.is_dir()]
    a, b, c = (root / "models" / name for name in ("general-synthetic", "general-real", "domain-synthetic"))
    with tempfile.TemporaryDirectory() as place:
        systems = {"A": a, "B": b, "C": c}
        for scale in scales:
            systems[f"C + {scale:g} (B - A)"] = Path(place) / f"{scale:g}"
            merge_folders(c, b, a, scale, Path(place) / f"{scale:g}")
        systems["average(B, C)"] = Path(place) / "average"
        merge_folders(c, b, c, 0.5, Path(place) / "average")
        for name, folder in systems.items():
            print(json.dumps({"system": name, **{test.name: wer(folder, test) for test in tests}}), flush=True)


if __name__ == "__main__":
    main()
