"""Terms of art: mined from the domain's text against general text, spoken often enough, found again in transcripts.

A term is one to three words as the normaliser of its language writes them, so what is counted here is what is scored.
"""

# ruff: noqa: SIM905 - a list of words reads best as one string

import json
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from heapq import heapify, heappop, heappush
from pathlib import Path

from asr_analogy.errors import DataError, RecipeError
from asr_analogy.text.checks import function_words
from asr_analogy.text.normaliser import normaliser
from asr_analogy.text.scoring import normalise
from asr_analogy.workspace import write_whole

LONGEST = 5
"""Most words of a term that `find` looks for; `mine` makes terms of up to three."""

Form = Callable[[str], str]
"""A normaliser."""

_MINED = 3
_HELD = 2_000_000  # phrases counted at a time, about 500 MB
_NUMBERS = frozenset(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion "
    "trillion percent dollar dollars cent cents point minus plus".split()
)
_BREAK = re.compile(r"[,;:!?](?=\s)|[()\"“”—…]|\s[-–]\s")


@dataclass(frozen=True)
class Term:
    """A term, how often it stands in the domain's and in the general text, and in how many sentences of the domain.

    `score` is the log-likelihood ratio of Dunning (1993): 3.84 is p = 0.05, 10.83 is p = 0.001 for one term.
    """

    term: str
    count: int = 0
    general: int = 0
    sentences: int = 0
    score: float = 0.0


def mine(
    domain: Iterable[str],
    general: Iterable[str],
    least: int = 3,
    significance: float = 3.84,
    ratio: float = 4.0,
    cohesion: float = 3.0,
    language: str = "en",
) -> list[Term]:
    """Terms of the domain by falling score; both texts are sentences, read once each.

    Kept is what stands in the domain at least `least` times, in two sentences or more, with a log-likelihood ratio of
    `significance` and `ratio` times as often per word as in the general text (half a count added there). No term
    begins or ends with a function word or a number, crosses a comma or bracket, or only ever stands inside a longer
    term; a longer term's words stand together 2 ** `cohesion` times as often, per joint, as chance would have them.
    Memory is bounded: beyond two million different phrases the rarest are forgotten (after lossy counting).
    Source: Dunning, "Accurate methods for the statistics of surprise and coincidence", CL 19(1), 1993, for the score;
    Church and Hanks, CL 16(1), 1990, for cohesion; Manku and Motwani, VLDB 2002, for the counting.
    Raises DataError when one of the texts holds no word.
    """
    stop, form = function_words(language) | _NUMBERS, normaliser(language)
    counts, spread, words = _count(domain, stop, form)
    chosen = {
        phrase
        for phrase, count in counts.items()
        if count >= least
        and spread[phrase] > 1
        and not (phrase.endswith("'s") and counts[phrase[:-2]] >= least)
        and _coheres(phrase, counts, words, cohesion, stop)
    }
    elsewhere, others = _count_chosen(general, chosen, stop, form)
    if not words or not others:
        raise DataError(f"the {'general' if words else 'domain'} text holds no word; terms need both texts")
    found = []
    for phrase in chosen:
        ours, theirs = counts[phrase], elsewhere[phrase]
        score = _surprise(ours, theirs, words, others)
        if score >= significance and ours / words >= ratio * (theirs + 0.5) / others:
            found.append(Term(phrase, ours, theirs, spread[phrase], round(score, 2)))
    return sorted(_outermost(found), key=lambda one: (-one.score, one.term))


