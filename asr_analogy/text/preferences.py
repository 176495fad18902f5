"""A user's own spellings: which written form a score should take for which, on both sides.

Two forms of file, UTF-8:
    .yaml  e-mail: email                one form to a line, as a mapping; an empty preferred form drops the words
    .tsv   health care<tab>healthcare   blank lines and lines that start with # are passed over
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from asr_analogy.errors import DataError, MissingError, RecipeError


@dataclass(frozen=True)
class Preferences:
    """Normalised written forms and the normalised forms preferred to them; `spaced` is False where words have no spaces.

    The longest written form wins; what was replaced is not looked at again.
    """

    forms: Mapping[str, str]
    spaced: bool = True

    def apply(self, text: str) -> str:
        """Normalised `text` in the preferred forms."""
        if not self.forms:
            return text
        return " ".join(self._pattern.sub(lambda match: self.forms[match[0]], text).split())

    @property
    def mark(self) -> str:
        """Eight characters that differ for different preferences: a part of the normaliser's name."""
        return hashlib.sha256(json.dumps(sorted(self.forms.items())).encode()).hexdigest()[:8]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        forms = "|".join(re.escape(form) for form in sorted(self.forms, key=lambda form: (-len(form), form)))
        return re.compile(rf"(?<!\S)(?:{forms})(?!\S)" if self.spaced else forms)


def load_preferences(path: Path, normalise: Callable[[str], str], spaced: bool = True) -> Preferences:
    """The preferences in a .yaml, .yml or .tsv file; both forms of a line go through `normalise`.

    Raises MissingError when there is no file, RecipeError for another ending and DataError, with the line, for a row
    that is no pair, a form that is given twice with two meanings, or a preferred form that holds a written one.
    """
    ending = path.suffix.lower()
    if ending not in (".yaml", ".yml", ".tsv"):
        raise RecipeError(f"{path}: preferred spellings are a .yaml or .tsv file; rename it or write it as one")
    if not path.is_file():
        raise MissingError(f"{path}: no such file of preferred spellings; check the path")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error}); save it as UTF-8") from None
    forms, lines = dict[str, str](), dict[str, int]()
    for number, written, preferred in _table(path, text) if ending == ".tsv" else _mapping(path, text):
        form, better = normalise(written), normalise(preferred)
        if not form:
            raise DataError(f"{path}:{number}: {written!r} holds no word; write a word and what is preferred to it")
        if forms.get(form, better) != better:
            raise DataError(f"{path}:{number}: {written!r} has another form in line {lines[form]}; remove one")
        if form != better:
            forms[form], lines[form] = better, number
    found = Preferences(forms, spaced)
    for form, better in forms.items():
        if found.apply(better) != better:
            raise DataError(
                f"{path}:{lines[form]}: the preferred form {better!r} holds a written form of this file and would "
                "change again; write it otherwise"
            )
    return found


def _table(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != 2:
            raise DataError(
                f"{path}:{number}: {len(cells)} columns; give the written form, one tab, the preferred form"
            )
        yield number, cells[0], cells[1]


def _mapping(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    """Keys and values exactly as written, so that NO is not a Boolean and 1983 not a number."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not YAML"
        raise DataError(f"{path}:{mark.line + 1 if mark else 1}: {problem}; write written: preferred") from None
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise DataError(f"{path}:1: not a mapping; write written: preferred, one to a line")
    for key, value in root.value:
        number = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
            raise DataError(f"{path}:{number}: not a pair; write written: preferred")
        yield number, key.value.strip(), value.value.strip()
