"""What the screen of spoken clips lets through: good clips, and clips that were spoiled on purpose.

    python benchmarks/screening.py [--good 500] [--spoiled 50] [--checker data/foundations/whisper-micro]
        [--texts data/text/general.test.txt data/text/legal.dev.txt] [--voices espeak]

Of every kind of spoiled clip there are --spoiled: cut in the middle, said twice, silent, the sound of another sentence.
Each clip is judged once, without a retry, by the rule of prepare with its round trip through the checker; the pace of
the voices is measured on the first sentences, as prepare does. Prints one JSON line.
"""

import argparse
import json
import time
from collections import Counter
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from asr_analogy.asr.hub import find
from asr_analogy.asr.listening import listener
from asr_analogy.recipe import Screen as Options
from asr_analogy.recipe import shipped
from asr_analogy.tts.studio import Clip, Outtake, Screen, Studio, Take
from asr_analogy.tts.voice import load_card

LISTENED = 32
"""Clips that the checker hears together."""


def takes(paths: list[str], count: int) -> list[Take]:
    """So many takes of the sentences, in turn; a sentence that comes again is said by another voice."""
    lines = [line for path in paths for line in shipped(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    numbered = ((line, number // len(lines)) for number, line in enumerate(cycle(lines)))
    return [Take(line, number) for line, number in islice(numbered, count)]


def spoiled(clips: list[Clip], kind: str) -> list[Clip]:
    """The same clips with another sound."""
    sounds = {
        "cut": [clip.samples[: len(clip.samples) // 2] for clip in clips],
        "doubled": [np.tile(clip.samples, 2) for clip in clips],
        "silent": [np.zeros_like(clip.samples) for clip in clips],
        "other text": [clip.samples for clip in clips[1:] + clips[:1]],
    }[kind]
    return [replace(clip, samples=sound) for clip, sound in zip(clips, sounds, strict=True)]


def dropped(studio: Studio, clips: list[Clip], said: list[Take]) -> list[str]:
    """The reasons for which clips were dropped."""
    found = studio.screened(list(clips), said)
    return [one.reason for one in found if isinstance(one, Outtake)]


def share(count: int, clips: list[Clip]) -> float:
    return round(100 * count / len(clips), 2)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--good", type=int, default=500)
    parser.add_argument("--spoiled", type=int, default=50)
    parser.add_argument("--checker", default="data/foundations/whisper-micro")
    parser.add_argument("--texts", nargs="+", default=["data/text/general.test.txt", "data/text/legal.dev.txt"])
    parser.add_argument("--voices", default="espeak")
    given = parser.parse_args()
    started, options = time.perf_counter(), Options()
    listen = listener(find(given.checker), "en", LISTENED)
    screen = Screen(options.retries, options.error_rate, listen)
    said = takes(given.texts, given.good)
    voices = Studio("screening", 1, load_card(given.voices), 0)
    pairs = [(clip, take) for clip, take in zip(voices.speak(said), said, strict=True) if isinstance(clip, Clip)]
    clips, said = [clip for clip, _ in pairs], [take for _, take in pairs]
    studio = Studio("screening", 1, load_card(given.voices), 0, screen=screen)
    studio.paces = studio.measure(said)
    reasons = dropped(studio, clips, said)
    row = {
        "good": len(clips),
        "good_dropped_percent": share(len(reasons), clips),
        "why": Counter(map(kind_of, reasons)),
    }
    some = [round(place) for place in np.linspace(0, len(clips) - 1, min(given.spoiled, len(clips)))]
    chosen, missed = [clips[index] for index in some], 0
    for kind in ("cut", "doubled", "silent", "other text"):
        found = len(dropped(studio, spoiled(chosen, kind), [said[index] for index in some]))
        row[f"{kind}_dropped_percent".replace(" ", "_")] = share(found, chosen)
        missed += len(chosen) - found
    row |= {"spoiled": 4 * len(chosen), "spoiled_dropped_percent": share(4 * len(chosen) - missed, chosen * 4)}
    row |= {"checker": Path(given.checker).name, "seconds": round(time.perf_counter() - started, 1)}
    print(json.dumps(row))


def kind_of(reason: str) -> str:
    """The first words of a reason, without its numbers."""
    return reason.split(" (")[0].rstrip("0123456789. %s")


if __name__ == "__main__":
    main()
