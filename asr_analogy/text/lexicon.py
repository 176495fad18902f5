"""A lexicon: how the voice should say the terms of a domain. It changes what is spoken, never what is learnt.

The file is one of `pairs`: "EBITDA: e bit dah".
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from asr_analogy.errors import DataError
from asr_analogy.text.pairs import read_pairs

_WORD = re.compile(r"\w+")
_RESPELLING = re.compile(r"[^\W\d_][^\W\d_]*(?:[ '.,-]+[^\W\d_]+)*[.]?")


@dataclass(frozen=True)
class Lexicon:
    """Terms and their respellings. A term is matched as a whole word, the longest first.

    Upper and lower case differ for a term with a capital behind its first letter ("SEC"), not for others ("lien").
    """

    respellings: dict[str, str]
    _patterns: dict[str, list[tuple[str, re.Pattern[str], str]]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Index the terms by their first word, so that a text is searched only for terms it may hold."""
        for term, respelling in self.respellings.items():
            pattern = re.compile(rf"(?<!\w){re.escape(term)}(?!\w)", re.NOFLAG if _cased(term) else re.IGNORECASE)
            self._patterns.setdefault(_first_word(term), []).append((term, pattern, respelling))

    def respell(self, text: str) -> str:
        """`plain` text with every term respelled."""
        words = {word.lower() for word in _WORD.findall(text)} | {""}
        found = [entry for word in words & self._patterns.keys() for entry in self._patterns[word]]
        for _, pattern, respelling in sorted(found, key=lambda entry: (-len(entry[0]), entry[0])):
            text = pattern.sub(lambda _, words=respelling: words, text)  # type: ignore[misc]
        return text


def load_lexicon(path: Path) -> Lexicon:
    """The lexicon in a .yaml, .yml or .tsv file.

    Raises MissingError when there is no file, RecipeError for another ending and DataError, with the line, for a row
    that is not a term and a respelling, a term given twice, pronunciation in IPA, or a respelling that holds a term.
    """
    lines = dict[str, int]()
    respellings = dict[str, str]()
    for number, term, respelling in read_pairs(path, "a lexicon", "term", "respelling"):
        where = f"{path}:{number}"
        _check(where, term, respelling)
        if term in lines:
            raise DataError(f"{where}: {term!r} stands in line {lines[term]} already; remove one")
        lines[term], respellings[term] = number, respelling
    lexicon = Lexicon(respellings)
    for term, respelling in respellings.items():
        if lexicon.respell(respelling) != respelling:
            raise DataError(
                f"{path}:{lines[term]}: the respelling {respelling!r} holds a term of this lexicon and would be "
                "respelled again; write it otherwise"
            )
    return lexicon


def _check(where: str, term: str, respelling: str) -> None:
    if not term or not respelling:
        raise DataError(f"{where}: the {'respelling' if term else 'term'} is empty; write both or remove the line")
    if len(respelling) > 1 and respelling[0] == respelling[-1] == "/":
        raise DataError(f"{where}: {respelling} is IPA, which no voice here reads; respell {term!r} in plain letters")
    if not _RESPELLING.fullmatch(respelling):
        raise DataError(
            f"{where}: the respelling {respelling!r} holds more than letters, spaces, hyphens and apostrophes; "
            "write it as plain words"
        )


def _cased(term: str) -> bool:
    return any(character.isupper() for character in term[1:])


def _first_word(term: str) -> str:
    found = _WORD.search(term)
    return found[0].lower() if found else ""
