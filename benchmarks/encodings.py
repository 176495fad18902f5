"""Size and WER change of every encoding of a run's Synthetic2Real vector, on C at the run's scale.

    python benchmarks/encodings.py runs/quickstart            # whole domain test set
    python benchmarks/encodings.py runs/quickstart 50 0.6     # 50 utterances, scale 0.6 (a run that is not merged yet)

One JSON line per encoding: bytes, times smaller than fp32, share of the norm that is lost, WER, its change against the
exact vector, words, seconds to encode and to equip. One word more or less is 100 / words points.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from asr_analogy.asr.family import ready
from asr_analogy.asr.folder import anatomy, copy_settings
from asr_analogy.asr.listening import transcribe
from asr_analogy.speech.corpus import read_corpus
from asr_analogy.text.scoring import count_words, total
from asr_analogy.vectors.difference import Difference
from asr_analogy.vectors.encodings import ENCODINGS
from asr_analogy.vectors.equip import equip
from asr_analogy.vectors.record import Foundation
from asr_analogy.vectors.store import Store
from asr_analogy.workspace import read_record

BATCH = 32


def wer(folder: Path, corpus: Path, limit: int | None) -> tuple[float, int]:
    """Corpus WER in % on an even choice of `limit` utterances, and how many words they hold."""
    everything = list(read_corpus(corpus))
    step = max(1, len(everything) // (limit or len(everything)))
    utterances = everything[::step][:limit]
    recogniser = ready(folder, "en")
    texts = transcribe(recogniser, utterances, BATCH)
    counts = total(count_words([utterance.text for utterance in utterances], texts))
    return counts.rate, counts.words


def main() -> None:
    root, limit = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None
    a, b, c = (root / "models" / name for name in ("general-synthetic", "general-real", "domain-synthetic"))
    merged = (read_record(root / "models" / "merged") or {"inputs": {}})["inputs"]
    scale = float(sys.argv[3]) if len(sys.argv) > 3 else merged["scale"]
    parts, exact = anatomy(c), None
    with tempfile.TemporaryDirectory() as place:
        store, base = Store(Path(place) / "store"), Foundation(id="benchmark", tensors={})
        for encoding in ENCODINGS:
            started = time.perf_counter()
            vector = store.save(
                encoding, Difference.between(a, b, *parts), encoding, base, {}, {}, {"encoding": encoding}
            )
            encoded = time.perf_counter()
            out = Path(place) / f"model-{encoding}"
            out.mkdir()
            copy_settings(c, out)
            equip(c, [(encoding, vector, scale)], out, *parts)
            equipped = time.perf_counter()
            rate, words = wer(out, root / "prepared" / "domain-test", limit)
            exact = rate if exact is None else exact
            record = vector.record
            line = {"encoding": encoding, "scale": scale, "bytes": record.size, "lost": round(record.error, 5)}
            line["times_smaller"] = round(record.exact_size / record.size, 2)
            line |= {"wer": round(rate, 3), "wer_change": round(rate - exact, 3), "words": words}
            line |= {"encode_s": round(encoded - started, 2), "equip_s": round(equipped - encoded, 2)}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
