"""prepare: from text and recordings to the corpora that the arms are trained and judged on.

general-synthetic and general-real speak the same sentences under the same ids, so that their difference is the voice
alone; training leaves out of both what either had to drop.
"""

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from asr_analogy.errors import DataError, MissingError
from asr_analogy.progress import Advance, progress
from asr_analogy.recipe import Recipe, Source, shipped
from asr_analogy.speech import audio
from asr_analogy.speech.corpora import Corpus, corpora
from asr_analogy.speech.corpus import Utterance, read_corpus, write_shard
from asr_analogy.speech.rooms import ROOMS
from asr_analogy.speech.sources import Row, fingerprint, rows
from asr_analogy.text.documents import Sentence, read_sentences
from asr_analogy.text.leakage import leaks
from asr_analogy.tts.studio import BABBLE, Studio, Take
from asr_analogy.tts.voice import load_card
from asr_analogy.workspace import Folder, Step, Workspace, hash_of, write_whole

log = logging.getLogger("asr_analogy")

SHARD = 500
"""Utterances per Parquet shard; a killed run loses at most the shard in hand."""

CHARACTERS_PER_SECOND, FLAC_KILOBYTES = 15, 18
"""For estimates: how fast English is read, and the size of a second of 16 kHz FLAC."""
SPOKEN_PER_SECOND, READ_PER_SECOND = 100, 500
"""For estimates: utterances that one core speaks, and recordings that are read, in a second."""

Refusal = Callable[[str, float], str | None]


@dataclass(frozen=True)
class Item:
    """One utterance to make: its text and where that came from; which take of it, or the recording to read."""

    id: str
    text: str
    source: str
    take: int = 0
    row: Row | None = None


Maker = Callable[[Sequence[Item]], Iterator[Utterance | str]]
"""Makes items in order: the utterance, or why there is none."""


def prepare(recipe: Recipe, workspace: Workspace, force: bool = False) -> None:
    """Prepare every corpus of the recipe into `prepared/`; finished ones are skipped.

    Raises RecipeError for corpora made from other inputs, DataError for text or audio that cannot be used, MissingError.
    """
    todo = folders(recipe, workspace, force)
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
            summary = _summary(place)
            report = "  %s: %d utterances, %.2f h, %d dropped"
            log.info(report, corpus.name, summary["utterances"], summary["hours"], summary["dropped"])


def _summary(place: Folder) -> dict[str, Any]:
    return json.loads((place.path / "summary.json").read_text())


def folders(recipe: Recipe, workspace: Workspace, force: bool = False) -> list[tuple[Corpus, Folder]]:
    """The corpora and their output folders, each with everything it depends on."""
    inputs: dict[str, dict[str, Any]] = {}
    for corpus in corpora(recipe):
        inputs[corpus.name] = _inputs(recipe, corpus)
        if corpus.partner is not None:
            inputs[corpus.name]["partner"] = inputs[corpus.partner]
    return [
        (corpus, workspace.folder(f"prepared/{corpus.name}", inputs[corpus.name], force)) for corpus in corpora(recipe)
    ]


def _inputs(recipe: Recipe, corpus: Corpus) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        "corpus": corpus.name,
        "seed": recipe.seed,
        "longest": recipe.prepare.longest,
        "stand_in": corpus.stand_in,
    }
    if corpus.training:
        inputs["base"] = recipe.base
    if corpus.text is not None:
        sentences = _sentences(recipe, corpus)
        inputs["text"] = hash_of(part for sentence in sentences for part in (sentence.text, sentence.source))
        inputs["sentences"] = recipe.prepare.sentences if corpus.training else None
    if corpus.card is not None:
        inputs["card"] = load_card(corpus.card).model_dump(exclude={"licence"})
        inputs["room"] = asdict(ROOMS[corpus.room]) if corpus.room else None
        inputs["voices_per_sentence"] = _voices(recipe, corpus)
    if corpus.source is not None:
        inputs["source"] = corpus.source.model_dump(mode="json", exclude_defaults=True)
    if corpus.source is not None and corpus.card is None:
        with _blamed(corpus):
            inputs["source_content"] = fingerprint(corpus.source)
    return inputs


