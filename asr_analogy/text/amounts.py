"""Amounts in English words: money, percentages, basis points, units, fractions, ranges and all other numbers."""

import re

from asr_analogy.text.numbers import amount, apart, cardinal, fraction, year

_N = r"(?:[0-9]{1,3}(?:,[0-9]{3})++(?:\.[0-9]++)?(?![0-9])|[0-9]++(?:\.[0-9]++)?)"
_SCALE = r"(?:[\s-]?(?P<scale>hundred|thousand|million|billion|trillion)\b|\s?(?P<short>mm|mn|bn|tn|[kmbt])(?!\w))"
_SCALES = {"k": "thousand", "m": "million", "b": "billion", "t": "trillion", "mm": "million", "mn": "million"}
_SCALES |= {"bn": "billion", "tn": "trillion"}
_COINS = {  # one unit, several, one coin, several coins
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "", ""),
    "USD": ("U S dollar", "U S dollars", "cent", "cents"),
    "CAD": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "AUD": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "HKD": ("Hong Kong dollar", "Hong Kong dollars", "cent", "cents"),
    "NZD": ("New Zealand dollar", "New Zealand dollars", "cent", "cents"),
    "CHF": ("Swiss franc", "Swiss francs", "", ""),
    "CNY": ("yuan", "yuan", "", ""),
    "INR": ("rupee", "rupees", "", ""),
}
_COINS |= {"EUR": _COINS["€"], "GBP": _COINS["£"], "JPY": _COINS["¥"], "RMB": _COINS["CNY"], "US$": _COINS["USD"]}
_COINS |= {"U S $": _COINS["USD"], "CA$": _COINS["CAD"], "C$": _COINS["CAD"], "AU$": _COINS["AUD"]}
_COINS |= {"A$": _COINS["AUD"], "HK$": _COINS["HKD"], "NZ$": _COINS["NZD"]}
_SIGN = r"(?:\b(?:(?-i:US|U S |CA|C|AU|A|HK|NZ))\$|[$£€¥]|\b(?-i:USD|EUR|GBP|JPY|CHF|CAD|AUD|HKD|NZD|CNY|RMB|INR)(?=\s[0-9]))"
_MONEY = re.compile(
    rf"(?P<one>\b(?:an?|A|An|each|every|another)\s)?(?P<sign>{_SIGN})\s?(?P<low>{_N}|\.[0-9]++)"
    rf"(?:(?:\s?-\s?(?:{_SIGN})?\s?|\sto\s{_SIGN}\s?)(?P<high>{_N}))?{_SCALE}?(?P<joined>-(?=[a-z]))?",
    re.IGNORECASE,
)
_AFTER = re.compile(rf"(?<![\w.,])(?P<low>{_N})\s?(?P<sign>[€£¥¢]|USD\b|EUR\b|GBP\b|JPY\b|CHF\b)")
_LOSS = re.compile(  # accounting brackets
    rf"(?P<before>\b(?:of|was|were|is|are|to|from|by|at|with|versus|against|total(?:ed|led|s)?)\s|[0-9%)],?\s|:\s)"
    rf"\((?P<amount>[$£€¥]?\s?{_N}(?:\s(?:thousand|million|billion))?%?)\)"
)
_LOSS_SIGN = re.compile(rf"(?P<sign>[$£€¥])\s?\((?P<amount>{_N})\)")
_SURE = re.compile(r"of|was|were|is|are|to|from|by|at|with|versus|against|total|:")
_PERCENT = re.compile(r"\s?%(?P<range>-(?=[0-9.]))?")
_MINUS = re.compile(r"(?<![^\s(])-(?=[0-9.$£€¥])")
_POINTS = re.compile(r"(?P<one>(?<![\w.,])1)?(?<=[0-9])[\s-]?bps?\b")
_UNITS = {
    "km": ("kilometer", "kilometers"), "kg": ("kilogram", "kilograms"), "mg": ("milligram", "milligrams"),
    "cm": ("centimeter", "centimeters"), "ml": ("milliliter", "milliliters"), "ft": ("foot", "feet"),
    "lb": ("pound", "pounds"), "lbs": ("pound", "pounds"), "oz": ("ounce", "ounces"), "mi": ("mile", "miles"),
    "mph": ("mile per hour", "miles per hour"), "km/h": ("kilometer per hour", "kilometers per hour"),
    "kWh": ("kilowatt hour", "kilowatt hours"), "MWh": ("megawatt hour", "megawatt hours"),
    "MW": ("megawatt", "megawatts"), "GW": ("gigawatt", "gigawatts"), "kW": ("kilowatt", "kilowatts"),
    "KB": ("kilobyte", "kilobytes"), "MB": ("megabyte", "megabytes"), "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"), "kHz": ("kilohertz", "kilohertz"), "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"), "hr": ("hour", "hours"), "hrs": ("hour", "hours"),
    "min": ("minute", "minutes"), "sec": ("second", "seconds"), "yrs": ("year", "years"), "m": ("meter", "meters"),
    "°C": ("degree Celsius", "degrees Celsius"), "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": ("degree", "degrees"),
}  # fmt: skip
_UNIT = re.compile(
    rf"(?<![\w.,])(?P<number>{_N})[ -]?(?P<unit>{'|'.join(sorted(map(re.escape, _UNITS), key=len, reverse=True))})(?!\w)"
)
_BARE_SCALE = re.compile(rf"(?<![\w.,])(?P<number>{_N})(?P<short>bn|mn|mm|tn|[km])(?!\w)", re.IGNORECASE)
_TIMES = re.compile(r"(?<=[0-9])x(?!\w)")
_SET = {"24/7": "twenty four seven", "50/50": "fifty fifty", "9/11": "nine eleven", "20/20": "twenty twenty"}
_BOTTOMS = {"2", "3", "4", "5", "6", "7", "8", "9", "10", "12", "16", "20", "32", "64", "100", "1000"}
_PARTS = re.compile(r"(?<![\w/.,])(?:(?P<whole>[0-9]{1,6}) )?(?P<top>[0-9]{1,4})/(?P<bottom>[0-9]{1,4})(?![\w/])")
_RATIO = re.compile(r"(?<![\w:])(?P<low>[0-9]{1,4}):(?P<high>[0-9]{1,4})(?![\w:])")
_RANGE = re.compile(rf"(?<![\w.,-])(?P<low>{_N})\s?-\s?(?=(?P<high>{_N})(?![\w-]|\.[0-9]))")
_COUNTED = re.compile(
    r"\s(?:shares|units|votes|employees|people|persons|hours|days|miles|feet|dollars|euros|pounds|percent|thousand|"
    r"million|billion|trillion|customers|stores|loans|pages|copies|members|points|basis|acres|jobs|hundred)\b"
)
_NUMBER = re.compile(rf"(?P<parts>[0-9]++(?:\.[0-9]++){{2,}})|(?P<number>{_N})|(?<![\w.])\.(?P<fraction>[0-9]++)")


