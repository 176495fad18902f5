"""prepare: from text and recordings to the corpora that the arms are trained and judged on.

general-synthetic and general-real speak the same sentences under the same ids, so that their difference is the voice
alone; training leaves out of both what either had to drop.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from asr_analogy.errors import DataError, MissingError
from asr_analogy.progress import Advance, progress
from asr_analogy.recipe import Recipe, shipped
from asr_analogy.speech import audio
from asr_analogy.speech.corpora import Corpus, corpora
from asr_analogy.speech.corpus import Utterance, lengths, write_shard
from asr_analogy.speech.rooms import ROOMS
from asr_analogy.speech.script import REJECTED, SCRIPT, Cue, blamed, held_out, read_script, sentences, write_script
from asr_analogy.speech.sources import Row, fingerprint, rows
from asr_analogy.text.documents import Sentence
from asr_analogy.text.lexicon import load_lexicon
from asr_analogy.tts.studio import BABBLE, Clip, Screen, Studio, Take
from asr_analogy.tts.voice import Card, load_card
from asr_analogy.workspace import Folder, Step, Workspace, digest, hash_of, write_whole

log = logging.getLogger("asr_analogy")

READ = 500
"""Recordings per Parquet shard; of spoken utterances the voice card says how many. A killed run loses the one in hand."""

OUTTAKES = "outtakes"
"""Folder of the clips that the screen dropped, kept for listening."""

CHARACTERS_PER_SECOND, FLAC_KILOBYTES = 15, 18
"""For estimates: how fast English is read, and the size of a second of 16 kHz FLAC."""
SPOKEN_PER_SECOND, READ_PER_SECOND = 100, 500
"""For estimates: utterances that one core speaks, and recordings that are read, in a second."""

Part = TypeVar("Part")
Refusal = Callable[[str, float], str | None]


@dataclass(frozen=True)
class Refused:
    """An utterance that is not made, and why."""

    id: str
    text: str
    source: str
    reason: str


Maker = Callable[[Sequence[Any]], Iterator[Utterance | Refused]]
"""Makes cues or rows of a source into utterances, in order."""


def prepare(recipe: Recipe, workspace: Workspace, force: bool = False) -> None:
    """Prepare every corpus of the recipe into `prepared/`; finished ones are skipped.

    Raises RecipeError for corpora made from other inputs, DataError for text or audio that cannot be used, MissingError.
    """
    todo = folders(recipe, workspace, force)
    ready = [place.done() for _, place in todo]
    if all(ready):
        log.info("prepare: all %d corpora are there", len(todo))
        return
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
    found = corpora(recipe)
    texts = {corpus.name: _hash(sentences(recipe, corpus)) for corpus in found if corpus.partner is None}
    inputs: dict[str, dict[str, Any]] = {}
    for corpus in found:
        inputs[corpus.name] = _inputs(recipe, corpus)
        if corpus.training:
            inputs[corpus.name]["held_out"] = hash_of(texts[other.name] for other in found if not other.training)
        if corpus.partner is not None:
            inputs[corpus.name]["partner"] = inputs[corpus.partner]
        elif corpus.text is not None:
            inputs[corpus.name]["text"] = texts[corpus.name]
        if recipe.prepare.sentences and corpus.name == "domain-synthetic" and "general-real" in texts:
            inputs[corpus.name]["against"] = texts["general-real"]
    return [(corpus, workspace.folder(f"prepared/{corpus.name}", inputs[corpus.name], force)) for corpus in found]


def _inputs(recipe: Recipe, corpus: Corpus) -> dict[str, Any]:
    """The settings that shape a corpus, and the content of its recordings."""
    options = recipe.prepare
    inputs: dict[str, Any] = {"corpus": corpus.name, "seed": recipe.seed, "longest": options.longest}
    inputs |= {"stand_in": corpus.stand_in, "language": recipe.language}
    if corpus.training:
        inputs["base"] = recipe.base
    if corpus.training and corpus.text is not None:
        inputs |= options.model_dump(include={"sentences", "term_times", "redact", "voices_per_sentence"})
    if corpus.card is not None:
        inputs["card"] = load_card(corpus.card).model_dump(exclude={"licence"})
        inputs["room"] = asdict(ROOMS[corpus.room]) if corpus.room else None
        inputs["screen"] = options.screen.model_dump() if _is_screened(corpus) else None
        inputs["lexicon"] = digest(_lexicon(options.lexicon)) if options.lexicon else None
    if corpus.source is not None:
        inputs["source"] = corpus.source.model_dump(mode="json", exclude_defaults=True)
    if corpus.source is not None and corpus.card is None:
        with blamed(corpus):
            inputs["source_content"] = fingerprint(corpus.source)
    return inputs


def _hash(found: Iterable[Sentence]) -> str:
    return hash_of(part for sentence in found for part in (sentence.text, sentence.source))


def _lexicon(path: Path) -> Path:
    found = shipped(path)
    if not found.is_file():
        raise MissingError(f"prepare.lexicon: {path}: no such file; check the path")
    return found


def _is_screened(corpus: Corpus) -> bool:
    """Both synthetic arms are, by one rule; stand-ins for recordings are not."""
    return corpus.training and corpus.card is not None and not corpus.stand_in


def estimate(recipe: Recipe, workspace: Workspace) -> list[Step]:
    """What prepare would do: hours of audio are estimated from the texts where nothing is prepared yet."""
    steps = []
    for corpus, place in folders(recipe, workspace):
        name, detail = f"prepared/{corpus.name}", "stand-in" if corpus.stand_in else ""
        if place.done():
            steps.append(Step(name, True, detail, _summary(place)["hours"]))
            continue
        source = next(other for other in corpora(recipe) if other.name == (corpus.partner or corpus.name))
        limit = recipe.prepare.sentences if corpus.training and source.text else None
        lengths_ = [len(sentence.text) for sentence in islice(sentences(recipe, source), limit)]
        takes = recipe.prepare.voices_per_sentence if corpus.training and source.text else 1
        count, hours = takes * len(lengths_), takes * sum(lengths_) / CHARACTERS_PER_SECOND / 3600
        seconds = count / (SPOKEN_PER_SECOND * (os.cpu_count() or 1)) if corpus.card else count / READ_PER_SECOND
        megabytes = round(hours * 3600 * FLAC_KILOBYTES / 1000, 1)
        steps.append(Step(name, False, detail, round(hours, 3), round(seconds, 1), megabytes))
    return steps


def _refusal(recipe: Recipe) -> Refusal:
    """What the base cannot be trained on, from its processor alone."""
    from asr_analogy.asr.family import open_recogniser
    from asr_analogy.asr.hub import find

    return open_recogniser(find(recipe.base), recipe.language, weights=False).refusal


def _write(recipe: Recipe, workspace: Workspace, corpus: Corpus, out: Path, refusal: Refusal) -> None:
    """Fill `out` with shards, dropped.jsonl and summary.json; shards that an earlier call finished are kept."""
    if corpus.card is not None:
        partner = workspace.root / "prepared" / corpus.partner if corpus.partner else None
        write_script(recipe, corpus, out, partner)
        total, card = sum(1 for _ in read_script(out)), load_card(corpus.card)
        parts: Iterator[list[Any]]
        parts, make = _batched(read_script(out), card.shard), _speaker(recipe, corpus, card, out)
    else:
        assert corpus.source is not None
        total, parts = sum(1 for _ in rows(corpus.source, sound=False)), _batched(enumerate(rows(corpus.source)), READ)
        make = _reader(recipe, corpus)
    with progress(corpus.name, total) as advance:
        for number, part in enumerate(parts):
            shard = out / f"{number:05d}"
            if shard.with_suffix(".dropped").exists():
                advance(len(part), "")
            else:
                _write_shard(recipe, shard, part, make, refusal, advance)
    _finish(corpus, out, total)


def _write_shard(
    recipe: Recipe, shard: Path, part: Sequence[Any], make: Maker, refusal: Refusal, advance: Advance
) -> None:
    """Write `shard`.parquet (if anything is left for it), then `shard`.dropped, which says that the shard is whole."""
    kept, dropped = list[Utterance](), list[dict[str, str]]()
    for made in make(part):
        reason = (
            made.reason if isinstance(made, Refused) else _too_long(recipe, made) or refusal(made.text, made.duration)
        )
        if isinstance(made, Utterance) and reason is None:
            kept.append(made)
        else:
            dropped.append({"id": made.id, "text": made.text, "source": made.source, "reason": reason or ""})
        advance(1, "")
    if kept:  # `datasets` cannot read a shard without rows
        write_shard(shard.with_suffix(".parquet"), kept)
    write_whole(shard.with_suffix(".dropped"), "".join(json.dumps(row) + "\n" for row in dropped))


def _finish(corpus: Corpus, out: Path, total: int) -> None:
    """Sum up the shards; the script and the small files of the shards are gone afterwards."""
    parts = [*out.glob(REJECTED), *sorted(out.glob("*.dropped"))]
    with (out / "dropped.jsonl.part").open("w", encoding="utf-8") as dropped:
        count = sum(dropped.write(line) > 0 for part in parts for line in part.open(encoding="utf-8"))
    (out / "dropped.jsonl.part").replace(out / "dropped.jsonl")
    seconds, utterances = lengths(out)
    if not utterances:
        with (out / "dropped.jsonl").open(encoding="utf-8") as dropped:
            first = dropped.readline()
        why = json.loads(first)["reason"] if first else "there was nothing to prepare"
        raise DataError(f"{corpus.name}: none of {max(total, count)} utterances is usable; the first: {why}")
    summary = {"utterances": utterances, "hours": round(seconds / 3600, 4), "dropped": count}
    write_whole(out / "summary.json", json.dumps({**summary, "stand_in": corpus.stand_in}))
    for part in [*parts, *out.glob(SCRIPT)]:
        part.unlink()


def _too_long(recipe: Recipe, utterance: Utterance) -> str | None:
    longest = recipe.prepare.longest
    return f"longer than prepare.longest ({longest:g} s)" if utterance.duration > longest else None


def _reader(recipe: Recipe, corpus: Corpus) -> Maker:
    """A function that reads recordings; in a training corpus none that says what a test set holds."""
    tests = held_out(recipe) if corpus.training else None

    def read(part: Sequence[tuple[int, Row]]) -> Iterator[Utterance | Refused]:
        for number, row in part:
            name = f"{number:07d}"
            reason = tests.reason(row.text) if tests else None
            try:
                if reason is None:
                    yield _utterance(name, row.text, row.source, row.samples(), row.text, row.speaker, 0)
                    continue
            except DataError as error:
                reason = str(error)
            yield Refused(name, row.text, row.source, reason)

    return read


def _speaker(recipe: Recipe, corpus: Corpus, card: Card, out: Path) -> Maker:
    """A function that speaks cues with the corpus's card, in its room if it has one."""
    lexicon = load_lexicon(_lexicon(recipe.prepare.lexicon)) if recipe.prepare.lexicon else None
    takes = [Take(cue.text, cue.take) for cue in islice(read_script(out), BABBLE)]
    room = ROOMS[corpus.room] if corpus.room else None
    screen = _screen(recipe, card) if _is_screened(corpus) else None
    studio = Studio(
        corpus.name, recipe.seed, card, recipe.prepare.workers, room, takes, recipe.language, lexicon, screen
    )

    def speak(part: Sequence[Cue]) -> Iterator[Utterance | Refused]:
        clips = studio.speak(Take(cue.text, cue.take) for cue in part)
        for cue, clip in zip(part, clips, strict=True):
            if isinstance(clip, Clip):
                yield _utterance(cue.id, cue.text, cue.source, clip.samples, clip.tts_text, clip.voice, clip.seed)
                continue
            if clip.samples is not None:
                (out / OUTTAKES).mkdir(exist_ok=True)
                write_whole(out / OUTTAKES / f"{cue.id}.flac", audio.encode(clip.samples))
            yield Refused(cue.id, cue.text, cue.source, clip.reason)

    return speak


def _screen(recipe: Recipe, card: Card) -> Screen:
    """The rule by which the clips of both synthetic arms are screened."""
    options = recipe.prepare.screen
    if not options.listens(card.drawn):
        return Screen(options.retries, options.error_rate)
    from asr_analogy.asr.hub import find
    from asr_analogy.asr.listening import listener

    listen = listener(find(recipe.checker), recipe.language, recipe.evaluate.batch)
    return Screen(options.retries, options.error_rate, listen)


def _utterance(
    name: str, text: str, source: str, samples: np.ndarray, tts_text: str, speaker: str, seed: int
) -> Utterance:
    duration = round(len(samples) / audio.SAMPLE_RATE, 4)
    return Utterance(name, audio.encode(samples), text, tts_text, speaker, duration, source, seed)


def _batched(found: Iterable[Part], size: int) -> Iterator[list[Part]]:
    rest = iter(found)
    while part := list(islice(rest, size)):
        yield part
