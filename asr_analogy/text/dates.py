"""Dates, years, decades, fiscal periods and times of day in English words.

Dates of numbers are read in the American order, month first, unless the first number cannot be a month.
"""
# ruff: noqa: SIM905 - a list of words reads best as one string

import re

from asr_analogy.text.numbers import apart, cardinal, ordinal, short_year, year

MONTHS = "January February March April May June July August September October November December".split()
_SHORT = "Jan Feb Mar Apr Jun Jul Aug Sept Sep Oct Nov Dec".split()
_BY_NAME = {name[:3].upper(): name for name in MONTHS}
_NAMES = "|".join(form for name in [*MONTHS, *_SHORT] for form in (name, name.upper()))
_MONTH = rf"(?P<month>{_NAMES})\.?"
_DAY = r"(?:0?[1-9]|[12][0-9]|3[01])"
_YEAR = r"(?:1[1-9]|20)[0-9]{2}"
_END = r"(?![0-9%]|[,.:/][0-9])"

_MONTH_DAY = re.compile(
    rf"\b{_MONTH}\s+(?P<day>{_DAY})(?:st|nd|rd|th)?(?P<until>\s?-\s?{_DAY}(?:st|nd|rd|th)?)?"
    rf"(?:,?\s+(?P<year>{_YEAR}))?{_END}(?![-\w])"
)
_MONTH_YEAR = re.compile(rf"\b{_MONTH}(?P<comma>,?)\s+(?P<year>{_YEAR}){_END}(?!\w)")
_DAY_MONTH = re.compile(
    rf"(?<![\w.,:/-])(?P<the>[Tt]he\s+)?(?P<day>{_DAY})(?:st|nd|rd|th)?\s+{_MONTH}(?:,?\s+(?P<year>{_YEAR})(?!\w))?\b"
)
_SLASHED = re.compile(rf"(?<![\w/.,])(?P<one>{_DAY})/(?P<two>{_DAY})/(?P<year>[12][0-9]{{3}}|[0-9]{{2}})(?![\w/])")
_ISO = re.compile(rf"(?<![\w.,-])(?P<year>{_YEAR})-(?P<month>0[1-9]|1[0-2])-(?P<day>0[1-9]|[12][0-9]|3[01])(?![\w-])")
_DECADE = re.compile(r"(?<![\w.,$])'?(?P<century>1[1-9]|20)?(?P<tens>[0-9])0'?s\b")
_FISCAL = re.compile(r"\bFY\s?'?(?P<year>[12][0-9]{3}|[0-9]{2})(?!\w)")
_PERIOD = re.compile(
    r"(?<![\w.,-])(?:(?P<a>[1-4])(?P<name>[QH])\s?'?(?P<year>20[0-9]{2}|[0-9]{2})?|(?P<b>[1-4])(?P<other>Q|H))(?!\w)"
)
_SHORTENED = re.compile(r"(?<!\w)'(?P<year>[0-9]{2})(?!\w)|\b(?P<quarter>[QH][1-4])'(?P<after>[0-9]{2})(?!\w)")
_NOON = re.compile(r"(?<=[0-9])\s?(?P<half>[AaPp])\.?[Mm](?:\.(?!\w)|\b)(?P<closed>[\"')\]]*$)?")
_CLOCK = r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?"
_TIME = re.compile(
    rf"(?<![\w:.,-])(?P<time>{_CLOCK})(?:\s?-\s?(?P<until>{_CLOCK}))?(?![\w:]|-\w)(?=(?P<noon> [AP] M\b)?)"
)


