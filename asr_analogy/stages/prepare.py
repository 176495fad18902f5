"""prepare: from text and recordings to the corpora that the arms are trained and judged on.

general-synthetic and general-real speak the same sentences under the same ids, so that their difference is the voice
alone; training leaves out of both what either had to drop.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from asr_analogy.claims import Claims
from asr_analogy.errors import MissingError
from asr_analogy.progress import progress
from asr_analogy.recipe import Recipe, Source, shipped
from asr_analogy.speech import audio
from asr_analogy.speech.corpora import Corpus, corpora
from asr_analogy.speech.corpus import Utterance
from asr_analogy.speech.recordings import Tests, recordings, spoken
from asr_analogy.speech.rooms import ROOMS
from asr_analogy.speech.script import (
    REJECTED,
    SCRIPT,
    Cue,
    blamed,
    held_out,
    length,
    read_script,
    sentences,
    write_script,
)
from asr_analogy.speech.shards import SUMMARY, Job, Maker, Refused, batched, finished, sum_up, write_shards
from asr_analogy.speech.sources import fingerprint, rows
from asr_analogy.text.documents import Sentence
from asr_analogy.text.lexicon import load_lexicon
from asr_analogy.tts.studio import BABBLE, Clip, Screen, Studio, Take
from asr_analogy.tts.voice import Card, load_card
from asr_analogy.workspace import Folder, Step, Workspace, digest, hash_of, write_whole

log = logging.getLogger("asr_analogy")

PACES = "paces.json"
"""How fast the voices read, while a corpus is made."""
OUTTAKES = "outtakes"
"""Folder of the clips that the screen dropped, kept for listening."""

CHARACTERS_PER_SECOND, FLAC_KILOBYTES = 15, 18
"""For estimates: how fast English is read, and the size of a second of 16 kHz FLAC."""
UNWRITTEN = 75
"""For estimates: the characters of a clip whose transcript nobody wrote."""
SPOKEN_PER_SECOND, READ_PER_SECOND = 100, 500
"""For estimates: utterances that one core speaks, and recordings that are read, in a second."""

Refusal = Callable[[str, float], str | None]


def prepare(recipe: Recipe, workspace: Workspace, force: bool = False) -> None:
    """Prepare every corpus of the recipe into `prepared/`; finished ones are skipped.

    Several processes may do this at once, on machines that share the workspace: each makes the shards that no other has
    claimed, waits for what the others have in hand, and returns when all is there. The result is the same bytes.
    Raises RecipeError for corpora made from other inputs, DataError for text or audio that cannot be used, MissingError.
    """
    todo = folders(recipe, workspace, force)
    ready = [place.done() for _, place in todo]  # every refusal comes before any work
    if all(ready):
        log.info("prepare: all %d corpora are there", len(todo))
        return
    refusal, tests = _refusal(recipe), cache(lambda: held_out(recipe))
    for corpus, place in todo:
        if not place.done():
            _prepare(recipe, workspace, corpus, place, refusal, tests)
            _log_summary(corpus, place)


def prepare_test(test: Source, workspace: Workspace, force: bool = False) -> None:
    """Prepare a test set of recordings, of whatever length, as `prepared/test`; skipped if it is there.

    Raises RecipeError for a folder made from another test set, DataError for what cannot be used.
    """
    corpus = Corpus("test", test, training=False)
    with blamed(corpus):
        inputs = {"source": test.model_dump(mode="json", exclude_defaults=True), "stand_in": False}
        inputs["source_content"] = fingerprint(test, testing=True)
    place = workspace.folder(f"prepared/{corpus.name}", inputs, force)
    if not place.done():
        _fill(corpus, place, None, lambda claims: recordings(corpus, None, lambda utterance: None))
        _log_summary(corpus, place)


def _prepare(
    recipe: Recipe, workspace: Workspace, corpus: Corpus, place: Folder, refusal: Refusal, tests: Tests
) -> None:
    out = place.partial
    partner = workspace.root / "prepared" / corpus.partner if corpus.partner else None
    script = None if corpus.card is None else lambda: write_script(recipe, corpus, out, tests, partner)
    _fill(corpus, place, script, lambda claims: _job(recipe, corpus, out, claims, refusal, tests))


def _fill(
    corpus: Corpus, place: Folder, script: Callable[[], None] | None, job: Callable[[Claims], tuple[int, Job]]
) -> None:
    """Make the script if there is one, then all shards, then the folder, with whatever processes work on the same."""
    started, out = time.time(), place.partial
    with place.shared() as claims:
        if place.done():  # by another process, this moment
            return
        if script is not None:
            there = lambda: (out / SCRIPT).exists() or finished(out)  # noqa: E731
            claims.once("script", there, script)
        if not finished(out):
            total, shards = job(claims)
            with progress(corpus.name, total) as advance:
                write_shards(out, claims, shards, advance)

        def finish() -> None:
            sum_up(corpus.name, out, corpus.stand_in, (SCRIPT, PACES), REJECTED)
            place.publish(started)

        claims.once("folder", place.done, finish)


def _log_summary(corpus: Corpus, place: Folder) -> None:
    summary = _summary(place)
    report = "  %s: %d utterances, %.2f h, %d dropped"
    log.info(report, corpus.name, summary["utterances"], summary["hours"], summary["dropped"])


def _summary(place: Folder) -> dict[str, Any]:
    return json.loads((place.path / SUMMARY).read_text())


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
        card = load_card(corpus.card)
        inputs["card"] = card.model_dump(exclude={"licence"})
        if local := card.local():
            inputs["voice_files"] = local
        inputs["room"] = asdict(ROOMS[corpus.room]) if corpus.room else None
        inputs["screen"] = options.screen.model_dump() if _is_screened(corpus) else None
        inputs["lexicon"] = digest(_lexicon(options.lexicon)) if options.lexicon else None
    if corpus.source is not None:
        inputs["source"] = corpus.source.model_dump(mode="json", exclude_defaults=True)
    if corpus.source is not None and corpus.card is None:
        with blamed(corpus):
            inputs["source_content"] = fingerprint(corpus.source, testing=not corpus.training)
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
        takes = recipe.prepare.voices_per_sentence if corpus.training and source.text else 1
        count, characters = 0, 0
        for size in islice(_characters(recipe, source), limit):
            count, characters = count + takes, characters + takes * size
        hours = characters / CHARACTERS_PER_SECOND / 3600
        seconds = count / (SPOKEN_PER_SECOND * (os.cpu_count() or 1)) if corpus.card else count / READ_PER_SECOND
        megabytes = round(hours * 3600 * FLAC_KILOBYTES / 1000, 1)
        steps.append(Step(name, False, detail, round(hours, 3), round(seconds, 1), megabytes))
    return steps


def _characters(recipe: Recipe, corpus: Corpus) -> Iterator[int]:
    """The length of every text of a corpus; a clip without a transcript counts as UNWRITTEN."""
    if corpus.source is None or corpus.card is not None:
        yield from (len(sentence.text) for sentence in sentences(recipe, corpus))
        return
    with blamed(corpus):
        yield from (len(row.text) or UNWRITTEN for row in rows(corpus.source, False, not corpus.training))


def _refusal(recipe: Recipe) -> Refusal:
    """What the base cannot be trained on, from its processor alone."""
    from asr_analogy.asr.family import open_recogniser
    from asr_analogy.asr.hub import find

    return open_recogniser(find(recipe.base), recipe.language, weights=False).refusal


def _job(recipe: Recipe, corpus: Corpus, out: Path, claims: Claims, refusal: Refusal, tests: Tests) -> tuple[int, Job]:
    """How many utterances there are to make, and what the shards are made of."""

    def reject(utterance: Utterance) -> str | None:
        unfit = refusal(utterance.text, utterance.duration) if corpus.training else None
        return _too_long(recipe, utterance) or unfit

    if corpus.card is not None:
        card = load_card(corpus.card)
        parts = lambda: batched(read_script(out), card.shard)  # noqa: E731
        return length(out), Job(parts, lambda: _speaker(recipe, corpus, card, out, claims), reject)
    return recordings(corpus, tests if corpus.training else None, reject)


def _too_long(recipe: Recipe, utterance: Utterance) -> str | None:
    longest = recipe.prepare.longest
    return f"longer than prepare.longest ({longest:g} s)" if utterance.duration > longest else None


def _speaker(recipe: Recipe, corpus: Corpus, card: Card, out: Path, claims: Claims) -> Maker:
    """A function that speaks cues with the corpus's card, in its room if it has one."""
    lexicon = load_lexicon(_lexicon(recipe.prepare.lexicon)) if recipe.prepare.lexicon else None
    takes = [Take(cue.text, cue.take) for cue in islice(read_script(out), BABBLE)]
    room = ROOMS[corpus.room] if corpus.room else None
    screen = _screen(recipe, card) if _is_screened(corpus) else None
    studio = Studio(
        corpus.name, recipe.seed, card, recipe.prepare.workers, room, takes, recipe.language, lexicon, screen
    )
    if screen is not None:
        paces = out / PACES  # measured once, whoever makes the shards
        claims.once("paces", paces.exists, lambda: write_whole(paces, json.dumps(studio.measure(takes))))
        studio.paces = json.loads(paces.read_text())

    def speak(part: Sequence[Cue]) -> Iterator[Utterance | Refused]:
        clips = studio.speak(Take(cue.text, cue.take) for cue in part)
        for cue, clip in zip(part, clips, strict=True):
            if isinstance(clip, Clip):
                yield spoken(cue.id, cue.text, cue.source, clip.samples, clip.tts_text, clip.voice, clip.seed)
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
