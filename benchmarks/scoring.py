"""The scorer measured: written against spoken text by domain, speed, agreement of the intervals with the truth.

    python benchmarks/scoring.py --data DATA/text           forms of the same sentence, by domain, with the differences
    python benchmarks/scoring.py --speed                    seconds: 10,000 sentences; 10,000 draws over 20,000
                                                            utterances; all scores of two systems on 10,000
    python benchmarks/scoring.py --coverage 2000            coverage of the 95 % interval on simulated tests
    python benchmarks/scoring.py --data DATA/text --whisper beside the English normaliser of transformers

DATA/text holds JSON lines with "text", one file a domain. One JSON line per result.
"""

import argparse
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from asr_analogy.text.normaliser import normaliser
from asr_analogy.text.scores import Scorer
from asr_analogy.text.scoring import NORMALISER, Counts, bootstrap, count_words, normalise, paired_bootstrap, total
from asr_analogy.text.spoken import letters, spoken

LETTERS = "'abcdefghijklmnopqrstuvwxyz"


def lower(text: str) -> str:
    """Lower case without the punctuation that ends a word, as some recognisers write."""
    return re.sub(r"[.,;:!?\"()]+(?=\s|$)|(?<=\s)[\"(]", " ", text).lower()


FORMS: dict[str, Callable[[str], str]] = {
    "spoken": spoken,
    "letters": lambda text: letters(text, LETTERS),
    "lower": lower,
    "twice": normalise,
}


def forms(folder: Path, count: int, shown: int) -> Iterator[dict[str, object]]:
    """By domain: the WER of a perfect recogniser that writes in another form, and the share of sentences that differ."""
    for file in sorted(folder.glob("*.jsonl")):
        rows = [json.loads(line) for line in file.open(encoding="utf-8")]
        rows = random.Random(0).sample(rows, min(count, len(rows))) if count else rows
        domains: dict[str, list[str]] = {}
        for row in rows:
            domains.setdefault(f"{file.stem}/{row['scenario']}" if "scenario" in row else file.stem, []).append(
                row["text"]
            )
        for domain, texts in sorted(domains.items()):
            for name, form in FORMS.items():
                counts = count_words(texts, [form(text) for text in texts])
                wrong = [text for text, one in zip(texts, counts, strict=True) if one.errors]
                share = round(100 * len(wrong) / len(texts), 3)
                yield {"domain": domain, "form": name, "sentences": len(texts), "differ_percent": share,
                       "wer": round(total(counts).rate, 4), "examples": wrong[:shown], "normaliser": NORMALISER}  # fmt: skip


def compare(folder: Path, count: int, shown: int) -> Iterator[dict[str, object]]:
    """How often Whisper's English normaliser tells a text from its own spoken form, and what it drops."""
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    theirs = EnglishTextNormalizer({})
    for file in sorted(folder.glob("*.jsonl")):
        texts = [json.loads(line)["text"] for line in file.open(encoding="utf-8")]
        texts = random.Random(0).sample(texts, min(count, len(texts))) if count else texts
        said = [spoken(text) for text in texts]
        row: dict[str, object] = {"domain": file.stem, "sentences": len(texts)}
        for name, one in (("ours", normalise), ("whisper", theirs)):
            counts = count_words(texts, said, one)
            wrong = [text for text, found in zip(texts, counts, strict=True) if found.errors]
            row |= {
                f"{name}_wer": round(total(counts).rate, 3),
                f"{name}_differ_percent": round(100 * len(wrong) / len(texts), 2),
            }
        row["examples"] = [[text, theirs(text), normalise(text)] for text in wrong[:shown]]
        yield row


