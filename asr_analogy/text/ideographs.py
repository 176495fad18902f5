"""The form in which Chinese and Japanese texts are compared, character by character.

No spaces and no punctuation, full-width letters in their plain form, numbers in digits however they are written: "三百"
and "300", "百分之五" and "5%", "二〇二一年" and "2021年". Traditional and simplified characters stay what they are.
"""

import re
import unicodedata

VERSION = "cjk-1"
"""Changes whenever `ideographic` returns anything else for any text."""

_DIGITS = {character: str(value) for value, character in enumerate("零一二三四五六七八九")}
_DIGITS |= {"〇": "0", "两": "2", "兩": "2"} | {str(value): str(value) for value in range(10)}
_PLACES = {"十": 1, "百": 2, "千": 3}
_GROUPS = {"万": 4, "萬": 4, "亿": 8, "億": 8, "兆": 12}
_NUMBER = re.compile(f"[{''.join([*_DIGITS, *_PLACES, *_GROUPS])}]+")
_GROUPED = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_POINT = re.compile(r"(?<=[0-9])[.](?=[0-9])")
_PER_CENT = re.compile(r"([0-9]+(?:点[0-9]+)?)%")
_OF_HUNDRED = "百分之"
_PASSES = 8  # two for all but the oddest heaps of numbers
_TAG = re.compile(r"<\|?[^<>\s|]{1,40}\|?>")


def ideographic(text: str) -> str:
    """Chinese or Japanese `text` without spaces and punctuation, numbers in digits. Idempotent. Version `VERSION`."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", _TAG.sub(" ", text)).lower()).replace("ς", "σ")
    text = _POINT.sub("点", _GROUPED.sub("", text))
    text = "".join(character for character in text if character == "%" or unicodedata.category(character)[0] in "LMN")
    text = unicodedata.normalize("NFKC", text)
    for _ in range(_PASSES):
        before = text
        text = _OF_HUNDRED.join(_NUMBER.sub(_in_digits, part) for part in text.split(_OF_HUNDRED))
        text = _PER_CENT.sub(rf"{_OF_HUNDRED}\1", text)
        if text == before:
            break
    return unicodedata.normalize("NFKC", text.replace("%", ""))


def _in_digits(match: re.Match[str]) -> str:
    """ "一千九百八十三" is 1983, "二〇二一" is 2021; a run that begins with a unit ("万一", "千万") is no number."""
    run = match[0]
    if all(character in _DIGITS for character in run):
        return "".join(_DIGITS[character] for character in run)
    if run[0] not in _DIGITS and run[0] != "十":
        return "".join(_DIGITS.get(character, character) for character in run)
    return str(_value(run))


def _value(run: str) -> int:
    whole = group = 0
    number = ""
    for character in run:
        if character in _DIGITS:
            number += _DIGITS[character]
        elif character in _PLACES:
            group += int(number or "1") * 10 ** _PLACES[character]
            number = ""
        else:
            zeros = 10 ** _GROUPS[character]
            part = group + int(number or "0")
            whole = (whole + part) * zeros if whole and whole < zeros else whole + (part or 1) * zeros
            group, number = 0, ""
    return whole + group + int(number or "0")
