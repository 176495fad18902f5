"""Numbers said or written in any way, brought to one form: read out digit by digit, in words.

"nineteen eighty three", "one thousand nine hundred and eighty-three" and "one nine eight three" are all "one nine eight
three". Why words, and why digit by digit? A recogniser that errs in one spoken word should be charged for about one:
with "1983" as one word (or with "one thousand nine hundred ..." rebuilt from the value) a slip in one part changes the
whole number. And where numbers stand side by side (telephones, dockets, "in 2019 25 people") nobody hears where one ends:
read digit by digit they come out the same wherever the borders are drawn.

Round numbers keep their scale, "five hundred", "four two thousand", "four point two million", because nobody says the
zeros. Ordinals keep their last word: "one zero first", "twenty first".
"""
# ruff: noqa: SIM905 - a list of words reads best as one string

from collections.abc import Sequence

_UNITS = "zero one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_FIRSTS = "zeroth first second third fourth fifth sixth seventh eighth ninth".split()
_TENTHS = "tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth".split()
_TWENTIETHS = "twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth".split()
_DIGIT = {word: str(value) for value, word in enumerate(_UNITS)} | {"nought": "0"}
_SMALL = _DIGIT | {word: str(value) for value, word in enumerate(_TEENS, 10)}
_TEN = {word: str(value) for value, word in enumerate(_TENS, 2)}
_FIRST = {word: str(value) for value, word in enumerate(_FIRSTS)}
_LAST = {word: str(value) for value, word in enumerate(_TENTHS, 10)}
_LAST |= {word: f"{value}0" for value, word in enumerate(_TWENTIETHS, 2)} | _FIRST
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_ZEROS = {"hundred": 2} | _SCALES
_ROUND = {f"{word}th": zeros for word, zeros in _ZEROS.items()}
_BEGINS = _SMALL.keys() | _TEN.keys() | _LAST.keys()
_OH = ("oh", "o")
_MONTHS = frozenset("january february march april may june july august september october november december".split())
_VERBS = ("march", "may")
_PASSES = 4  # two for all but the oddest heaps of numbers


def digit_by_digit(words: Sequence[str]) -> list[str]:
    """Lower-case words with every number read digit by digit; all other words as they are. Idempotent."""
    said = list(words)
    if _BEGINS.isdisjoint(said) and _ZEROS.keys().isdisjoint(said):
        return said
    for _ in range(_PASSES):
        words, said = said, _read(said)
        if said == words:
            break
    return said


def _read(words: Sequence[str]) -> list[str]:
    said, place = list[str](), 0
    words = _counted(words)
    while place < len(words):
        if not _number_at(words, place):
            said.append(words[place])
            place += 1
            continue
        digits, place, last = _joined(words, place)
        if not last and _has_fraction(words, place):
            if digits == "0":  # "zero point five" is "point five"
                continue
            part, place = _fraction(digits, words, place)
            said += part
        else:
            said += _dated(digits, last, said, words, place)
    return said


def _counted(words: Sequence[str]) -> list[str]:
    """ "a hundred" as "one hundred", but not in "half a million"."""
    return [
        "one"
        if word == "a" and words[place + 1 : place + 2] and words[place + 1] in _ZEROS and not _halved(words, place)
        else word
        for place, word in enumerate(words)
    ]


def _halved(words: Sequence[str], place: int) -> bool:
    return place > 0 and words[place - 1] in ("half", "quarter", "many", "such", "what", "of")


def _leads(words: Sequence[str], place: int) -> bool:
    """Whether "oh" is the zero that a number begins with: before three digits or more, or behind "point"."""
    if words[place] == "oh" and _has_fraction(words, place + 1):
        return True
    if words[place] != "oh" or not _zero(words, place):
        return False
    return (place > 0 and words[place - 1] == "point") or len(_row(words, place + 1)[0]) > 2


def _number_at(words: Sequence[str], place: int) -> bool:
    return place < len(words) and (words[place] in _BEGINS or _leads(words, place))


def _zero(words: Sequence[str], place: int) -> bool:
    """Whether "oh" or "o" stands before a number."""
    while place < len(words) and words[place] in _OH:
        place += 1
    return place < len(words) and words[place] in _BEGINS


