"""Written text as it is spoken: what the voice is given, and the letters a CTC vocabulary can write.

`spoken` says everything in words, English by our own rules (`english`), Chinese through wetext. `letters` is the spoken
form in the characters of a vocabulary. `plain`, `symbols_as_words` and `digits_as_words` belong to the scorer: they read
a year as a plain number (1999: "one thousand nine hundred ninety nine"), and its version depends on what they return.
"""

import re
import unicodedata

from asr_analogy.errors import DataError
from asr_analogy.text.chinese import say_chinese
from asr_analogy.text.english import say
from asr_analogy.text.lexicon import Lexicon
from asr_analogy.text.numbers import apart, cardinal, one_by_one, ordinal

LONGEST = 600
"""Most characters of spoken text in one utterance."""

_PASSES = 12  # a bound that no text is known to reach
_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9])|[0-9]+(?:\.[0-9]+)?)"
_DIGITS = re.compile(
    r"(?P<parts>[0-9]+(?:\.[0-9]+){2,})"
    r"|(?P<ordinal>(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+))(?:st|nd|rd|th)(?![^\W_])"
    rf"|(?P<number>{_NUMBER})"
    r"|(?<![\w.])\.(?P<fraction>[0-9]+)",
    re.IGNORECASE,
)
_MONEY = re.compile(
    rf"(?P<sign>[$£€¥])\s?(?P<low>{_NUMBER})(?:-[$£€¥]?(?P<high>{_NUMBER}))?"
    r"(?:[\s-]?(?P<scale>hundred|thousand|million|billion|trillion)\b|(?P<short>k|mm|mn|m|bn|b|tn|t)\b)?",
    re.IGNORECASE,
)
_SHORT = {"k": "thousand", "m": "million", "mm": "million", "mn": "million", "b": "billion", "bn": "billion"}
_SHORT |= {"t": "trillion", "tn": "trillion"}
_COINS = {  # one unit, several, one coin, several coins
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "", ""),
}
_SYMBOLS = {"%": "percent", "&": "and", "§§": "sections", "§": "section", "¶": "paragraph", "¢": "cents", "@": "at"}
_SYMBOLS |= {"+": "plus", "=": "equals", "°": "degrees"} | {sign: names[1] for sign, names in _COINS.items()}
_SYMBOL = re.compile("|".join(re.escape(symbol) for symbol in sorted(_SYMBOLS, key=len, reverse=True)))
_MINUS = re.compile(r"(?<![^\s(])-(?=[0-9])")

_UNSEEN = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_CONTROLS = (*range(0x09), *range(0x0E, 0x1C), *range(0x7F, 0x85), *range(0x86, 0xA0))
_BEFORE = str.maketrans({"\u00b4": "'", "`": "'"} | dict.fromkeys(_UNSEEN, "")) | dict.fromkeys(_CONTROLS, " ")
_AFTER = str.maketrans(
    dict.fromkeys("‘’‚‛′ʼ`", "'")
    | dict.fromkeys("“”„‟«»", '"')
    | dict.fromkeys("‐‑‒–−", "-")
    | dict.fromkeys("—―", " - ")
    | {"⁄": "/"}
)
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_OUTER_APOSTROPHE = re.compile(r"(?<![^\W_])'|'(?![^\W_])")


def spoken(text: str, language: str = "en", lexicon: Lexicon | None = None) -> str:
    """The text as a voice should say it. Idempotent.

    English: no digit is left; signs, abbreviations, acronyms and references are words, punctuation stays. Chinese goes
    through wetext (MissingError without it). Any other language is only made `plain`. The terms of `lexicon` are
    respelled first; a respelling goes through the rules of the language as well.
    """
    for _ in range(_PASSES):
        said = _pass(text, language, lexicon)
        if said == text:
            break
        text = said
    return text


def unspeakable(text: str, language: str = "en", lexicon: Lexicon | None = None) -> str | None:
    """Why `text` cannot be spoken as one utterance, or None when it can."""
    said = spoken(text, language, lexicon)
    if not any(character.isalnum() for character in said):
        return "no letter or digit"
    if len(said) > LONGEST:
        return f"longer than {LONGEST} characters ({len(said)})"
    return None


