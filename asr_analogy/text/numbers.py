"""Numbers in English words: counts, ordinals, years, references, fractions, Roman numerals.

Exact for whole numbers up to 999,999,999,999 (`whole`: up to eighteen digits). It says "one hundred five" (no "and").
`cardinal` and `ordinal` are shared with the scorer, so what they return must not change.
"""
# ruff: noqa: SIM905 - a list of words reads best as one string

import re

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
_SCALES = ("", "thousand", "million", "billion", "trillion", "quadrillion")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_ROMAN = re.compile(r"(?=.)X{0,3}(?:IX|IV|V?I{0,3})", re.IGNORECASE)
_ROMAN_VALUES = {"i": 1, "v": 5, "x": 10}


def cardinal(digits: str) -> str:
    """A whole number, given as digits, in words; digit by digit with a leading zero or beyond twelve digits."""
    if len(digits) > 12 or (len(digits) > 1 and digits[0] == "0"):
        return one_by_one(digits)
    return _in_groups(digits)


def ordinal(digits: str) -> str:
    """A whole number, given as digits, as an ordinal in words: "21" is "twenty first"."""
    *head, last = cardinal(digits).split()
    if last in _ORDINALS:
        last = _ORDINALS[last]
    else:
        last = last[:-1] + "ieth" if last.endswith("y") else last.removesuffix("t") + "th"
    return " ".join([*head, last])


def one_by_one(digits: str) -> str:
    """Digit by digit: "0199" is "zero one nine nine"."""
    return " ".join(_ONES[int(digit)] for digit in digits)


def amount(written: str) -> str:
    """A number as written, "1,250.5": up to eighteen digits when grouped by commas, else as `cardinal`.

    Eight digits and more without commas are an account number: digit by digit.
    """
    whole, _, fraction = written.partition(".")
    digits = whole.replace(",", "")
    if not digits:
        words = ""
    elif "," in whole and digits[0] != "0" and len(digits) <= 18:
        words = _in_groups(digits)
    else:
        words = cardinal(digits) if len(digits) < 8 else one_by_one(digits)
    return f"{words} point {one_by_one(fraction)}".strip() if fraction else words


def year(digits: str) -> str:
    """Four digits as a year: "1983" is "nineteen eighty three", "2005" "two thousand five", "1905" "nineteen oh five"."""
    return cardinal(digits) if digits[1:3] == "00" else _pairs(digits)


def short_year(digits: str) -> str:
    """The year of a date with two digits, 1950 to 2049; four digits are taken as they stand."""
    return year(digits if len(digits) == 4 else ("20" if digits < "50" else "19") + digits)


def label(digits: str) -> str:
    """The number of a section, case or form as it is read aloud in court: "1983" is "nineteen eighty three".

    Three digits are "two thirty", "four oh four", "five hundred"; five and more, or a leading zero, digit by digit.
    """
    if len(digits) <= 2 or len(digits) > 4 or digits[0] == "0":
        return cardinal(digits) if len(digits) < 5 else one_by_one(digits)
    if len(digits) == 4:
        return cardinal(digits) if digits[1:3] == "00" and digits[0] != "1" else _pairs(digits)
    if digits.endswith("00"):
        return cardinal(digits)
    return f"{_ONES[int(digits[0])]} {'oh ' if digits[1] == '0' else ''}{cardinal(digits[1:].lstrip('0'))}"


def fraction(top: str, bottom: str) -> str:
    """ "3" and "4" are "three quarters"."""
    names = {"2": ("half", "halves"), "4": ("quarter", "quarters")}
    one, several = names.get(bottom) or (ordinal(bottom), ordinal(bottom) + "s")
    return f"{cardinal(top)} {one if top == '1' else several}"


def roman(letters: str) -> int | None:
    """The value of a Roman numeral of I, V and X (1 to 39) in either case, or None."""
    if not _ROMAN.fullmatch(letters):
        return None
    values = [_ROMAN_VALUES[letter] for letter in letters.lower()]
    return sum(-one if one < following else one for one, following in zip(values, [*values[1:], 0], strict=True))


def apart(match: re.Match[str], words: str) -> str:
    """`words` with a space wherever the text around the match would touch them with a letter, digit or accent."""
    text, start, end = match.string, match.start(), match.end()
    touches_left = start > 0 and text[start - 1] not in " (['\"-/"
    touches_right = end < len(text) and text[end] not in " .,;:!?)]'\"-/"
    return " " * touches_left + words + " " * touches_right


def _pairs(digits: str) -> str:
    first, last = digits[:2], digits[2:]
    if last == "00":
        return cardinal(digits) if first[1] == "0" else f"{cardinal(first)} hundred"
    return f"{cardinal(first)} {'oh ' + cardinal(last[1]) if last[0] == '0' else cardinal(last)}"


def _in_groups(digits: str) -> str:
    value, words = int(digits), list[str]()
    for power in range(len(_SCALES) - 1, -1, -1):
        group = value // 1000**power % 1000
        if group:
            words += [*_below_thousand(group), _SCALES[power]]
    return " ".join(word for word in words if word) or "zero"


def _below_thousand(value: int) -> list[str]:
    words = [_ONES[value // 100], "hundred"] if value >= 100 else []
    value %= 100
    if value >= 20:
        words.append(_TENS[value // 10])
        value %= 10
    return [*words, _ONES[value]] if value else words
