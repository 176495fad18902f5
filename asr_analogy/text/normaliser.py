"""The normaliser of a language: one function for both sides of every score, with a name that changes with its output."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asr_analogy.text import english_form, ideographs
from asr_analogy.text.preferences import Preferences, load_preferences

UNICODE = "unicode-1"
"""Changes whenever `generic` returns anything else for any text."""

_UNSPACED = frozenset(("zh", "yue", "ja"))
_BY_CHARACTER = _UNSPACED | {"th", "lo", "km", "my", "bo"}
_TAG = re.compile(r"<\|?[^<>\s|]{1,40}\|?>")
_APOSTROPHES = re.compile("[’‘ʼ`´＇]")
_OUTER_APOSTROPHE = re.compile(r"(?<!\w)'|'(?!\w)")


@dataclass(frozen=True)
class Normaliser:
    """Call it on a text. `name` stands beside every score; `by_character` says that the rate to look at is the CER."""

    name: str
    by_character: bool
    form: Callable[[str], str]
    preferences: Preferences | None = None

    def __call__(self, text: str) -> str:
        found = self.form(text)
        return self.preferences.apply(found) if self.preferences is not None else found


def normaliser(language: str, preferences: Path | None = None) -> Normaliser:
    """The normaliser of a language as the recipe names it ("en", "zh", "pt-BR"), with the user's own spellings if given.

    English has its own, Chinese and Japanese share one, all other languages take the generic one.
    Raises MissingError, RecipeError or DataError as `load_preferences`.
    """
    main = language.lower().replace("_", "-").split("-")[0]
    if main == "en":
        name, form = english_form.VERSION, english_form.english
    elif main in _UNSPACED:
        name, form = ideographs.VERSION, ideographs.ideographic
    else:
        name, form = UNICODE, generic
    if preferences is None:
        return Normaliser(name, main in _BY_CHARACTER, form)
    chosen = load_preferences(preferences, form, main not in _UNSPACED)
    return Normaliser(f"{name}+{chosen.mark}", main in _BY_CHARACTER, form, chosen)


def generic(text: str) -> str:
    """Text of any language in lower case without punctuation and signs, words separated by one space. Idempotent.

    Letters, marks (vowel signs, tones, accents) and digits stay, apostrophes inside words only; numbers are not read.
    """
    text = unicodedata.normalize("NFKC", _APOSTROPHES.sub("'", _TAG.sub(" ", text))).lower().replace("ς", "σ")
    kept = "".join(_kept(character) for character in unicodedata.normalize("NFKC", text))
    return " ".join(_OUTER_APOSTROPHE.sub(" ", unicodedata.normalize("NFKC", kept)).split())


def _kept(character: str) -> str:
    kind = unicodedata.category(character)
    if kind[0] in "LMN" or character == "'":
        return character
    return "" if kind == "Cf" else " "