def letters(text: str, alphabet: str, language: str = "en") -> str:
    """The spoken form in the characters of a CTC vocabulary, words separated by one space. No lexicon: labels spell right.

    `alphabet` holds the allowed characters in one case; "|" and " " in it are separators, never letters. A character
    outside it is written without its accent if that is allowed, and becomes a space otherwise. Apostrophes stay inside
    words only. Raises DataError if the alphabet has no letter.
    """
    allowed = set(alphabet) - {"|", " "}
    if not any(character.isalpha() for character in allowed):
        raise DataError(f"alphabet {alphabet!r}: holds no letter; give the letters of the vocabulary")
    said = spoken(text, language)
    if not any(character.islower() for character in allowed):
        said = said.upper()
    elif not any(character.isupper() for character in allowed):
        said = said.lower()
    kept = "".join(_fit(character, allowed) for character in unicodedata.normalize("NFC", said))
    return " ".join(_OUTER_APOSTROPHE.sub(" ", kept).split())


def plain(text: str) -> str:
    """NFKC with ASCII quotes, dashes and spaces and without invisible characters; "2½" becomes "2 1/2", not "21/2"."""
    text = text.translate(_BEFORE)
    if text.isascii():
        return text
    opened = _FOREIGN.sub(lambda match: _open(match[0]), text)
    return unicodedata.normalize("NFKC", opened).translate(_AFTER)


def symbols_as_words(text: str) -> str:
    """Amounts of money and symbols as words: "$1.25 million" is "1.25 million dollars". Expects `plain` text."""
    text = _MONEY.sub(lambda match: apart(match, _money(match)), text)
    text = _SYMBOL.sub(lambda match: apart(match, _SYMBOLS[match[0]]), text)
    return _MINUS.sub("minus ", text)


def digits_as_words(text: str) -> str:
    """Digits as English words, kept apart from neighbouring letters: "Q3" is "Q three". Expects `plain` text."""
    return _DIGITS.sub(lambda match: apart(match, _digits(match)), text)


def _digits(match: re.Match[str]) -> str:
    if match["parts"]:
        return " point ".join(cardinal(part) for part in match["parts"].split("."))
    if match["ordinal"]:
        return ordinal(match["ordinal"].replace(",", ""))
    if match["fraction"]:
        return "point " + one_by_one(match["fraction"])
    whole, _, fraction = match["number"].replace(",", "").partition(".")
    if not fraction:
        return cardinal(whole)
    return f"{cardinal(whole)} point " + one_by_one(fraction)


def _money(match: re.Match[str]) -> str:
    low, high = match["low"], match["high"]
    scale = match["scale"] or _SHORT.get((match["short"] or "").lower(), "")
    one, several, coin, coins = _COINS[match["sign"]]
    whole, _, cents = low.partition(".")
    if high or scale:
        return " ".join(word for word in (low, "to" if high else "", high, scale, several) if word)
    if len(cents) != 2 or not coin:
        return f"{low} {one if low == '1' else several}"
    units = f"{whole} {one if whole == '1' else several}"
    change = f"{int(cents)} {coin if cents == '01' else coins}"
    if cents == "00":
        return units
    return change if int(whole.replace(",", "")) == 0 else f"{units} and {change}"


def _pass(text: str, language: str, lexicon: Lexicon | None) -> str:
    text = plain(text)
    if lexicon is not None:
        text = lexicon.respell(text)
    main = language.lower().replace("_", "-").split("-")[0]
    if main == "en":
        return say(text)
    if main == "zh":
        text = say_chinese(text)
    return " ".join(text.split())


def _open(character: str) -> str:
    """A space before a raised digit or a fraction, which NFKC would glue to the number or word in front of it."""
    form = unicodedata.decomposition(character)
    raised = form.startswith(("<super>", "<fraction>")) and unicodedata.normalize("NFKC", character)[0].isdigit()
    return f" {character}" if raised else character


def _fit(character: str, allowed: set[str]) -> str:
    if character in allowed:
        return character
    base = unicodedata.normalize("NFD", character)[0]
    if unicodedata.combining(character):
        return ""
    return base if base in allowed else " "
