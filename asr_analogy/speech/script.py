"""The script of a corpus: what its voices are to say, line by line, kept in the folder that the corpus is written into.

A script is made once, from texts or from the transcripts of the corpus's partner, and read line by line afterwards, so
that a million sentences need no more memory than a thousand.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path

from asr_analogy.errors import DataError, MissingError
from asr_analogy.recipe import Recipe, shipped
from asr_analogy.speech.audit import spread
from asr_analogy.speech.corpora import Corpus, corpora
from asr_analogy.speech.corpus import Utterance, each_utterance
from asr_analogy.speech.sources import rows
from asr_analogy.text.checks import fingerprint, function_words
from asr_analogy.text.documents import Sentence, read_sentences
from asr_analogy.text.leakage import HeldOut
from asr_analogy.text.selection import Selection
from asr_analogy.text.tally import Tally
from asr_analogy.text.terms import cover, mine, save_terms
from asr_analogy.workspace import lines_whole, part_name

SCRIPT, REJECTED, TERMS = "script.jsonl", "rejected.jsonl", "terms.jsonl"

LEAKED = 0.01
"""Share of the domain's sentences that may stand in a test set: those are dropped; with more of them nothing is made."""

_log = logging.getLogger("asr_analogy")

Reject = Callable[[Sentence, str], None]


@dataclass(frozen=True)
class Cue:
    """One line of a script: the id of the utterance, what is said, where that stands, the how-manieth time it is said."""

    id: str
    text: str
    source: str
    take: int = 0


def sentences(recipe: Recipe, corpus: Corpus) -> Iterator[Sentence]:
    """All sentences of a corpus as its source has them: of its texts, or what transcripts its recordings have."""
    with blamed(corpus):
        if corpus.text is None:
            assert corpus.source is not None
            found = rows(corpus.source, sound=False, testing=not corpus.training)
            yield from (Sentence(row.text, row.source) for row in found if row.text)
            return
        limit = corpus.source.limit if corpus.source else None
        texts = chain.from_iterable(read_sentences(shipped(path)) for path in corpus.text)
        yield from islice(texts, limit)


@contextmanager
def blamed(corpus: Corpus) -> Iterator[None]:
    """Say in an error which corpus was being read."""
    try:
        yield
    except (DataError, MissingError) as error:
        raise type(error)(f"{corpus.name}: {error}") from error


def held_out(recipe: Recipe) -> HeldOut:
    """What no training corpus may hold: the sentences of the recipe's test sets."""
    tests = [corpus for corpus in corpora(recipe) if not corpus.training]
    return HeldOut(sentence for corpus in tests for sentence in sentences(recipe, corpus))


def write_script(
    recipe: Recipe, corpus: Corpus, out: Path, tests: Callable[[], HeldOut], partner: Path | None = None
) -> None:
    """Write the script of a spoken corpus into `out`, and beside it the sentences that are not spoken and why.

    `partner` is the prepared corpus whose transcripts are said. A training text is checked, freed of repetitions and
    of what the `tests` hold, and limited to `prepare.sentences`; a test set is said as it is. The script appears whole,
    after everything else. Raises DataError if too much of the domain's text stands in a test set.
    """
    with lines_whole(out / SCRIPT) as script, lines_whole(out / REJECTED) as rejected:

        def reject(sentence: Sentence, reason: str) -> None:
            row = {"id": "", "text": sentence.text, "source": sentence.source, "reason": reason}
            rejected.write(json.dumps(row) + "\n")

        if partner is not None:
            cues = _again(each_utterance(partner, ["id", "text", "source"]))
        elif not corpus.training:
            cues = (Cue(f"{n:07d}", one.text, one.source) for n, one in enumerate(sentences(recipe, corpus)))
        else:
            cues = _takes(recipe, _chosen(recipe, corpus, out, tests(), reject))
        for cue in cues:
            script.write(json.dumps(asdict(cue)) + "\n")