def cover(
    sentences: Collection[str], terms: AbstractSet[str], times: int, budget: int, seed: int, language: str = "en"
) -> list[int]:
    """Indices, ascending, of `budget` sentences in which every term stands in `times` different ones, rare terms first.

    Where the budget is too small for that, the terms in the fewest sentences are served first; what is left of the
    budget is drawn uniformly at random. A sentence that comes twice (by normalised words) counts once for a term. All
    indices when the budget is not below the number of sentences. Same seed, same choice.
    Source: greedy weighted coverage, Nemhauser et al. 1978, with the lazy heap of Minoux 1978.
    """
    if times < 1 or budget < 0:
        raise RecipeError(f"times {times}, budget {budget}: give times from 1 and a budget from 0")
    if budget >= len(sentences):
        return list(range(len(sentences)))
    names = sorted(terms)
    number = {name: place for place, name in enumerate(names)}
    holds = _holdings(sentences, number, normaliser(language))
    spread = Counter(term for held in holds.values() for term in held)
    generator = random.Random(seed)
    chosen = _greedy(holds, spread, times, budget, generator)
    taken = set(chosen)
    rest = [index for index in range(len(sentences)) if index not in taken]
    return sorted(chosen + generator.sample(rest, budget - len(chosen)))


def find(text: str, terms: AbstractSet[str]) -> dict[str, int]:
    """How often each term stands in `text` (none that does not); a term inside a longer term counts as well."""
    return dict(_occurrences(normalise(text).split(), terms))


def save_terms(path: Path, terms: Iterable[Term]) -> None:
    """Write one JSON object a line, whole or not at all."""
    write_whole(path, "".join(json.dumps(asdict(term), ensure_ascii=False) + "\n" for term in terms))


