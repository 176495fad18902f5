"""Finished runs made by hand: scores as the contract has them, transcripts, clips; no model anywhere."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from asr_analogy.recipe import Recipe
from asr_analogy.speech.audio import SAMPLE_RATE, encode
from asr_analogy.speech.corpus import Utterance, write_shard
from asr_analogy.text.normaliser import normaliser
from asr_analogy.text.scoring import count_words, total
from asr_analogy.workspace import Workspace, content, write_whole

WORDS = [
    "the",
    "court",
    "finds",
    "writ",
    "of",
    "habeas",
    "corpus",
    "granted",
    "motion",
    "denied",
    "party",
    "lien",
    "trust",
    "estate",
    "witness",
    "hearing",
]
ERRORS = {"base": 0.35, "domain-synthetic": 0.25, "merged": 0.15, "domain-real": 0.1}
SEEDS = {"domain-test": 1, "general-test": 2}


def references(count: int, seed: int) -> list[str]:
    drawn = random.Random(seed)
    return [" ".join(drawn.choices(WORDS, k=drawn.randint(4, 14))) for _ in range(count)]


def misheard(text: str, share: float, drawn: random.Random) -> str:
    """A text with about this share of its words replaced, left out or followed by another."""
    found = []
    for word in text.split():
        kind = drawn.random() / share
        found += [word] if kind >= 1 else [drawn.choice("abc")] if kind < 0.6 else [] if kind < 0.8 else [word, "uh"]
    return " ".join(found)


def tone(seconds: float, pitch: float) -> np.ndarray:
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.3 * np.sin(2 * np.pi * pitch * times)).astype(np.float32)


def system_scores(texts: list[str], heard: list[str], baseline: list[str], language: str = "en") -> dict[str, Any]:
    """The old keys of a system's scores; intervals are made up around the rates."""
    form = normaliser(language)
    own, theirs = (total(count_words(texts, one, form)) for one in (heard, baseline))
    gap = own.rate - theirs.rate
    return {
        "wer": round(own.rate, 3),
        "wer_interval": [round(own.rate - 2, 3), round(own.rate + 2, 3)],
        "substitutions": own.substitutions,
        "deletions": own.deletions,
        "insertions": own.insertions,
        "difference_to_c": round(gap, 3),
        "difference_interval": [round(gap - 1, 3), round(gap + 1, 3)],
        "relative_to_c": round(100 * gap / theirs.rate, 3) if theirs.rate else None,
        "probability_better": 0.99,
        "cer": round(own.rate / 2, 3),
        "raw_wer": round(own.rate + 10, 3),
    }


NEWER = {
    "matched_pairs_p": 0.0123,
    "terms": {"said": 40, "written": 30, "both": 28, "recall": 70.0, "precision": 93.333, "recall_difference": 5.5, "recall_difference_interval": [1.5, 9.5]},
    "b_wer": 12.5,
    "u_wer": 9.25,
    "hallucination": {"bursts": 1, "loops": 2, "over_100": 3, "empty": 4},
    "real_time_factor": 0.123,
    "peak_mib": 456.0,
}  # fmt: skip
"""Keys that older scores lack."""


def settings(**changes: Any) -> Recipe:
    """A recipe that nothing is run from."""
    given: dict[str, Any] = {
        "name": "by-hand",
        "base": "nowhere/tiny",
        "general": {"real": {"manifest": "real.jsonl"}, "test": {"manifest": "general.jsonl"}},
        "domain": {"text": "minutes.txt", "test": {"manifest": "domain.jsonl"}},
    }
    return Recipe.model_validate({**given, **changes})


def finished(
    root: Path,
    count: int = 60,
    newer: bool = True,
    stand_in: bool = True,
    clips: bool = True,
    texts: list[str] | None = None,
    speaker: str = "speaker {}",
    language: str = "en",
) -> Workspace:
    """A workspace with scores, transcripts and (with `clips`) the sound of its two test sets."""
    place = Workspace(root)
    found: dict[str, Any] = {"normaliser": normaliser(language).name, "draws": 200, "group": "utterance", "tests": {}}
    found |= {"terms": 2, "domains": None} if newer else {}
    for test, seed in SEEDS.items():
        said = texts or references(count, seed)
        drawn = random.Random(seed)
        heard = {system: [misheard(text, share, drawn) for text in said] for system, share in ERRORS.items()}
        rows = [{"id": f"{number:07d}", "reference": text, "speaker": speaker.format(number % 4), "duration": 1.0 + number / 100}
                for number, text in enumerate(said)]  # fmt: skip
        if clips:
            _corpus(place, test, rows, stand_in)
        for system, lines in heard.items():
            with place.folder(f"hypotheses/{test}/{system}", {"test": test}, True).writing() as out:
                both = [row | {"hypothesis": line} for row, line in zip(rows, lines, strict=True)]
                write_whole(
                    out / "hypotheses.jsonl", "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in both)
                )
        table = {
            system: system_scores(said, lines, heard["domain-synthetic"], language) for system, lines in heard.items()
        }
        found["tests"][test] = {"utterances": len(said), "words": sum(len(text.split()) for text in said), "speakers": 4,
                                "stand_in": stand_in, "dropped": 0,
                                "systems": {name: row | (NEWER if newer else {}) for name, row in table.items()}}  # fmt: skip
        if newer:
            found["tests"][test] |= {"kind": test.split("-")[0], "transcribed": True, "hours": 0.3}
    hypotheses = {f"{test}/{name}": content(root / f"hypotheses/{test}/{name}") for test in SEEDS for name in ERRORS}
    with place.folder("scores", {"hypotheses": hypotheses, "seed": 1}, True).writing() as out:
        write_whole(out / "scores.json", json.dumps(found))
    with place.folder("terms", {}, True).writing() as out:
        write_whole(out / "terms.jsonl", '{"term": "habeas corpus"}\n{"term": "writ"}\n{"term": "quo warranto"}\n')
    return place


def _corpus(place: Workspace, test: str, rows: list[dict[str, Any]], stand_in: bool) -> None:
    with place.folder(f"prepared/{test}", {"stand_in": stand_in, "seed": 1}, True).writing() as out:
        clips = [
            Utterance(row["id"], encode(tone(row["duration"], 200 + 5 * n)), row["reference"], "", row["speaker"], row["duration"], "", 1)
            for n, row in enumerate(rows)
        ]  # fmt: skip
        write_shard(out / "00000.parquet", clips)
        summary = {"utterances": len(rows), "hours": 0.1, "dropped": 0, "stand_in": stand_in}
        write_whole(out / "summary.json", json.dumps(summary))


CHOICE = {
    "by": "dev",
    "chosen": 0.6,
    "max_forgetting": 1.0,
    "utterances": 100,
    "curve": [
        {"scale": 0.0, "wer": 25.0, "interval": [24.0, 26.0], "general_wer": 20.0, "entropy": 0.5, "inside_budget": True},
        {"scale": 0.6, "wer": 15.0, "interval": [14.0, 16.0], "general_wer": 20.5, "entropy": 0.4, "inside_budget": True},
        {"scale": 1.2, "wer": 14.0, "interval": None, "general_wer": 27.0, "entropy": None, "inside_budget": False},
    ],
    "folds": [{"name": "bills", "curve": [], "best": 0.5}],
}  # fmt: skip


def merged_with_choice(place: Workspace) -> None:
    with place.folder("models/merged", {"scale": 0.6}, True).writing() as out:
        write_whole(out / "choice.json", json.dumps(CHOICE))