def _joined(words: Sequence[str], place: int) -> tuple[str, int, bool]:
    """The digits of all numbers in a row, and of those behind "and" that fill its zeros; whether it is an ordinal."""
    digits, place, last = _row(words, place)
    while not last and words[place : place + 1] == ["and"] and place + 1 < len(words) and words[place + 1] in _BEGINS:
        more, after, last_now = _row(words, place + 1)
        filled = _filled(digits, more)
        if filled is None:
            break
        digits, place, last = filled, after, last_now
    return digits, place, last


def _filled(digits: str, more: str) -> str | None:
    """ "200" and "50" are "250", "200" and "50000" are "250000"; None where `more` does not fit into the zeros."""
    room = len(digits) - len(digits.rstrip("0"))
    if room < 2 or room == len(digits) or digits[0] == "0" or more[0] == "0":
        return None
    zeros = 0
    while len(more) > room and more.endswith("000"):
        more, zeros = more[:-3], zeros + 3
    if len(more) > room:
        return None
    digits = digits[: -len(more)] + more
    front = digits[:-3]
    if zeros and len(front) > zeros and front.endswith("0" * zeros):  # "one million two hundred and fifty thousand"
        return front[:-zeros] + digits[-3:] + "0" * zeros
    return digits + "0" * zeros


def _row(words: Sequence[str], place: int, digits: str = "") -> tuple[str, int, bool]:
    """The digits of all numbers in a row, behind those given; an ordinal ends it."""
    last = False
    while place < len(words) and not last:
        word = words[place]
        if word in _BEGINS:
            more, after, last = _number(words, place)
            if last and len(more) == 1 and digits and digits[-1] != "0":  # "one third" is not the thirteenth
                return digits, place, False
            place = after
        elif word in _OH and (_zero(words, place) or (not digits and _has_fraction(words, place + 1))):
            more, place = "0", place + 1
        elif digits and (zeros := _ZEROS.get(word) or _ROUND.get(word, 0)):
            more, place, last = "0" * zeros, place + 1, word in _ROUND
        else:
            break
        digits += more
    return digits, place, last


def _small(words: Sequence[str], place: int) -> tuple[str, int, bool] | None:
    """A number below one hundred at that place: its digits, the place behind it, whether it is an ordinal."""
    if place >= len(words):
        return None
    word, following = words[place], words[place + 1] if place + 1 < len(words) else ""
    if word in _TEN:
        if following in _DIGIT and _DIGIT[following] != "0":
            return _TEN[word] + _DIGIT[following], place + 2, False
        if following in _FIRST and following != "zeroth":
            return _TEN[word] + _FIRST[following], place + 2, True
        return _TEN[word] + "0", place + 1, False
    if word in _SMALL:
        return _SMALL[word], place + 1, False
    return (_LAST[word], place + 1, True) if word in _LAST else None


def _group(words: Sequence[str], place: int) -> tuple[str, int, bool] | None:
    """A number with at most one "hundred" in it."""
    found = _small(words, place)
    if found is None or found[2] or found[1] >= len(words) or words[found[1]] not in ("hundred", "hundredth"):
        return found
    digits, place = found[0] + "00", found[1] + 1
    if words[place - 1] == "hundredth":
        return digits, place, True
    rest = _small(words, place)
    if rest and rest[0][0] != "0" and not _spelled(words, place) and words[rest[1] : rest[1] + 1] != ["hundred"]:
        return digits[: -len(rest[0])] + rest[0], rest[1], rest[2]
    return digits, place, False


def _spelled(words: Sequence[str], place: int) -> bool:
    """Whether digits are told one by one from there on: "eight hundred" is complete before "five five five"."""
    ahead = words[place : place + 2]
    return len(ahead) == 2 and ahead[0] in _DIGIT and (ahead[1] in _DIGIT or ahead[1] == "oh")


def _number(words: Sequence[str], place: int) -> tuple[str, int, bool]:
    """One whole number: "one million two hundred thousand five" is 1200005."""
    found = _group(words, place)
    assert found is not None  # a word of _BEGINS stands there
    digits, place, last = found
    room = 16
    while not last and place < len(words):
        zeros = _SCALES.get(words[place]) or _ROUND.get(words[place], 0)
        if zeros < 3 or zeros >= room:
            break
        digits, place, last, room = digits + "0" * zeros, place + 1, words[place] in _ROUND, zeros
        rest = None if last or _spelled(words, place) else _group(words, place)
        if rest is None or len(rest[0]) > 3 or rest[0][0] == "0":
            break
        more, after, last_now = rest
        scale = words[after] if after < len(words) else ""
        power = _SCALES.get(scale) or _ROUND.get(scale, 0)
        if power >= room:
            break
        if power < 3 or last_now:
            return digits[: -len(more)] + more, after, last_now
        digits, place = digits[: -len(more) - power] + more, after
    return digits, place, last