def load_terms(path: Path, language: str = "en") -> list[Term]:
    """Terms of a JSONL file; a hand-written line needs "term" only. Terms are normalised as the language is.

    Raises DataError for a line that is no term or a term of more than five words.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no list of terms can be read there ({error}); give a JSONL file") from None
    form = normaliser(language)
    return [_term(line, f"{path}:{number}", form) for number, line in enumerate(lines, 1) if line.strip()]


def _term(line: str, where: str, form: Form) -> Term:
    try:
        term = Term(**json.loads(line))
        name = form(term.term)
    except (ValueError, TypeError, AttributeError):
        raise DataError(f'{where}: not a term; write {{"term": "habeas corpus"}}') from None
    if not 1 <= len(name.split()) <= LONGEST:
        raise DataError(f"{where}: term {term.term!r} has {len(name.split())} words; give 1 to {LONGEST}")
    return Term(name, term.count, term.general, term.sentences, term.score)


def _occurrences(words: Sequence[str], terms: AbstractSet[str]) -> Counter[str]:
    found = Counter[str]()
    for start in range(len(words)):
        for end in range(start + 1, min(start + LONGEST, len(words)) + 1):
            if (phrase := " ".join(words[start:end])) in terms:
                found[phrase] += 1
    return found


def _parts(text: str, form: Form) -> Iterator[list[str]]:
    """Words between commas and brackets; terms do not cross these."""
    return (form(part).split() for part in _BREAK.split(text))


def _empty(word: str, stop: AbstractSet[str]) -> bool:
    return word in stop or ("'" in word and word.split("'")[0] in stop)


def _phrases(words: Sequence[str], stop: AbstractSet[str]) -> Iterator[str]:
    """Phrases of up to three words, neither end an empty word or amid spelt letters ("u s" of "u s c"); no letter alone."""
    empty = [_empty(word, stop) for word in words]
    spelt = [len(word) == len(other) == 1 for word, other in zip(words, words[1:], strict=False)] + [False]
    for start, word in enumerate(words):
        if empty[start] or (start and spelt[start - 1]):
            continue
        if len(word) > 1:
            yield word
        for end in range(start + 2, min(start + _MINED, len(words)) + 1):
            if not (empty[end - 1] or spelt[end - 1]):
                yield " ".join(words[start:end])


def _count(texts: Iterable[str], stop: AbstractSet[str], form: Form) -> tuple[Counter[str], Counter[str], int]:
    """Phrases, the sentences that each stands in, and the number of words."""
    counts, spread, words = Counter[str](), Counter[str](), 0
    for text in texts:
        here = Counter[str]()
        for part in _parts(text, form):
            words += len(part)
            here.update(_phrases(part, stop))
        counts.update(here)
        spread.update(here.keys())
        if len(counts) > _HELD:
            _forget(counts, spread)
    return counts, spread, words


def _count_chosen(
    texts: Iterable[str], chosen: AbstractSet[str], stop: AbstractSet[str], form: Form
) -> tuple[Counter[str], int]:
    """How often the chosen phrases stand there, and the number of words."""
    counts, words = Counter[str](), 0
    for text in texts:
        for part in _parts(text, form):
            words += len(part)
            counts.update(phrase for phrase in _phrases(part, stop) if phrase in chosen)
    return counts, words


def _forget(counts: Counter[str], spread: Counter[str]) -> None:
    """Drop the rarest phrases until half of what may be held is left."""
    floor = 1
    while len(counts) > _HELD // 2:
        for phrase in [phrase for phrase, count in counts.items() if count <= floor]:
            del counts[phrase], spread[phrase]
        floor += 1


def _coheres(phrase: str, counts: Counter[str], words: int, cohesion: float, stop: AbstractSet[str]) -> bool:
    """Whether the words that mean something stand together more often than chance; letters alone always do."""
    parts = [word for word in phrase.split() if not _empty(word, stop) and len(word) > 1]
    chance = sum(math.log2(max(counts[part], 1) / words) for part in parts)
    joints = len(parts) - 1
    return joints < 1 or math.log2(counts[phrase] / words) - chance >= cohesion * joints


def _surprise(ours: int, theirs: int, words: int, others: int) -> float:
    """G2 of two Poisson rates, as corpus linguistics uses it (Rayson and Garside 2000)."""
    share = (ours + theirs) / (words + others)
    terms = ((ours, words * share), (theirs, others * share))
    return 2 * sum(seen * math.log(seen / expected) for seen, expected in terms if seen)


def _outermost(terms: Sequence[Term]) -> list[Term]:
    """Without the terms that never stand outside a longer one."""
    inside: dict[str, int] = {}
    for term in terms:
        words = term.term.split()
        for size in range(1, len(words)):
            for start in range(len(words) - size + 1):
                part = " ".join(words[start : start + size])
                inside[part] = max(inside.get(part, 0), term.count)
    return [term for term in terms if inside.get(term.term, 0) < term.count]


def _holdings(sentences: Iterable[str], number: dict[str, int], form: Form) -> dict[int, tuple[int, ...]]:
    """Terms by sentence, for the sentences that hold any; repeats of a sentence are left out."""
    holds: dict[int, tuple[int, ...]] = {}
    seen = set[int]()
    names = number.keys()
    for index, text in enumerate(sentences):
        words = form(text).split()
        held = tuple(sorted(number[name] for name in _occurrences(words, names)))
        if held and (key := hash(tuple(words))) not in seen:
            seen.add(key)
            holds[index] = held
    return holds


def _greedy(
    holds: dict[int, tuple[int, ...]], spread: Counter[int], times: int, budget: int, generator: random.Random
) -> list[int]:
    """Sentences by falling gain: the sum over the terms still wanted of one over the sentences that have the term.

    A gain only ever falls, so the top of the heap whose gain is up to date is the best one of all.
    """
    wanted = {term: min(times, count) for term, count in spread.items()}

    def gain(index: int) -> float:
        return sum(1 / spread[term] for term in holds[index] if wanted[term])

    heap = [(-gain(index), generator.random(), index) for index in holds]
    heapify(heap)
    chosen = list[int]()
    while heap and len(chosen) < budget:
        old, tie, index = heappop(heap)
        now = -gain(index)
        if not now:
            continue
        if now > old:
            heappush(heap, (now, tie, index))
            continue
        chosen.append(index)
        for term in holds[index]:
            wanted[term] = max(0, wanted[term] - 1)
    return chosen
