"""The page of a large test set measured: seconds to build it, its size, milliseconds to open, sort and filter it.

    python benchmarks/report.py --utterances 10000                 data made on the spot, four systems, clips of noise
    python benchmarks/report.py --utterances 10000 --browser /usr/bin/chromium

Two runs of the same utterances give the same page. One JSON line per result.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from asr_analogy.recipe import Recipe
from asr_analogy.speech.audio import SAMPLE_RATE, encode
from asr_analogy.speech.corpus import Utterance, write_shard
from asr_analogy.stages.report import report
from asr_analogy.text.documents import read_sentences
from asr_analogy.workspace import Workspace, write_whole

TEXT = Path(__file__).parent.parent / "data/text"
SHARES = {"base": 0.4, "general-real": 0.36, "domain-synthetic": 0.33, "merged": 0.3}
"""Share of the words that each system gets wrong, about as on the quickstart."""


def made(root: Path, count: int) -> tuple[Recipe, Workspace]:
    """A workspace with `count` utterances: our own sentences with words exchanged, and noise as their sound."""
    place, drawn = Workspace(root), random.Random(1)
    sentences = [
        one.text for name in ("legal", "finance", "general") for one in read_sentences(TEXT / f"{name}.train.txt")
    ]
    words = sorted({word for sentence in sentences for word in sentence.split()})
    texts = [_changed(drawn.choice(sentences), 0.2, words, drawn) for _ in range(count)]
    rows = [{"id": f"{n:07d}", "reference": text, "speaker": f"speaker-{n % 40}", "duration": round(len(text) / 14, 2)}
            for n, text in enumerate(texts)]  # fmt: skip
    systems = {}
    for system, share in SHARES.items():
        heard = [_changed(text, share, words, drawn) for text in texts]
        with place.folder(f"hypotheses/domain-test/{system}", {}, True).writing() as out:
            both = (row | {"hypothesis": text} for row, text in zip(rows, heard, strict=True))
            write_whole(out / "hypotheses.jsonl", "".join(json.dumps(row) + "\n" for row in both))
        wer = 100 * share
        systems[system] = {"wer": wer, "wer_interval": [wer - 1, wer + 1], "difference_to_c": wer - 33.0,
                           "difference_interval": [wer - 34.0, wer - 32.0], "relative_to_c": 100 * (wer - 33) / 33,
                           "substitutions": 1, "deletions": 1, "insertions": 1, "cer": wer, "raw_wer": wer}  # fmt: skip
    _sound(place, rows)
    test = {"utterances": count, "words": sum(len(text.split()) for text in texts), "speakers": 40, "stand_in": True,
            "dropped": 0, "systems": systems}  # fmt: skip
    scores = {"normaliser": "en-2", "draws": 10_000, "group": "utterance", "tests": {"domain-test": test}}
    with place.folder("scores", {}, True).writing() as out:
        write_whole(out / "scores.json", json.dumps(scores))
    general, domain = {"real": {"manifest": "none"}}, {"text": "none", "test": {"manifest": "none"}}
    recipe = Recipe.model_validate({"name": "large", "base": "none", "general": general, "domain": domain})
    return recipe, place


def _changed(text: str, share: float, words: list[str], drawn: random.Random) -> str:
    return " ".join(drawn.choice(words) if drawn.random() < share else word for word in text.split())


def _sound(place: Workspace, rows: list[dict]) -> None:
    """Shards of 500; a tenth of a second of noise is repeated to each clip's length, so that making them is quick."""
    noise = 0.1 * np.random.default_rng(1).standard_normal(SAMPLE_RATE // 10).astype(np.float32)
    with place.folder("prepared/domain-test", {}, True).writing() as out:
        for start in range(0, len(rows), 500):
            clips = []
            for row in rows[start : start + 500]:
                samples = np.tile(noise, int(row["duration"] * 10) + 1)
                clips.append(Utterance(row["id"], encode(samples), "", "", row["speaker"], row["duration"], "", 1))
            write_shard(out / f"{start // 500:05d}.parquet", clips)


def browsed(file: Path, chromium: str) -> Iterator[dict[str, object]]:
    """What a reader waits for, until the next frame is painted."""
    from playwright.sync_api import sync_playwright

    painted = """(act) => new Promise((done) => { const start = performance.now(); act();
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - start))); })"""
    acts = {
        "sort_by_gain": "() => document.querySelector('#lines th[data-key=\"gain\"] button').click()",
        "sort_by_errors": "() => document.querySelector('#lines th[data-key=\"a\"] button').click()",
        "next_page": "() => document.getElementById('next').click()",
        "filter_by_kind": "() => { const s = document.getElementById('show'); s.value = 'worse'; s.dispatchEvent(new Event('change')); }",
        "other_system": "() => { const s = document.getElementById('a'); s.value = '0'; s.dispatchEvent(new Event('change')); }",
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        started = time.perf_counter()
        page.goto(file.as_uri())
        page.locator("#lines tbody tr").first.wait_for()
        yield {"what": "open", "milliseconds": round(1000 * (time.perf_counter() - started))}
        for name, act in acts.items():
            times = sorted(page.evaluate(f"({painted})({act})") for _ in range(5))
            yield {"what": name, "milliseconds": round(times[2], 1), "worst": round(times[-1], 1)}
        search = """() => { const s = document.getElementById('search'); s.value = 'the court'; s.dispatchEvent(new Event('input')); }"""
        started = time.perf_counter()
        before = page.locator("#count").inner_text()
        page.evaluate(search)
        while page.locator("#count").inner_text() == before:
            page.wait_for_timeout(5)
        yield {"what": "first_search", "milliseconds": round(1000 * (time.perf_counter() - started))}
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=10_000)
    parser.add_argument("--browser", help="chromium to open the page in")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recipe, place = made(Path(folder) / "run", given.utterances)
        started = time.perf_counter()
        report(recipe, place)
        seconds = time.perf_counter() - started
        file = place.root / "report/report.html"
        size = round(file.stat().st_size / 1e6, 2)
        print(
            json.dumps(
                {"what": "build", "utterances": given.utterances, "seconds": round(seconds, 2), "megabytes": size}
            )
        )
        for result in browsed(file, given.browser) if given.browser else ():
            print(json.dumps({**result, "utterances": given.utterances}))


if __name__ == "__main__":
    main()
