"""prepare: from text and recordings to the corpora that the arms are trained and judged on.

general-synthetic and general-real hold the same sentences in the same order (what is dropped from one leaves the other
too), so that their difference is the voice alone.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from asr_analogy.errors import DataError
from asr_analogy.progress import progress
from asr_analogy.recipe import Recipe, Source, shipped
from asr_analogy.speech import audio
from asr_analogy.speech.corpus import Row, Utterance, read_corpus, rows, write_shard
from asr_analogy.speech.rooms import ROOMS
from asr_analogy.text.documents import Sentence, read_sentences
from asr_analogy.text.leakage import leaks
from asr_analogy.text.spoken import spoken, unspeakable
from asr_analogy.tts.voice import Line, load_card, open_voice, seed_of
from asr_analogy.workspace import Folder, Step, Workspace, digest, write_whole

log = logging.getLogger("asr_analogy")

SHARD = 500
"""Utterances per Parquet shard; a killed run loses at most the shard in hand."""

Refusal = Callable[[str, float], str | None]


CHARACTERS_PER_SECOND, FLAC_KILOBYTES = 15, 18
"""For estimates: how fast English is read, and the size of a second of 16 kHz FLAC."""

BABBLE = 16
"""Utterances of a stand-in whose clean speech is the babble of its room."""


@dataclass(frozen=True)
class Item:
    """One utterance to make: its text and where that came from; which take (voice) of it, or the recording to read."""

    id: str
    text: str
    source: str
    take: int = 0
    row: Row | None = None


@dataclass(frozen=True)
class Corpus:
    """One corpus to prepare: its name, and either real rows or sentences that voices of `card` speak (in `room`)."""

    name: str
    source: Source | None
    text: Path | None = None
    card: str | None = None
    room: str | None = None
    training: bool = True
    partner: str | None = None

    @property
    def stand_in(self) -> bool:
        return self.room is not None


def corpora(recipe: Recipe) -> list[Corpus]:
    """The corpora of a recipe, in the order they are prepared."""
    real = recipe.general.real
    found = [_real("general-real", real, recipe.general.text)]
    synthetic_text = None if real.simulate is None else found[0].text
    found.append(Corpus("general-synthetic", None, synthetic_text, recipe.voices, partner="general-real"))
    found.append(Corpus("domain-synthetic", None, recipe.domain.text, recipe.voices))
    if recipe.domain.real is not None:
        found.append(_real("domain-real", recipe.domain.real))
    for name, source in {"domain-test": recipe.domain.test, "general-test": recipe.general.test}.items():
        if source is not None:
            found.append(_real(name, source, training=False))
    return found


def _real(name: str, source: Source, text: Path | None = None, training: bool = True) -> Corpus:
    if source.simulate is None:
        return Corpus(name, source, training=training)
    if source.simulate not in ROOMS:
        raise DataError(f"{name}: simulate: {source.simulate}: no such room; known: {', '.join(ROOMS)}")
    return Corpus(name, source, source.text or text, source.voices, source.simulate, training)


def prepare(recipe: Recipe, workspace: Workspace, force: bool = False) -> None:
    """Prepare every corpus of the recipe into `prepared/`; finished ones are skipped. Errors: DataError, MissingError."""
    todo = [(corpus, folder(recipe, workspace, corpus, force)) for corpus in corpora(recipe)]
    ready = [place.done() for _, place in todo]
    if all(ready):
        log.info("prepare: all %d corpora are there", len(todo))
        return
    _guard(recipe, [corpus for corpus, _ in todo])
    refusal = _refusal(recipe)
    for (corpus, place), done in zip(todo, ready, strict=True):
        if not done:
            with place.writing() as out:
                _write(recipe, workspace, corpus, out, refusal if corpus.training else lambda text, seconds: None)
            summary = json.loads((place.path / "summary.json").read_text())
            log.info(
                "  %s: %d utterances, %.2f h, %d dropped",
                corpus.name,
                summary["utterances"],
                summary["hours"],
                summary["dropped"],
            )


def folder(recipe: Recipe, workspace: Workspace, corpus: Corpus, force: bool = False) -> Folder:
    """The output folder of a corpus with everything it depends on."""
    inputs: dict = {
        "corpus": corpus.name,
        "seed": recipe.seed,
        "longest": recipe.prepare.longest,
        "stand_in": corpus.stand_in,
    }
    if corpus.training:
        inputs["base"] = recipe.base
    if corpus.text is not None:
        inputs |= {"text": _text_digest(corpus.text), "sentences": recipe.prepare.sentences}
    if corpus.card is not None:
        inputs |= {
            "card": load_card(corpus.card).model_dump(),
            "room": asdict(ROOMS[corpus.room]) if corpus.room else None,
        }
        inputs["voices_per_sentence"] = _voices(recipe, corpus)
    if corpus.partner is not None:
        partner = next(other for other in corpora(recipe) if other.name == corpus.partner)
        inputs["partner"] = folder(recipe, workspace, partner).inputs
    if corpus.source is not None:
        inputs["source"] = corpus.source.model_dump(mode="json", exclude_defaults=True)
        for path in (corpus.source.manifest, corpus.source.parquet):
            if path is not None and shipped(path).exists():
                inputs["source_content"] = digest(shipped(path))
    return workspace.folder(f"prepared/{corpus.name}", inputs, force)


def _voices(recipe: Recipe, corpus: Corpus) -> int:
    """Voices per sentence: one in test sets, and one where the partner holds one recording per sentence."""
    return recipe.prepare.voices_per_sentence if corpus.training and corpus.text is not None else 1


def estimate(recipe: Recipe, workspace: Workspace) -> list[Step]:
    """What prepare would do: hours of audio are estimated from the texts where nothing is prepared yet."""
    steps = []
    for corpus in corpora(recipe):
        place = folder(recipe, workspace, corpus)
        detail = "stand-in" if corpus.stand_in else ""
        if place.done():
            summary = json.loads((place.path / "summary.json").read_text())
            steps.append(Step(f"prepared/{corpus.name}", True, detail, summary["hours"]))
            continue
        partner = next((other for other in corpora(recipe) if other.name == corpus.partner), corpus)
        texts = [sentence.text for sentence in _sentences(recipe, corpus if corpus.text else partner)] * _voices(
            recipe, corpus
        )
        hours = sum(map(len, texts)) / CHARACTERS_PER_SECOND / 3600
        seconds = len(texts) / (100 * (os.cpu_count() or 1)) if corpus.card else len(texts) / 500
        steps.append(
            Step(
                f"prepared/{corpus.name}",
                False,
                detail,
                round(hours, 3),
                round(seconds, 1),
                round(hours * 3600 * FLAC_KILOBYTES / 1000, 1),
            )
        )
    return steps


def _text_digest(path: Path) -> str:
    place = shipped(path)
    if place.exists():
        return digest(place)
    return ",".join(digest(file) for file in sorted(place.parent.glob(place.name))) or "missing"


def _refusal(recipe: Recipe) -> Refusal:
    """What the base cannot be trained on, from its processor alone."""
    from asr_analogy.asr.family import find, open_recogniser

    return open_recogniser(find(recipe.base), recipe.language, weights=False).refusal


def _guard(recipe: Recipe, todo: Sequence[Corpus]) -> None:
    """Refuse a domain text that holds sentences of the domain test set."""
    test = next(corpus for corpus in todo if corpus.name == "domain-test")
    held_out = [sentence.text for sentence in _sentences(recipe, test)]
    train = _sentences(recipe, next(corpus for corpus in todo if corpus.name == "domain-synthetic"))
    found = leaks([sentence.text for sentence in train], held_out)
    if found:
        first = train[found[0].train_index]
        raise DataError(
            f"domain.text: {len(found)} sentences leak into domain.test, first {first.source} ({found[0].reason}): "
            f"{first.text[:60]!r}; remove them from the training text, or the result means nothing"
        )


def _sentences(recipe: Recipe, corpus: Corpus) -> list[Sentence]:
    """The sentences of a corpus: its text, or the transcripts of its recordings."""
    if corpus.text is None:
        assert corpus.source is not None
        return [Sentence(row.text, row.source) for row in rows(_resolved(corpus.source))]
    found = read_sentences(shipped(corpus.text))
    limits = [corpus.source.limit if corpus.source else None, recipe.prepare.sentences if corpus.training else None]
    return found[: min([len(found), *(limit for limit in limits if limit is not None)])]


def _resolved(source: Source) -> Source:
    paths = {
        key: shipped(path)
        for key in ("manifest", "audiofolder", "parquet")
        if (path := getattr(source, key)) is not None
    }
    return source.model_copy(update=paths)


def _items(recipe: Recipe, workspace: Workspace, corpus: Corpus) -> list[Item]:
    """What a corpus consists of, in order, before anything is spoken or read."""
    if corpus.partner is not None and corpus.text is None:
        partner = read_corpus(workspace.root / "prepared" / corpus.partner, ["id", "text", "source"])
        return [Item(row.id, row.text, row.source) for row in partner]
    if corpus.card is None:
        assert corpus.source is not None
        found = rows(_resolved(corpus.source))
        return [Item(f"{index:07d}", row.text, row.source, row=row) for index, row in enumerate(found)]
    voices = _voices(recipe, corpus)
    sentences = _sentences(recipe, corpus)
    return [
        Item(f"{index * voices + voice:07d}", sentence.text, sentence.source, voice)
        for index, sentence in enumerate(sentences)
        for voice in range(voices)
    ]


def _write(recipe: Recipe, workspace: Workspace, corpus: Corpus, out: Path, refusal: Refusal) -> None:
    """Fill `out` with shards, dropped.jsonl and summary.json; shards that an earlier call finished are kept."""
    items = _items(recipe, workspace, corpus)
    make = _speaker(recipe, corpus, items) if corpus.card else _reader
    with progress(corpus.name, len(items)) as advance:
        for start in range(0, len(items), SHARD):
            name = f"{start // SHARD:05d}"
            part = items[start : start + SHARD]
            if not (out / f"{name}.dropped").exists():
                kept, dropped = [], []
                for item, result in zip(part, make(part), strict=True):
                    reason = (
                        result
                        if isinstance(result, str)
                        else _too_long(recipe, result) or refusal(result.text, result.duration)
                    )
                    if reason is None and isinstance(result, Utterance):
                        kept.append(result)
                    else:
                        dropped.append({"id": item.id, "text": item.text, "source": item.source, "reason": reason})
                    advance(1, "")
                write_shard(out / f"{name}.parquet", kept)
                write_whole(out / f"{name}.dropped", "".join(json.dumps(row) + "\n" for row in dropped))
            else:
                advance(len(part), "")
    _finish(corpus, out, len(items))


def _finish(corpus: Corpus, out: Path, total: int) -> None:
    parts = sorted(out.glob("*.dropped"))
    lines = [line for part in parts for line in part.read_text().splitlines()]
    durations = [row.duration for row in read_corpus(out, ["duration"])]
    if not durations:
        why = json.loads(lines[0])["reason"] if lines else "there was nothing to prepare"
        raise DataError(f"{corpus.name}: none of {total} utterances is usable; the first: {why}")
    write_whole(out / "dropped.jsonl", "".join(line + "\n" for line in lines))
    summary = {
        "utterances": len(durations),
        "hours": round(sum(durations) / 3600, 4),
        "dropped": len(lines),
        "stand_in": corpus.stand_in,
    }
    write_whole(out / "summary.json", json.dumps(summary))
    for part in parts:
        part.unlink()


def _too_long(recipe: Recipe, utterance: Utterance) -> str | None:
    longest = recipe.prepare.longest
    return f"longer than prepare.longest ({longest:g} s)" if utterance.duration > longest else None


def _reader(items: Sequence[Item]) -> Iterator[Utterance | str]:
    """Read recordings; a recording that cannot be used gives the reason instead."""
    for item in items:
        assert item.row is not None
        try:
            samples = item.row.samples()
        except DataError as error:
            yield str(error)
            continue
        yield _utterance(item, samples, item.text, item.row.speaker, 0)


def _speaker(
    recipe: Recipe, corpus: Corpus, items: Sequence[Item]
) -> Callable[[Sequence[Item]], Iterator[Utterance | str]]:
    """A function that speaks items with the corpus's card, and in its room if it has one."""
    assert corpus.card is not None
    voice = open_voice(load_card(corpus.card), recipe.prepare.workers)
    room = ROOMS[corpus.room] if corpus.room else None
    others: list[np.ndarray] = []
    if room is not None and room.babble is not None:
        lines = [_line(recipe, corpus, item) for item in items[:BABBLE]]
        others = [clip for clip in voice.speak(lines) if not isinstance(clip, str)]

    def speak(part: Sequence[Item]) -> Iterator[Utterance | str]:
        reasons = [unspeakable(spoken(item.text)) for item in part]
        lines = [_line(recipe, corpus, item) for item in part]
        clips = voice.speak(line for line, reason in zip(lines, reasons, strict=True) if reason is None)
        for item, line, reason in zip(part, lines, reasons, strict=True):
            clip = reason or next(clips)
            if not isinstance(clip, str):
                if room is not None:
                    clip = room.record(clip, np.random.default_rng((line.seed, 1)), others)
                name = voice.names[line.voice]
                yield _utterance(item, clip, line.text, name, line.seed)
            else:
                yield clip

    return speak


def _line(recipe: Recipe, corpus: Corpus, item: Item) -> Line:
    """What the voice is asked: the voice depends on the sentence, the seed on sentence, take, corpus and recipe."""
    assert corpus.card is not None
    count = len(load_card(corpus.card).voices)
    voice = (seed_of(item.text) + item.take) % count
    return Line(spoken(item.text), voice, seed_of(recipe.seed, corpus.name, item.text, item.take))


def _utterance(item: Item, samples: np.ndarray, tts_text: str, speaker: str, seed: int) -> Utterance:
    duration = round(len(samples) / audio.SAMPLE_RATE, 4)
    return Utterance(item.id, audio.encode(samples), item.text, tts_text, speaker, duration, item.source, seed)
