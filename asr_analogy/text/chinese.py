"""Chinese text as a voice should say it: wetext, after a pass of our own for numbers grouped by commas.

wetext 0.1.8 reads "12,345" as two numbers and "12345" digit by digit.
"""

import re
from functools import cache
from typing import TYPE_CHECKING

from asr_analogy.errors import MissingError

if TYPE_CHECKING:
    from wetext import Normalizer

_DIGITS = "零一二三四五六七八九"
_GROUPED = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2}(?:,[0-9]{3}){1,4}(?![0-9]|,[0-9])")


def say_chinese(text: str) -> str:
    """`plain` Chinese text in words. Raises MissingError without wetext."""
    text = _GROUPED.sub(lambda match: _cardinal(int(match[0].replace(",", ""))), text)
    return _normaliser().normalize(text.encode("utf-8", "replace").decode())


@cache
def _normaliser() -> "Normalizer":
    try:
        from wetext import Normalizer
    except ImportError:
        raise MissingError(
            "the spoken form of Chinese text needs wetext; type: pip install 'asr-analogy[text]'"
        ) from None
    return Normalizer(lang="zh", operator="tn")


def _cardinal(value: int) -> str:
    """A whole number below 10 ** 16 in Chinese: groups of four digits, a zero where a place is empty."""
    said, lower = "", 1000  # the group of four digits to the right
    for unit in ("", "万", "亿", "兆"):
        value, group = divmod(value, 10_000)
        if group:
            said = _group(group) + unit + "零" * (bool(said) and lower < 1000) + said
        lower = group
    return said


def _group(value: int) -> str:
    said, empty = "", False
    for place, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = value // place % 10
        if digit:
            said += "零" * (empty and bool(said)) + _DIGITS[digit] + unit
            empty = False
        else:
            empty = True
    return said