def speed(sentences: int, utterances: int, draws: int) -> Iterator[dict[str, object]]:
    lines = [text for file in sorted((Path(__file__).parents[1] / "data/text").glob("*.txt")) for text in file.open()]
    texts = random.Random(0).choices(lines, k=sentences - sentences // 10)
    texts += [
        f"On March {1 + n % 31}, 20{n % 90 + 10} it paid ${n}.5 million under 42 U.S.C. § {n}."
        for n in range(sentences // 10)
    ]
    start = time.perf_counter()
    for text in texts:
        normalise(text)
    yield {"what": "normalise", "sentences": len(texts), "seconds": round(time.perf_counter() - start, 2)}
    ours, theirs = simulated(utterances, 0.15, 1), simulated(utterances, 0.16, 1)
    groups = [f"speaker {n // 40}" for n in range(utterances)]
    own = [f"recording {n // 2}" for n in range(utterances)]
    for name, group in (("utterances", None), ("groups of 40", groups), ("groups of 2", own)):
        start = time.perf_counter()
        paired_bootstrap(ours, theirs, group, draws)
        seconds = round(time.perf_counter() - start, 2)
        yield {"what": "paired bootstrap", "by": name, "utterances": utterances, "draws": draws, "seconds": seconds}
    yield whole(texts, utterances // 2, draws)


def whole(texts: Sequence[str], utterances: int, draws: int) -> dict[str, object]:
    """Everything that stands in scores.json for a baseline and one more system, a word in six of theirs wrong."""
    generator = random.Random(1)
    references = [texts[number % len(texts)] for number in range(utterances)]
    systems = {}
    for name in ("domain-synthetic", "merged"):
        heard = [" ".join("x" if generator.random() < 1 / 6 else word for word in text.split()) for text in references]
        systems[name] = [
            {"id": str(number), "reference": one, "hypothesis": other, "speaker": str(number // 40), "duration": 5.0}
            for number, (one, other) in enumerate(zip(references, heard, strict=True))
        ]
    terms = sorted({word for text in texts for word in text.lower().split() if len(word) > 8})
    scorer = Scorer(normaliser("en"), "domain-synthetic", terms, draws)
    start = time.perf_counter()
    scorer.table(scorer.hear("test", systems), systems)
    seconds = round(time.perf_counter() - start, 2)
    return {
        "what": "scores of two systems",
        "utterances": utterances,
        "terms": len(terms),
        "draws": draws,
        "seconds": seconds,
    }


def simulated(utterances: int, rate: float, seed: int, spread: float = 0.0, size: int = 1) -> list[Counts]:
    """Utterances of 3 to 30 words; groups of `size` share a rate around `rate` when `spread` is given."""
    words = np.random.default_rng(seed).integers(3, 31, utterances)
    generator = np.random.default_rng(seed + int(1e6 * rate))
    level = np.repeat(generator.normal(rate, spread, -(-utterances // size)).clip(0, 1), size)[:utterances]
    wrong = generator.binomial(words, level)
    return [Counts(int(n - k), int(k), 0, 0, int(n)) for n, k in zip(words, wrong, strict=True)]


def coverage(tests: int) -> Iterator[dict[str, object]]:
    """Share of simulated tests whose interval holds the true rate; 200 utterances, or 100 groups of 10."""
    for name, utterances, spread, size in (("utterances", 200, 0.0, 1), ("groups", 1_000, 0.05, 10)):
        groups = [str(n // size) for n in range(utterances)] if size > 1 else None
        hits = 0
        for seed in range(tests):
            interval = bootstrap(simulated(utterances, 0.2, seed, spread, size), groups, draws=1_000, seed=seed)
            hits += interval.low <= 20 <= interval.high
        yield {"what": "coverage", "by": name, "tests": tests, "percent": round(100 * hits / tests, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of JSON lines, one file a domain")
    parser.add_argument("--count", type=int, default=0, help="sentences of each domain (0: all)")
    parser.add_argument("--show", type=int, default=0, help="differences to show")
    parser.add_argument("--whisper", action="store_true", help="compare with Whisper's English normaliser instead")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--small", action="store_true", help="a tiny size, to try the script")
    parser.add_argument("--coverage", type=int, default=0, help="simulated tests")
    options = parser.parse_args()
    found: list[Iterator[dict[str, object]]] = []
    if options.data:
        found.append((compare if options.whisper else forms)(options.data, options.count, options.show))
    if options.speed:
        found.append(speed(500, 1_000, 500) if options.small else speed(10_000, 20_000, 10_000))
    if options.coverage:
        found.append(coverage(options.coverage))
    for rows in found:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