@contextmanager
def _blamed(corpus: Corpus) -> Iterator[None]:
    """Say in an error which corpus was being read."""
    try:
        yield
    except (DataError, MissingError) as error:
        raise type(error)(f"{corpus.name}: {error}") from error


def _voices(recipe: Recipe, corpus: Corpus) -> int:
    """Voices per sentence: one in test sets, and one where the partner holds one recording per sentence."""
    return recipe.prepare.voices_per_sentence if corpus.training and corpus.text is not None else 1


def estimate(recipe: Recipe, workspace: Workspace) -> list[Step]:
    """What prepare would do: hours of audio are estimated from the texts where nothing is prepared yet."""
    steps = []
    for corpus, place in folders(recipe, workspace):
        name, detail = f"prepared/{corpus.name}", "stand-in" if corpus.stand_in else ""
        if place.done():
            steps.append(Step(name, True, detail, _summary(place)["hours"]))
            continue
        source = next(other for other in corpora(recipe) if other.name == (corpus.partner or corpus.name))
        texts = [sentence.text for sentence in _sentences(recipe, source)] * _voices(recipe, corpus)
        count, hours = len(texts), sum(map(len, texts)) / CHARACTERS_PER_SECOND / 3600
        seconds = count / (SPOKEN_PER_SECOND * (os.cpu_count() or 1)) if corpus.card else count / READ_PER_SECOND
        megabytes = round(hours * 3600 * FLAC_KILOBYTES / 1000, 1)
        steps.append(Step(name, False, detail, round(hours, 3), round(seconds, 1), megabytes))
    return steps


def _refusal(recipe: Recipe) -> Refusal:
    """What the base cannot be trained on, from its processor alone."""
    from asr_analogy.asr.family import open_recogniser
    from asr_analogy.asr.hub import find

    return open_recogniser(find(recipe.base), recipe.language, weights=False).refusal


def _guard(recipe: Recipe, todo: Sequence[Corpus]) -> None:
    """Refuse a domain text that holds sentences of the domain test set."""
    train, held_out = (
        _sentences(recipe, next(corpus for corpus in todo if corpus.name == name))
        for name in ("domain-synthetic", "domain-test")
    )
    found = leaks([sentence.text for sentence in train], [sentence.text for sentence in held_out])
    if found:
        first = train[found[0].train_index]
        count = len({leak.train_index for leak in found})
        raise DataError(
            f"domain.text: {count} sentences leak into domain.test, first {first.source} ({found[0].reason}): "
            f"{first.text[:60]!r}; remove them from the training text, or the result means nothing"
        )


def _sentences(recipe: Recipe, corpus: Corpus) -> list[Sentence]:
    """The sentences of a corpus: its text, or the transcripts of its recordings."""
    with _blamed(corpus):
        if corpus.text is None:
            assert corpus.source is not None
            return [Sentence(row.text, row.source) for row in rows(corpus.source, sound=False)]
        found = read_sentences(shipped(corpus.text))
    limits = [corpus.source.limit if corpus.source else None, recipe.prepare.sentences if corpus.training else None]
    return found[: min([len(found), *(limit for limit in limits if limit is not None)])]


def _spoken_items(recipe: Recipe, workspace: Workspace, corpus: Corpus) -> list[Item]:
    """What the voices are to speak, in order. A text that comes again is another take of it, in another voice."""
    if corpus.partner is not None:
        partner = read_corpus(workspace.root / "prepared" / corpus.partner, ["id", "text", "source"])
        wanted = [(row.id, row.text, row.source) for row in partner]
    else:
        voices = _voices(recipe, corpus)
        sentences = [sentence for sentence in _sentences(recipe, corpus) for _ in range(voices)]
        wanted = [(f"{index:07d}", sentence.text, sentence.source) for index, sentence in enumerate(sentences)]
    items, takes = [], Counter[str]()
    for name, text, source in wanted:
        items.append(Item(name, text, source, takes[text]))
        takes[text] += 1
    return items