def read_script(out: Path) -> Iterator[Cue]:
    """The lines of a script, one at a time."""
    with (out / SCRIPT).open(encoding="utf-8", newline="\n") as script:
        for line in script:
            yield Cue(**json.loads(line))


def length(out: Path) -> int:
    """How many lines a script has."""
    with (out / SCRIPT).open("rb") as script:
        return sum(1 for _ in script)


def _chosen(recipe: Recipe, corpus: Corpus, out: Path, tests: HeldOut, reject: Reject) -> Iterator[Sentence]:
    """The sentences of a training text that are spoken; terms that decided about the domain's are kept in `out`."""
    leaked = 0

    def count(sentence: Sentence, reason: str) -> None:
        nonlocal leaked
        leaked += reason.startswith("held out")
        reject(sentence, reason)

    rule = Selection(recipe.language, tests, recipe.prepare.redact, count)
    if corpus.name != "domain-synthetic":
        yield from islice(rule.keep(sentences(recipe, corpus)), recipe.prepare.sentences)
        return
    kept = _Kept(part_name(out / SCRIPT), rule.keep(sentences(recipe, corpus)))
    _guard(len(kept) + leaked, leaked, corpus)
    yield from _covering(recipe, kept, out)
    kept.path.unlink()


class _Kept(Collection[str]):
    """The sentences of a text that passed, in a file: they are gone through several times. As a collection: their texts."""

    def __init__(self, path: Path, found: Iterable[Sentence]) -> None:
        self.path = path
        with path.open("w", encoding="utf-8", newline="\n") as file:
            self.count = sum(file.write(json.dumps([one.text, one.source]) + "\n") > 0 for one in found)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[str]:
        return (one.text for one in self.sentences())

    def __contains__(self, text: object) -> bool:
        return any(one == text for one in self)

    def sentences(self) -> Iterator[Sentence]:
        with self.path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield Sentence(*json.loads(line))


def _guard(total: int, leaked: int, corpus: Corpus) -> None:
    if leaked > LEAKED * total:
        raise DataError(
            f"domain.text: {leaked} of {total} sentences stand in a test set as well; remove the test set's documents "
            "from the training text, or the result means nothing"
        )
    if leaked:
        _log.warning("%s: %d sentences stand in a test set and are left out (dropped.jsonl)", corpus.name, leaked)


def _covering(recipe: Recipe, kept: _Kept, out: Path) -> Iterator[Sentence]:
    """The domain's sentences, limited to `prepare.sentences` such that its terms are spoken often enough."""
    limit = recipe.prepare.sentences
    if limit is None or limit >= len(kept) or not function_words(recipe.language):  # terms are found between those
        return islice(kept.sentences(), limit)
    general = next((corpus for corpus in corpora(recipe) if corpus.name == "general-real"), None)
    if general is None:  # a stored vector stands for it, so there is nothing to hold the domain's words against
        return _picked(kept, spread(len(kept), limit))
    terms = mine(kept, (sentence.text for sentence in sentences(recipe, general)), language=recipe.language)
    save_terms(out / TERMS, terms)
    names = {term.term for term in terms}
    return _picked(kept, cover(kept, names, recipe.prepare.term_times, limit, recipe.seed, recipe.language))


def _picked(kept: _Kept, indices: Iterable[int]) -> Iterator[Sentence]:
    chosen = set(indices)
    return (sentence for index, sentence in enumerate(kept.sentences()) if index in chosen)


def _takes(recipe: Recipe, chosen: Iterable[Sentence]) -> Iterator[Cue]:
    voices = recipe.prepare.voices_per_sentence
    for number, sentence in enumerate(chosen):
        for take in range(voices):
            yield Cue(f"{number * voices + take:07d}", sentence.text, sentence.source, take)


def _again(wanted: Iterable[Utterance]) -> Iterator[Cue]:
    """Transcripts as cues; one that comes again is another take of it, in another voice."""
    takes = Tally()
    for row in wanted:
        yield Cue(row.id, row.text, row.source, takes.add(fingerprint(row.text)))
