"""A user's own spellings: which written form a score should take for which, on both sides.

The file is one of `pairs`: "e-mail: email"; an empty preferred form drops the words.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from asr_analogy.errors import DataError
from asr_analogy.text.pairs import read_pairs


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
    forms, lines = dict[str, str](), dict[str, int]()
    for number, written, preferred in read_pairs(path, "a list of preferred spellings", "written", "preferred"):
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