def _recorded_items(source: Source) -> Iterator[Item]:
    """The recordings of a source, in order; a generator, because rows may hold their encoded sound."""
    return (Item(f"{index:07d}", row.text, row.source, row=row) for index, row in enumerate(rows(source)))


def _write(recipe: Recipe, workspace: Workspace, corpus: Corpus, out: Path, refusal: Refusal) -> None:
    """Fill `out` with shards, dropped.jsonl and summary.json; shards that an earlier call finished are kept."""
    items: Iterable[Item]
    if corpus.card is not None:
        items = _spoken_items(recipe, workspace, corpus)
        total, make = len(items), _speaker(recipe, corpus, items)
    else:
        assert corpus.source is not None
        items, make = _recorded_items(corpus.source), _read
        total = sum(1 for _ in rows(corpus.source, sound=False))
    with progress(corpus.name, total) as advance:
        for name, part in _shards(items):
            if not (out / f"{name}.dropped").exists():
                _write_shard(recipe, out / name, part, make, refusal, advance)
            else:
                advance(len(part), "")
    _finish(corpus, out, total)


def _shards(items: Iterable[Item]) -> Iterator[tuple[str, list[Item]]]:
    """Items in lots of SHARD, each with the name of its shard."""
    rest, number = iter(items), 0
    while part := list(islice(rest, SHARD)):
        yield f"{number:05d}", part
        number += 1


def _write_shard(
    recipe: Recipe, shard: Path, part: Sequence[Item], make: Maker, refusal: Refusal, advance: Advance
) -> None:
    """Write `shard`.parquet (if anything is left for it), then `shard`.dropped, which says that the shard is whole."""
    kept, dropped = [], []
    for item, made in zip(part, make(part), strict=True):
        reason = made if isinstance(made, str) else _too_long(recipe, made) or refusal(made.text, made.duration)
        if isinstance(made, Utterance) and reason is None:
            kept.append(made)
        else:
            dropped.append({"id": item.id, "text": item.text, "source": item.source, "reason": reason})
        advance(1, "")
    if kept:  # `datasets` cannot read a shard without rows
        write_shard(shard.with_suffix(".parquet"), kept)
    write_whole(shard.with_suffix(".dropped"), "".join(json.dumps(row) + "\n" for row in dropped))


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


def _read(items: Sequence[Item]) -> Iterator[Utterance | str]:
    """Read recordings; a recording that cannot be used gives the reason instead."""
    for item in items:
        assert item.row is not None
        try:
            samples = item.row.samples()
        except DataError as error:
            yield str(error)
            continue
        yield _utterance(item, samples, item.text, item.row.speaker, 0)


def _speaker(recipe: Recipe, corpus: Corpus, items: Sequence[Item]) -> Maker:
    """A function that speaks items with the corpus's card, and in its room if it has one."""
    assert corpus.card is not None
    room = ROOMS[corpus.room] if corpus.room else None
    takes = [Take(item.text, item.take) for item in items[:BABBLE]]
    studio = Studio(corpus.name, recipe.seed, load_card(corpus.card), recipe.prepare.workers, room, takes)

    def speak(part: Sequence[Item]) -> Iterator[Utterance | str]:
        clips = studio.speak(Take(item.text, item.take) for item in part)
        for item, clip in zip(part, clips, strict=True):
            yield (
                clip if isinstance(clip, str) else _utterance(item, clip.samples, clip.tts_text, clip.voice, clip.seed)
            )

    return speak


def _utterance(item: Item, samples: np.ndarray, tts_text: str, speaker: str, seed: int) -> Utterance:
    duration = round(len(samples) / audio.SAMPLE_RATE, 4)
    return Utterance(item.id, audio.encode(samples), item.text, tts_text, speaker, duration, item.source, seed)
