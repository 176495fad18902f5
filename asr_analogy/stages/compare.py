"""compare: several voice cards on the same sentences, beside the recordings that they are to stand in for.

The sentences are those of general.real, spoken as `prepare` would speak them for general-synthetic (same seed, same
screen), so that a card stands beside real speech of the same words.
"""

import json
import logging
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from asr_analogy.errors import DataError, MissingError, RecipeError
from asr_analogy.progress import progress
from asr_analogy.recipe import Recipe, shipped
from asr_analogy.speech import audio
from asr_analogy.speech.audit import measure, medians, mistakes, spread
from asr_analogy.speech.corpora import corpora
from asr_analogy.speech.rooms import ROOMS, Room
from asr_analogy.speech.script import blamed, sentences
from asr_analogy.speech.sources import rows as source_rows
from asr_analogy.text.lexicon import load_lexicon
from asr_analogy.text.scoring import total
from asr_analogy.text.spoken import spoken
from asr_analogy.tts.studio import Clip, Listen, Outtake, Screen, Studio, Take
from asr_analogy.tts.voice import Card, load_card
from asr_analogy.workspace import Workspace, machine, write_whole

log = logging.getLogger("asr_analogy")

REFERENCE = "general-real"
FULL = "compare-full"
"""Folder of the workspaces in which the cards are trained and merged: not in `compare`, which is replaced as a whole."""

HEADINGS = (
    "card",
    "audio s/s",
    "CER %",
    "dropped %",
    "chars/s",
    "pitch Hz",
    "SNR dB",
    "WER C %",
    "WER merged %",
    "note",
)

Run = Callable[[Recipe, Workspace], None]
"""Takes a recipe through prepare, train, merge and eval in a workspace."""


@dataclass(frozen=True)
class Performance:
    """What became of the sentences: a row of the table, and the clips (in order) for those who want to listen."""

    row: dict[str, Any]
    clips: list[Clip | Outtake]


class _Ear:
    """A recogniser that keeps the time it takes, which is not the voice's."""

    def __init__(self, listen: Listen) -> None:
        self.listen, self.seconds = listen, 0.0

    def __call__(self, clips: Sequence[np.ndarray]) -> list[str]:
        started = time.perf_counter()
        texts = self.listen(clips)
        self.seconds += time.perf_counter() - started
        return texts


def compare(
    recipe: Recipe, workspace: Workspace, voices: Sequence[str], count: int, samples: int = 0, run: Run | None = None
) -> dict[str, Any]:
    """Speak `count` sentences with every card, measure, and write `compare/`; returns the content of compare.json.

    `samples` sentences of each card are kept to listen to. With `run` every card is trained and merged as well. Timings
    belong to the moment, so it is done anew every time. A card that does not open is a row with an `error` if another
    does. Raises MissingError or RecipeError for a card that does not exist, MissingError or DataError if none opens.
    """
    cards = _cards(voices)
    settings = {label: card.model_dump(exclude={"licence"}) for label, (_, card) in cards.items()}
    inputs = {"cards": settings, "sentences": count, "listen": samples, "recipe": recipe.model_dump(mode="json")}
    place = workspace.folder("compare", inputs, force=True)
    place.done()  # refuses a folder that is not ours
    ear = _Ear(_listen(recipe))
    texts, real = _reference(recipe, count, ear)
    found: dict[str, Performance] = {}
    for label, (voice, card) in cards.items():
        log.info("  %s: speaking %d sentences", label, len(texts))
        try:
            found[label] = _perform(recipe, label, card, texts, ear)
            if run is not None:
                found[label].row.update(_judged(recipe, workspace, label, voice, run))
        except (MissingError, DataError) as error:
            if len(cards) == 1:
                raise
            found.setdefault(label, Performance({"card": label}, [])).row["error"] = str(error)
            log.warning("  %s: %s", label, error)
    if all("error" in one.row for one in found.values()):
        raise MissingError("; ".join(f"{label}: {one.row['error']}" for label, one in found.items()))
    content = _content(recipe, texts, real.row, [one.row for one in found.values()])
    with place.writing() as out:
        write_whole(out / "compare.json", json.dumps(content, indent=1, ensure_ascii=False))
        write_whole(out / "compare.md", markdown(content))
        if samples:
            _write_samples(out / "listen", texts[:samples], {REFERENCE: real, **found})
    return content


def _cards(voices: Sequence[str]) -> dict[str, tuple[str, Card]]:
    """The cards by the label each has in the table, with the name that was given. Raises before any work is done."""
    names = [name.strip() for name in voices if name.strip()]
    if not names:
        raise RecipeError("--voices: names no card; write --voices espeak,bark-small")
    found: dict[str, tuple[str, Card]] = {}
    for name in names:
        label = Path(name).stem if name.endswith(".yaml") else name
        if label in found or label == REFERENCE:
            raise RecipeError(f"--voices: {label}: is the name of two rows; name each card once, or rename its file")
        found[label] = (name, load_card(name))
    return found