def _has_fraction(words: Sequence[str], place: int) -> bool:
    """Whether "point" and a digit stand there."""
    if words[place : place + 1] != ["point"] or place + 1 >= len(words):
        return False
    place += 1
    while place < len(words) and words[place] in _OH:
        place += 1
    following = _small(words, place)
    return following is not None and not following[2]


def _fraction(digits: str, words: Sequence[str], place: int) -> tuple[list[str], int]:
    """What follows the digits of a number from its "point" on; "four point two million" is 4200000."""
    parts = [digits]
    while _has_fraction(words, place):
        part, place = "", place + 1
        while place < len(words):
            found = ("0", place + 1, False) if words[place] in _OH else _small(words, place)
            if found is None or found[2]:
                break
            part, place = part + found[0], found[1]
        parts.append(part)
    zeros = _ZEROS.get(words[place], 0) if place < len(words) else 0
    whole = parts[0]
    if zeros and len(parts) == 2 and len(parts[1]) <= zeros and whole[0] != "0":
        digits, place, last = _row(words, place + 1, whole + parts[1] + "0" * (zeros - len(parts[1])))
        return _ordinal(digits) if last else _said(digits), place
    said = _said(whole)
    for part in parts[1:]:
        said += ["point", *_plain(part)]
    return said, place


def _dated(digits: str, last: bool, before: Sequence[str], words: Sequence[str], place: int) -> list[str]:
    """The number, as a day of the month where it stands beside a month's name."""
    if before and before[-1] in _MONTHS and not last:
        day, year = (digits[:-4], digits[-4:]) if len(digits) > 4 else (digits, "")
        if _is_day(day) and (not year or "1100" <= year <= "2099"):
            return [*_ordinal(day), *(_said(year) if year else [])]
    month = words[place] if place < len(words) else ""
    sure = month in _MONTHS and (month not in _VERBS or _number_at(words, place + 1))
    if sure and _is_day(digits) and not (before and before[-1] in _MONTHS):
        return [*([] if before and before[-1] == "the" else ["the"]), *_ordinal(digits), "of"]
    return _ordinal(digits) if last else _said(digits)


def _is_day(digits: str) -> bool:
    return 1 <= len(digits) <= 2 and digits[0] != "0" and 1 <= int(digits) <= 31


def _plain(digits: str) -> list[str]:
    return [_UNITS[int(digit)] for digit in digits]


def _said(digits: str) -> list[str]:
    """Digit by digit, the zeros at the end as a scale."""
    if digits[0] == "0" or len(digits) > 15:
        return _plain(digits)
    if digits.endswith("000"):
        scale, zeros = next((name, zeros) for name, zeros in reversed(_SCALES.items()) if len(digits) > zeros)
        whole, fraction = digits[:-zeros], digits[-zeros:].rstrip("0")
        return [*_said(whole), *(["point", *_plain(fraction)] if fraction else []), scale]
    return [*_plain(digits[:-2]), "hundred"] if digits.endswith("00") else _plain(digits)


def _ordinal(digits: str) -> list[str]:
    if digits[0] != "0" and digits.endswith("00") and "point" not in (said := _said(digits)) and said[-1] in _ZEROS:
        return [*said[:-1], said[-1] + "th"]
    tail = digits[-2:]
    if len(tail) == 1 or tail[0] == "0":
        return [*_plain(digits[:-1]), _FIRSTS[int(tail[-1])]]
    if tail[0] == "1":
        return [*_plain(digits[:-2]), _TENTHS[int(tail) - 10]]
    if tail[1] == "0":
        return [*_plain(digits[:-2]), _TWENTIETHS[int(tail[0]) - 2]]
    return [*_plain(digits[:-2]), _TENS[int(tail[0]) - 2], _FIRSTS[int(tail[1])]]
