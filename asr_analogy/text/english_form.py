"""The form in which English texts are compared: `english` and its version.

Whatever the voice says of a text must compare equal to the text, so both sides are first said in full by `spoken`; then
punctuation and case go, words get one spelling (`wording`), and numbers are read digit by digit (`figures`).
"""
# ruff: noqa: SIM905 - a list of words reads best as one string

import re
import unicodedata

from asr_analogy.text.figures import digit_by_digit
from asr_analogy.text.spoken import plain, spoken
from asr_analogy.text.wording import acronym, one_wording

VERSION = "en-2"
"""Changes whenever `english` returns anything else for any text: by a rule here, in `spoken`, `wording` or `figures`."""

_NOISE = frozenset(
    "applause audio background beep blank breath breathing chuckle chuckles clapping clears cough coughing coughs "
    "cross crosstalk hesitation inaudible indiscernible laugh laughing laughs laughter music noise noises pause sigh "
    "sighs silence sneeze sneezes sniff static throat unintelligible unk".split()
)
_TAG = re.compile(r"<\|?[^<>\s|]{1,40}\|?>")
_BRACKETED = re.compile(r"[\[<{]([A-Za-z_ \-]{1,60})[\]>}]")
_EDITED = re.compile(r"(?<=[A-Za-z])\[([A-Za-z]+)\]|\[([A-Za-z]+)\](?=[A-Za-z])")
_DIGIT = re.compile("[0-9]")
_SAID = re.compile(r"[a-z' ]*")
_ITEM = re.compile(r"(?<=[\w)])\((ii|iii|iv|vi|vii|viii|ix|xi|xii)\)")
_ITEMS = dict(
    zip(
        "ii iii iv vi vii viii ix xi xii".split(),
        "two three four six seven eight nine eleven twelve".split(),
        strict=True,
    )
)
_LETTERS = re.compile(r"(?<![\w'-])(?:[A-Z] )+[A-Z](?P<plural>'?s)?(?![\w'])")
_NO_WORD = re.compile(r"[^\w']|_")
_OUTER_APOSTROPHE = re.compile(r"(?<![^\W_])'|'(?![^\W_])")


def english(text: str) -> str:
    """The words of English `text` that count, in lower case, separated by one space. Idempotent. Version `VERSION`.

    - tags in angle brackets (<unk>, <|en|>) and known noises in square ones ([laughter]) go; other brackets only lose
      their brackets, so "[2019] EWCA" keeps its year and "[t]he" is "the"; no word is ever removed, "uh" neither
    - signs, money, dates, references and abbreviations as `spoken` says them: "v." is "versus", "§" "section"
    - numbers digit by digit in words: "1983", "nineteen eighty three" and "one thousand nine hundred and eighty-three"
      are equal, so are "21-1234" in pairs or digit by digit, "$4.2m" and "four point two million dollars"
    - acronyms together: "U.S.C.", "USC" and "u s c" are "usc"; accents go; hyphens and slashes become a space
    - one spelling for "colour" and "color", "dollars" and "dollar", "dont" and "don't"; contractions stay as they are
    """
    if not _SAID.fullmatch(text):
        text = _said(text)
    words = _OUTER_APOSTROPHE.sub(" ", text).split()
    return " ".join(digit_by_digit(one_wording(words)))


def _said(text: str) -> str:
    """The spoken form in lower-case letters, digits of other scripts, apostrophes and spaces."""
    text = unicodedata.normalize("NFKC", plain(text))
    if text.isupper() and not _DIGIT.search(text):  # in such a text IT and US are far more often words than acronyms
        text = text.lower()
    text = _BRACKETED.sub(_without_noise, _TAG.sub(" ", text))
    text = spoken(_EDITED.sub(lambda match: match[1] or match[2], text))
    text = _ITEM.sub(lambda match: f" {_ITEMS[match[1]]} ", text)
    text = _LETTERS.sub(_acronym, text).lower()
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(character for character in text if not unicodedata.combining(character))
        text = unicodedata.normalize("NFKC", text)
    return _NO_WORD.sub(" ", text)


def _acronym(match: re.Match[str]) -> str:
    """Capitals told one by one stand for one word; the case shows that the article in "a U S firm" is none of them."""
    plural = match["plural"] or ""
    return " ".join(acronym(match[0].removesuffix(plural).replace(" ", "").lower())) + plural


def _without_noise(match: re.Match[str]) -> str:
    words = re.findall(r"[a-z]+", match[1].lower())
    return " " if words and _NOISE.issuperset(words) else match[0]