def say_dates(text: str) -> str:
    """`plain` English text with dates, decades, fiscal periods and times in words; other numbers stay."""
    text = _NOON.sub(_noon, text)
    if ":" in text:
        text = _TIME.sub(lambda match: apart(match, _times(match)), text)
    text = _ISO.sub(lambda match: apart(match, _date(match["month"], match["day"], match["year"])), text)
    if "/" in text:
        text = _SLASHED.sub(_slashed, text)
    text = _MONTH_DAY.sub(_month_day, text)
    text = _DAY_MONTH.sub(_day_month, text)
    text = _MONTH_YEAR.sub(lambda match: f"{_name(match)}{match['comma']} {year(match['year'])}", text)
    text = _DECADE.sub(lambda match: apart(match, _decade(match)), text)
    text = _FISCAL.sub(lambda match: apart(match, f"fiscal year {_fiscal(match['year'])}"), text)
    text = _PERIOD.sub(lambda match: apart(match, _period(match)), text)
    return _SHORTENED.sub(_shortened, text)


def _name(match: re.Match[str]) -> str:
    return _BY_NAME[match["month"][:3].upper()]


def _day(digits: str) -> str:
    return ordinal(digits.lstrip("0"))


def _date(month: str, day: str, written: str) -> str:
    return f"{MONTHS[int(month) - 1]} {_day(day)}, {short_year(written)}"


def _slashed(match: re.Match[str]) -> str:
    one, two = match["one"], match["two"]
    if int(one) > 12:
        one, two = two, one
    return apart(match, _date(one, two, match["year"])) if int(one) <= 12 else match[0]


def _month_day(match: re.Match[str]) -> str:
    until = re.sub(r"\D", "", match["until"] or "")
    words = f"{_name(match)} {_day(match['day'])}" + (f" to {_day(until)}" if until else "")
    return apart(match, f"{words}, {year(match['year'])}" if match["year"] else words)


def _day_month(match: re.Match[str]) -> str:
    the = "the" if not match["the"] else match["the"].strip()
    words = f"{the} {_day(match['day'])} of {_name(match)}"
    return apart(match, f"{words}, {year(match['year'])}" if match["year"] else words)


def _decade(match: re.Match[str]) -> str:
    century, tens = match["century"], match["tens"]
    if tens == "0":
        return "two thousands" if century == "20" else f"{cardinal(century)} hundreds" if century else "two thousands"
    name = cardinal(tens + "0")
    name = name[:-1] + "ies" if name.endswith("y") else name + "s"
    return f"{cardinal(century)} {name}" if century else name


def _fiscal(written: str) -> str:
    if len(written) == 4:
        return year(written)
    return f"oh {cardinal(written[1])}" if written[0] == "0" else cardinal(written)


def _period(match: re.Match[str]) -> str:
    number, name = match["a"] or match["b"], match["name"] or match["other"]
    if name == "H" and number > "2":
        return f"{cardinal(number)} H" + (f" {cardinal(match['year'])}" if match["year"] else "")
    words = f"{ordinal(number)} {'quarter' if name == 'Q' else 'half'}"
    return f"{words} {short_year(match['year'])}" if match["year"] else words


def _shortened(match: re.Match[str]) -> str:
    if match["year"]:
        return apart(match, _fiscal(match["year"]))
    return apart(match, f"{match['quarter'][0]} {cardinal(match['quarter'][1])} {_fiscal(match['after'])}")


def _noon(match: re.Match[str]) -> str:
    stop = "." if match["closed"] is not None and "." in match[0] else ""
    return f" {match['half'].upper()} M{stop}{match['closed'] or ''}"


def _times(match: re.Match[str]) -> str:
    noon, until = match["noon"] is not None, match["until"]
    words = _time(match["time"], noon)
    return f"{words} to {_time(until, noon)}" if until else words


def _time(written: str, noon: bool) -> str:
    hour, minute, *second = written.split(":")
    hour = hour.lstrip("0") or "0"
    if minute == "00" and not second:
        return cardinal(hour) + ("" if noon else " o'clock" if 0 < int(hour) <= 12 else " hundred")
    words = f"{cardinal(hour)} {'oh ' + cardinal(minute[1]) if minute[0] == '0' else cardinal(minute)}"
    return f"{words} and {cardinal(str(int(second[0])))} seconds" if second else words