def _listen(recipe: Recipe) -> Listen:
    from asr_analogy.asr.hub import find
    from asr_analogy.asr.listening import listener

    return listener(find(recipe.checker), recipe.language, recipe.evaluate.batch)


def _reference(recipe: Recipe, count: int, ear: _Ear) -> tuple[list[str], Performance]:
    """`count` different sentences of general.real, evenly spaced, and what its recordings of them measure."""
    corpus = next((corpus for corpus in corpora(recipe) if corpus.name == REFERENCE), None)
    if corpus is None:
        raise RecipeError("compare-tts: measures voices beside general.real; give it, and leave general.vector out")
    first: dict[str, int] = {}
    for number, sentence in enumerate(sentences(recipe, corpus)):
        first.setdefault(sentence.text, number)
    everything = list(first)
    texts = [everything[index] for index in spread(len(everything), count)]
    if not texts:
        raise DataError("general.real: holds no sentence; there is nothing to speak")
    if corpus.card is not None:
        room = ROOMS[corpus.room] if corpus.room else None
        takes = [Take(text) for text in texts]
        clips = list(_studio(recipe, corpus.name, load_card(corpus.card), None, room, takes).speak(takes))
    else:
        with blamed(corpus):
            clips = _recordings(recipe, {first[text] for text in texts})
    row = {"card": REFERENCE, "stand_in": corpus.stand_in, **_measured(texts, clips, recipe.language, ear)}
    return texts, Performance(row, clips)


def _recordings(recipe: Recipe, wanted: set[int]) -> list[Clip | Outtake]:
    """The recordings of general.real with these numbers; one that cannot be read is an outtake."""
    assert recipe.general.real is not None
    found = list[Clip | Outtake]()
    for number, row in enumerate(islice(source_rows(recipe.general.real), max(wanted) + 1)):
        if number in wanted:
            try:
                found.append(Clip(row.samples(), spoken(row.text, recipe.language), row.speaker, 0))
            except DataError as error:
                found.append(Outtake(str(error)))
    return found


def _studio(
    recipe: Recipe, name: str, card: Card, screen: Screen | None, room: Room | None = None, takes: Sequence[Take] = ()
) -> Studio:
    lexicon = load_lexicon(shipped(recipe.prepare.lexicon)) if recipe.prepare.lexicon else None
    return Studio(name, recipe.seed, card, recipe.prepare.workers, room, takes, recipe.language, lexicon, screen)


def _perform(recipe: Recipe, label: str, card: Card, texts: Sequence[str], ear: _Ear) -> Performance:
    """Speak the texts and measure. The time to open the model and to listen does not count as speaking."""
    options = recipe.prepare.screen
    hears = options.listens(card.drawn)
    started = time.perf_counter()
    screen = Screen(options.retries, options.error_rate, ear if hears else None)
    studio = _studio(recipe, "general-synthetic", card, screen)
    studio.paces = studio.measure(map(Take, texts))  # this first call also starts processes and kernels
    opening = time.perf_counter() - started
    started, heard_before, clips = time.perf_counter(), ear.seconds, list[Clip | Outtake]()
    with progress(label, len(texts)) as advance:
        for start in range(0, len(texts), card.shard):
            clips += studio.speak([Take(text) for text in texts[start : start + card.shard]])
            advance(len(clips) - start, "")
    seconds = time.perf_counter() - started - (ear.seconds - heard_before)
    made = sum(len(clip.samples) for clip in clips if clip.samples is not None) / audio.SAMPLE_RATE
    row = {"card": label, "backend": card.backend, "licence": card.licence, "screened_by_ear": hears}
    row |= {"speed": round(made / max(seconds, 1e-6), 2), "opening_seconds": round(opening, 2)}
    return Performance({**row, **_measured(texts, clips, recipe.language, ear)}, clips)


def _measured(texts: Sequence[str], clips: Sequence[Clip | Outtake], language: str, ear: _Ear) -> dict[str, Any]:
    """Error rate over every clip that there is, dropped ones included; medians of the measures over the kept ones."""
    kept = [clip for clip in clips if isinstance(clip, Clip)]
    lost = [(text, clip) for text, clip in zip(texts, clips, strict=True) if isinstance(clip, Outtake)]
    sounds = [(text, clip.samples) for text, clip in zip(texts, clips, strict=True) if clip.samples is not None]
    heard = ear([sound for _, sound in sounds]) if sounds else []
    counts = total(mistakes(text, language, words) for (text, _), words in zip(sounds, heard, strict=True))
    reasons = Counter(_kind(clip.reason) for _, clip in lost)
    return {
        "utterances": len(clips),
        "dropped": len(lost),
        "dropped_share": round(100 * len(lost) / len(clips), 2),
        "reasons": dict(reasons.most_common()),
        "dropped_texts": [{"text": text, "reason": clip.reason} for text, clip in lost],
        "cer": None if math.isnan(counts.rate) else round(counts.rate, 3),
        **medians([measure(clip.samples, clip.tts_text) for clip in kept]),
    }