def say_amounts(text: str) -> str:
    """`plain` English text without digits: whatever number is left is an amount, a year or a fraction."""
    if "(" in text:
        text = _LOSS.sub(_loss, _LOSS_SIGN.sub(r" negative \g<sign>\g<amount>", text))
    text = _PERCENT.sub(lambda match: " percent to " if match["range"] else " percent ", text)
    text = _MINUS.sub("minus ", text)
    text = _MONEY.sub(_money, text)
    text = _AFTER.sub(lambda match: apart(match, _coins(match["low"], match["sign"])), text)
    text = _POINTS.sub(lambda match: "1 basis point" if match["one"] else " basis points", text)
    text = _UNIT.sub(lambda match: apart(match, _measure(match)), text)
    text = _BARE_SCALE.sub(lambda match: apart(match, f"{match['number']} {_SCALES[match['short'].lower()]}"), text)
    text = _TIMES.sub(" times", text)
    if "/" in text:
        text = _PARTS.sub(lambda match: apart(match, _parts(match)), text)
    text = _RATIO.sub(lambda match: f"{match['low']} to {match['high']}", text)
    text = _RANGE.sub(r"\g<low> to ", text)
    return _NUMBER.sub(lambda match: apart(match, _number(match)), text)


def _loss(match: re.Match[str]) -> str:
    """A bracketed amount is a loss behind a verb or preposition; behind another amount only one like (1,234)."""
    bare = match["amount"][0].isdigit() and "," in match["amount"]
    if _SURE.match(match["before"]) or bare:
        return f"{match['before']}negative {match['amount']}"
    return match[0]


def _money(match: re.Match[str]) -> str:
    low, high, one = match["low"], match["high"], match["one"] or ""
    scale = match["scale"] or _SCALES.get((match["short"] or "").lower(), "")
    names = _COINS[match["sign"].upper()]
    single = bool(one or match["joined"])
    if high and not scale and "." in low + high:
        words = f"{_change(low, names, single)} to {_change(high, names, single)}"
    elif not (high or scale):
        words = _change(low, names, single)
    else:
        name = names[0 if single else 1]
        words = " ".join(word for word in (amount(low), high and f"to {amount(high)}", scale.lower(), name) if word)
    if one:
        return f"{one}{words} " if match.string[match.end() : match.end() + 1].isalnum() else one + words
    return apart(match, words + " " * bool(match["joined"]))


def _change(written: str, names: tuple[str, str, str, str], single: bool) -> str:
    whole, _, cents = written.partition(".")
    unit = names[0] if single or whole == "1" else names[1]
    if len(cents) != 2 or not names[2]:
        return f"{amount(written)} {names[0] if single or written == '1' else names[1]}"
    change = f"{cardinal(cents.lstrip('0') or '0')} {names[2] if single or cents == '01' else names[3]}"
    if cents == "00":
        return f"{amount(whole)} {unit}"
    return f"{amount(whole)} {unit} and {change}" if whole.strip("0,") else change


def _coins(low: str, sign: str) -> str:
    if sign == "¢":
        return f"{amount(low)} {'cent' if low == '1' else 'cents'}"
    return _change(low, _COINS[sign], single=False)


def _measure(match: re.Match[str]) -> str:
    one, several = _UNITS[match["unit"]]
    attached = match["unit"] == "m" and match[0] == match["number"] + "m"
    if attached:
        return f"{match['number']} million"
    return f"{match['number']} {one if match['number'] == '1' or '-' in match[0] else several}"


def _parts(match: re.Match[str]) -> str:
    whole, top, bottom = match["whole"], match["top"], match["bottom"]
    if bottom in _BOTTOMS and 0 < int(top) < int(bottom):
        said = fraction(top.lstrip("0"), bottom)
        if not whole:
            return said
        return f"{whole} and {'a ' + said.removeprefix('one ') if top == '1' else said}"
    said = _SET.get(f"{top}/{bottom}") or f"{top} over {bottom}"
    return f"{whole} {said}" if whole else said


def _number(match: re.Match[str]) -> str:
    if match["parts"]:
        return " point ".join(cardinal(part) for part in match["parts"].split("."))
    if match["fraction"]:
        return amount("." + match["fraction"])
    written = match["number"]
    following = match.string[match.end() : match.end() + 16]
    if len(written) == 4 and "1100" <= written <= "2099" and "." not in written and not _COUNTED.match(following):
        return year(written)
    return amount(written)
