"""What became of the terms of art: recall and precision, errors in their words and in all others, with counts.

Texts are normalised by the given normaliser; a term is a phrase of normalised words, longest first, none inside another.
Chinese and Japanese characters are words of their own here.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from asr_analogy.errors import DataError
from asr_analogy.text.alignment import align
from asr_analogy.text.english_form import english
from asr_analogy.text.scoring import Counts

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\s\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


@dataclass(frozen=True)
class TermCounts:
    """How often terms were said, written, and both; `by_term` holds (said, written, both) of every term that occurs."""

    said: int
    written: int
    both: int
    by_term: dict[str, tuple[int, int, int]]

    @property
    def recall(self) -> float:
        """Percent of the said terms that were written; nan when none was said."""
        return 100 * self.both / self.said if self.said else float("nan")

    @property
    def precision(self) -> float:
        """Percent of the written terms that were said; nan when none was written."""
        return 100 * self.both / self.written if self.written else float("nan")


@dataclass(frozen=True)
class Split:
    """Edits in words of the terms (B-WER) and in all other words (U-WER); together they are the counts of the text."""

    terms: Counts
    others: Counts


def term_counts(
    references: Sequence[str],
    hypotheses: Sequence[str],
    terms: Iterable[str],
    normaliser: Callable[[str], str] = english,
) -> TermCounts:
    """Terms said and written, matched utterance by utterance: a term said twice and written once counts one hit.

    Raises DataError when the two sequences differ in length.
    """
    return joined(each_term_counts(references, hypotheses, terms, normaliser))


def each_term_counts(
    references: Sequence[str],
    hypotheses: Sequence[str],
    terms: Iterable[str],
    normaliser: Callable[[str], str] = english,
) -> list[TermCounts]:
    """As `term_counts`, for every utterance by itself."""
    _same(len(references), len(hypotheses))
    names = _Names(terms, normaliser)
    return [
        _counted(names.find(_words(one, normaliser)), names.find(_words(other, normaliser)))
        for one, other in zip(references, hypotheses, strict=True)
    ]


def keyword_counts(
    keywords: Sequence[Iterable[str]], hypotheses: Sequence[str], normaliser: Callable[[str], str] = english
) -> TermCounts:
    """Recall of the keywords known to be said in each clip, where no transcript is there.

    A keyword listed twice was said twice; `written` counts, in every clip, only the keywords of that clip, so that
    precision says no more than recall where a word is written more often than listed.
    Raises DataError when the two sequences differ in length.
    """
    return joined(each_keyword_counts(keywords, hypotheses, normaliser))


def each_keyword_counts(
    keywords: Sequence[Iterable[str]], hypotheses: Sequence[str], normaliser: Callable[[str], str] = english
) -> list[TermCounts]:
    """As `keyword_counts`, for every clip by itself."""
    _same(len(keywords), len(hypotheses))
    found = []
    for listed, hypothesis in zip(keywords, hypotheses, strict=True):
        said = Counter(name for keyword in listed if (name := " ".join(_words(keyword, normaliser))))
        text = f" {' '.join(_words(hypothesis, normaliser))} "
        found.append(_counted(said, Counter({name: times for name in said if (times := _times(text, name))})))
    return found


def joined(counts: Iterable[TermCounts]) -> TermCounts:
    """The sum of all counts."""
    found: dict[str, tuple[int, int, int]] = {}
    said = written = both = 0
    for one in counts:
        said, written, both = said + one.said, written + one.written, both + one.both
        for name, (a, b, c) in one.by_term.items():
            before = found.get(name, (0, 0, 0))
            found[name] = (before[0] + a, before[1] + b, before[2] + c)
    return TermCounts(said, written, both, {name: found[name] for name in sorted(found)})


def split_words(
    references: Sequence[str],
    hypotheses: Sequence[str],
    terms: Iterable[str],
    normaliser: Callable[[str], str] = english,
) -> list[Split]:
    """Edits of every utterance, split by whether the reference word stands in a term; an inserted word by itself.

    An insertion is charged to the terms when the inserted word belongs to a term written there. Source: Le et al.,
    "Contextualized streaming end-to-end speech recognition with trie-based deep biasing and shallow fusion",
    Interspeech 2021 (B-WER and U-WER). Raises DataError when the two sequences differ in length.
    """
    _same(len(references), len(hypotheses))
    names = _Names(terms, normaliser)
    return [
        _split(_words(one, normaliser), _words(other, normaliser), names)
        for one, other in zip(references, hypotheses, strict=True)
    ]


class _Names:
    """Terms as tuples of words, looked up by their first word, the longest first."""

    def __init__(self, terms: Iterable[str], normaliser: Callable[[str], str]) -> None:
        phrases = {tuple(_words(term, normaliser)) for term in terms} - {()}
        self._by_first: dict[str, list[tuple[str, ...]]] = {}
        for phrase in sorted(phrases, key=lambda phrase: (-len(phrase), phrase)):
            self._by_first.setdefault(phrase[0], []).append(phrase)

    def spans(self, words: Sequence[str]) -> list[tuple[int, int]]:
        """Where terms stand, from left to right."""
        found, place = list[tuple[int, int]](), 0
        while place < len(words):
            for phrase in self._by_first.get(words[place], ()):
                if tuple(words[place : place + len(phrase)]) == phrase:
                    found.append((place, place + len(phrase)))
                    place += len(phrase) - 1
                    break
            place += 1
        return found

    def find(self, words: Sequence[str]) -> Counter[str]:
        return Counter(" ".join(words[start:end]) for start, end in self.spans(words))

    def places(self, words: Sequence[str]) -> AbstractSet[int]:
        return {place for start, end in self.spans(words) for place in range(start, end)}


def _words(text: str, normaliser: Callable[[str], str]) -> list[str]:
    return _WORD.findall(normaliser(text))


def _times(text: str, name: str) -> int:
    """How often a phrase stands in a text that begins and ends with a space; next to one another counts as well."""
    return text.replace(" ", "  ").count(f" {name.replace(' ', '  ')} ")


def _same(references: int, hypotheses: int) -> None:
    if references != hypotheses:
        raise DataError(f"{references} references but {hypotheses} hypotheses: there must be one for each")


def _counted(said: Counter[str], written: Counter[str]) -> TermCounts:
    both = said & written
    by_term = {name: (said[name], written[name], both[name]) for name in sorted(said | written)}
    return TermCounts(said.total(), written.total(), both.total(), by_term)


def _split(reference: Sequence[str], hypothesis: Sequence[str], names: _Names) -> Split:
    expected, given = names.places(reference), names.places(hypothesis)
    edits = {True: Counter[str](), False: Counter[str]()}
    for kind, place, other in align(reference, hypothesis):
        edits[other in given if kind == "insert" else place in expected][kind] += 1
    terms, others = (
        Counts(one["equal"], one["substitute"], one["insert"], one["delete"], one.total() - one["insert"])
        for one in (edits[True], edits[False])
    )
    return Split(terms, others)
