"""English legal and finance text as a voice should say it: the order in which its rules run.

Every rule turns written forms into words and leaves words alone. Order matters: abbreviations first, because "No." and
"Sec." tell what a number is; references before amounts, because whatever is left is an amount or a year.
"""

import re
import unicodedata

from asr_analogy.text.abbreviations import lower_capitals, say_abbreviations, say_acronyms, say_addresses, say_roman
from asr_analogy.text.amounts import say_amounts
from asr_analogy.text.dates import say_dates
from asr_analogy.text.references import say_references

_FOREIGN = re.compile(r"[^\x00-\x7f]")
_DIGIT = re.compile(r"[0-9]")
_SPECIAL = re.compile(r"[^A-Za-z0-9\s.,;:!?'\"()/-]")
_MARKS = {
    "&": " and ", "@": " at ", "+": " plus ", "=": " equals ", "<": " less than ", ">": " greater than ",
    "≤": " at most ", "≥": " at least ", "±": " plus or minus ", "×": " times ", "÷": " divided by ", "≈": " about ",
    "~": " about ", "°": " degrees ", "©": " copyright ", "®": " ", "™": " ", "#": " number ", "•": " ", "†": " ",
    "‡": " ", "*": " ", "_": " ", "|": ", ", "^": " ", "\\": " ", "{": "", "}": "", "[": "", "]": "", "$": " dollars ",
    "£": " pounds ", "€": " euros ", "¥": " yen ", "¢": " cents ", "%": " percent ", "§": " section ", "¶": " paragraph ",
    "·": " ", "√": " root ", "≠": " is not ",
}  # fmt: skip
_MARK = re.compile(f"[{re.escape(''.join(_MARKS))}]")
_SECTIONS = re.compile(r"(?P<sign>[§¶])(?P<more>[§¶]?)\s*")
_SLASH = re.compile(r"(?<=[A-Za-z)])/(?=[A-Za-z(])|\s/\s")
_SPACE_BEFORE = re.compile(r" (?=[.,;:!?)](?:\W|$))")


def say(text: str) -> str:
    """One pass over `plain` text: digits, signs and abbreviations in words; a rule may uncover work for another pass."""
    text = " ".join(text.split())
    if not text.isascii():
        text = _FOREIGN.sub(_ascii_digit, text)
    special = _SPECIAL.search(text) is not None
    text = say_addresses(lower_capitals(text))
    if special:
        text = _prepare(text)
    text = say_abbreviations(text)
    if _DIGIT.search(text):
        text = say_amounts(say_references(say_dates(text)))
    text = say_acronyms(say_roman(text))
    if special:
        text = _MARK.sub(lambda match: _MARKS[match[0]], text)
    if "/" in text:
        text = _SLASH.sub(" ", text)
    return _SPACE_BEFORE.sub("", " ".join(text.split()).replace("( ", "("))


def _prepare(text: str) -> str:
    """Signs that the rules for numbers must see as words, and marks that would hide a number."""
    text = re.sub(r"[\[\]{}]", "", text)
    text = re.sub(r"\*(?=\s?[0-9]\b)", "star ", text)
    return _SECTIONS.sub(_section, text)


def _section(match: re.Match[str]) -> str:
    name = ("section" if match["sign"] == "§" else "paragraph") + "s" * bool(match["more"])
    before = match.string[max(0, match.start() - 1) : match.start()]
    return f"{' ' * before.isalnum()}{name} "


def _ascii_digit(match: re.Match[str]) -> str:
    digit = unicodedata.digit(match[0], None)
    return match[0] if digit is None else str(digit)