def _kind(reason: str) -> str:
    """A reason without its numbers and examples, so that equal ones can be counted."""
    return re.sub(r"\d[\d.]*", "...", reason.split(" (")[0])


def _judged(recipe: Recipe, workspace: Workspace, label: str, voice: str, run: Run) -> dict[str, Any]:
    """Take the recipe through all stages with this card: the error rates of C and of merged, in percent."""
    own = Workspace(workspace.root / FULL / label)
    log.info("  %s: training and merging in %s", label, own.root)
    run(recipe.model_copy(update={"voices": voice}), own)
    scores = json.loads((own.root / "scores" / "scores.json").read_text())
    test = next(test for test in scores["tests"].values() if test["kind"] == "domain")
    rate, gap, judged = "wer", "difference_interval", test
    if scores["domains"] is not None:  # several test sets count as one
        rate, gap, judged = "micro", "micro_difference_interval", scores["domains"]
    baseline, merged = (judged["systems"][name] for name in ("domain-synthetic", "merged"))
    found = {"wer_c": baseline[rate], "wer_merged": merged[rate], "wer_stand_in": test["stand_in"]}
    return {**found, "wer_difference_interval": merged[gap]}


def _content(recipe: Recipe, texts: list[str], real: dict[str, Any], cards: list[dict[str, Any]]) -> dict[str, Any]:
    options = recipe.prepare.screen
    return {
        "name": recipe.name,
        "language": recipe.language,
        "seed": recipe.seed,
        "checker": recipe.checker,
        "screen": options.model_dump(include={"error_rate", "retries"}),
        "machine": machine(),
        "sentences": texts,
        "reference": real,
        "cards": cards,
    }


def _write_samples(out: Path, texts: Sequence[str], found: dict[str, Performance]) -> None:
    """The same sentences by every card, and an index that puts them side by side."""
    out.mkdir()
    labels = [label for label, one in found.items() if one.clips]
    lines = ["# Listen", "", "| | " + " | ".join(["sentence", *labels]) + " |", "|" + "---|" * (2 + len(labels))]
    for number, text in enumerate(texts):
        cells = [f"{number + 1}", text.replace("|", "\\|")]
        for label in labels:
            clip, name = found[label].clips[number], f"{number + 1:02d}-{label}.flac"
            note = f" dropped: {clip.reason}".replace("|", "\\|") if isinstance(clip, Outtake) else ""
            if clip.samples is not None:
                write_whole(out / name, audio.encode(clip.samples))
            cells.append((f"[{name}]({name})" if clip.samples is not None else "-") + note)
        lines.append("| " + " | ".join(cells) + " |")
    write_whole(out / "index.md", "\n".join(lines) + "\n")


def rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """Table cells, a tuple per row in the order of HEADINGS: the recordings first, then the cards."""
    return [_cells(row) for row in [found["reference"], *found["cards"]]]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    kind = " (stand-in)" if row.get("stand_in") else ""
    numbers = [("speed", 1), ("cer", 1), ("dropped_share", 1), ("rate", 1), ("pitch", 0), ("snr", 0)]
    numbers += [("wer_c", 2), ("wer_merged", 2)]
    cells = ["" if row.get(key) is None else f"{row[key]:.{digits}f}" for key, digits in numbers]
    reasons = ", ".join(f"{count} x {reason}" for reason, count in row.get("reasons", {}).items())
    return (row["card"] + kind, *cells, row.get("error", reasons))


def title(found: dict[str, Any]) -> str:
    """The caption of the table."""
    screen = found["screen"]
    return (
        f"{found['name']}: {len(found['sentences'])} sentences of general.real, seed {found['seed']}, "
        f"{found['checker']} listens; dropped over {screen['error_rate']:g} character errors (where the screen listens) "
        f"after {screen['retries']} retries"
    )


def markdown(found: dict[str, Any]) -> str:
    """The comparison as Markdown."""
    lines = ["# Voices compared", "", title(found), "", "| " + " | ".join(HEADINGS) + " |"]
    lines.append("|" + "---|" * len(HEADINGS))
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in rows(found)]
    lines += [
        "",
        f"audio s/s: seconds of clips per second of speaking on {found['machine']}, retries included, opening the model "
        "and listening not. CER: characters misheard in all clips, dropped ones included. Others: medians over the kept "
        "clips; chars/s: letters and digits of the spoken form per second of clip; pitch and SNR are estimates.",
    ]
    for row in found["cards"]:
        if row.get("dropped_texts"):
            lines += ["", f"## Dropped of {row['card']}", ""]
            lines += [f"- {one['text']} ({one['reason']})" for one in row["dropped_texts"]]
    return "\n".join(lines) + "\n"
