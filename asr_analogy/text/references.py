"""References of law and filings in English words: sections, rules, dockets, forms, reporters, telephone numbers.

As a court reporter says them: "§ 1983(b)(ii)" is "section nineteen eighty three B two" and docket "No. 21-1234" is
"number twenty one twelve thirty four"; a docket part with a leading zero is read digit by digit.
"""

import re

from asr_analogy.text.numbers import apart, cardinal, label, one_by_one, ordinal, roman

_BRACKET = r"\((?:[0-9]{1,3}|[A-Za-z]|[ivx]{2,5}|[a-z]{2}|[A-Z]{2})\)"
_CODE = rf"[0-9]++(?:[A-Za-z]{{1,2}}(?![a-z]))?(?:[.:-](?:[0-9]++[A-Za-z]?|[A-Za-z]{{1,3}})(?![a-z]))*+(?:{_BRACKET})*+"
_JOIN = r"(?:,?\s(?:and|or|to|through|&)\s|,\s|\s?-\s?)"
_KEY = (
    r"sections?|articles?|rules?|titles?|chapters?|parts?|clauses?|paragraphs?|forms?|items?|notes?|counts?|exhibits?|"
    r"schedules?|appendix|pages?|lines?|numbers?|dockets?|cases?|rooms?|suites?|regulations?|claims?|orders?|bills?|"
    r"public law|procedure|evidence|U S C|C F R|ASC|ASU|IFRS|IAS|FAS|SFAS|ISO|SAB|APB|FIN|W L"
)
_KEYED = re.compile(rf"\b(?P<key>{_KEY})(?P<gap>\s+)(?P<codes>{_CODE}(?:{_JOIN}{_CODE})*+)(?!,[0-9]|%|[\w])", re.I)
_ONE_CODE = re.compile(_CODE)
_BRACKETED = re.compile(rf"(?<![\w.,$£€¥-])[0-9]++(?:\.[0-9]++)*[a-z]{{0,2}}(?:-[0-9]{{1,2}})?(?:{_BRACKET})++(?!\w)")
_FILED = re.compile(  # 1:21-cv-01234-ABC, 10b-5, 10-K, 13D, S-1
    r"(?<![\w.,$-])(?:(?:[0-9]{1,2}:)?[0-9]{2}-[a-z]{2,4}-[0-9]{2,6}(?:-[A-Z]{2,4})*|[0-9]{1,4}[a-z]-[0-9]{1,3}"
    r"|[0-9]{1,3}-?[A-Z](?:/A)?|[A-Z]-[0-9]{1,2}[A-Z]?(?:-[0-9]{1,2})?)(?![\w-])"
)
_REPORTER = (
    r"U S|F(?: Supp)?(?: (?:second|third|fourth))?|Supreme Court|Lawyers Edition(?: second)?|Federal Register|"
    r"[A-Z](?: [A-Z])?(?: [A-Z])? (?:second|third|fourth)|Cal(?: App)? (?:second|third|fourth|fifth)|W L|A C|Q B|Ch"
)
_CITED = re.compile(
    rf"(?<![\w.,$-])(?P<volume>[0-9]{{1,4}}) (?P<reporter>{_REPORTER}) (?P<page>[0-9]{{1,7}})"
    r"(?:, (?P<pin>[0-9]{1,4})(?:-(?P<until>[0-9]{1,4}))?)?(?![\w-])(?!,[0-9])"
)
_PHONE = re.compile(
    r"(?<![\w.,+-])(?:(?P<country>\+?1)[ .-]?)?(?:\((?P<area>[0-9]{3})\) ?|(?P<zone>[0-9]{3})[ .-])"
    r"(?P<office>[0-9]{3})[ .-](?P<line>[0-9]{4})(?![\w-])"
)
_ABROAD = re.compile(r"(?<![\w+])\+(?P<digits>[0-9]{1,3}(?:[ -](?:\(0\))?[0-9]{2,6}){2,5})(?![\w-])")
_OF_SEVEN = re.compile(r"(?<![\w.,-])(?:[0-9]{3}-[0-9]{4}|[0-9]{3}-[0-9]{2}-[0-9]{4}|[0-9]{2}-[0-9]{7})(?![\w-])")
_PIECE = re.compile(r"[0-9]+|[A-Za-z]+|\(|[.]")
_ORDINAL = re.compile(
    r"(?<![\w.,])(?P<number>[0-9]{1,3}(?:,[0-9]{3})++|[0-9]++)(?:st|nd|rd|th|ST|ND|RD|TH)(?!\w)"
    r"|(?<![\w.,-])(?P<law>[0-9]{0,2}[23])d(?!\w)",  # lawyers write 2d and 3d
)


def say_references(text: str) -> str:
    """`plain` English text with references in words; expects abbreviations and § to be words already."""
    text = _PHONE.sub(lambda match: apart(match, _phone(match)), text)
    text = _ABROAD.sub(lambda match: apart(match, "plus " + _groups(re.findall("[0-9]+", match["digits"]))), text)
    text = _ORDINAL.sub(lambda match: apart(match, ordinal((match["number"] or match["law"]).replace(",", ""))), text)
    text = _CITED.sub(lambda match: apart(match, _cited(match)), text)
    text = _KEYED.sub(_keyed, text)
    text = _OF_SEVEN.sub(lambda match: apart(match, _groups(match[0].split("-"))), text)
    text = _BRACKETED.sub(lambda match: apart(match, code(match[0])), text)
    return _FILED.sub(lambda match: apart(match, code(match[0])), text)


def code(written: str) -> str:
    """A section, docket or form number: numbers as labels, letters spelled, "." as point, (ii) as a number."""
    words, previous = list[str](), ""
    pieces = _PIECE.findall(written)
    for place, piece in enumerate(pieces):
        if piece.isdigit():
            words.append(label(piece))
        elif piece == ".":
            if 0 < place < len(pieces) - 1:
                words.append("point")
        elif piece != "(":
            value = roman(piece) if previous == "(" and _is_roman(pieces, place) else None
            words.append(cardinal(str(value)) if value else " ".join(piece.upper()))
        previous = piece
    return " ".join(words)


def _is_roman(pieces: list[str], place: int) -> bool:
    """Whether letters in brackets are a Roman number; one letter directly behind the number, "9(i)", is a letter."""
    piece, before = pieces[place], pieces[place - 2]
    direct = before.isdigit() and (place < 3 or pieces[place - 3] != "(")
    return piece.islower() and (len(piece) > 1 or not (direct or before == "h"))


def _keyed(match: re.Match[str]) -> str:
    key, codes = match["key"], match["codes"]
    several = key.lower().endswith("s") and key.islower() | key.istitle() and key.lower() not in ("numbers", "cases")
    if several:
        codes = re.sub(r"(?<=[0-9)])\s?-\s?(?=[0-9])", " to ", codes)
    said = _ONE_CODE.sub(lambda one: code(one[0]), codes)
    return apart(match, f"{key}{match['gap']}{re.sub(r' - |-', ' to ' if several else ' ', said)}")


def _cited(match: re.Match[str]) -> str:
    words = f"{label(match['volume'])} {match['reporter']} {label(match['page'])}"
    if match["pin"]:
        words += f", {label(match['pin'])}"
    return f"{words} to {label(match['until'])}" if match["until"] else words


def _phone(match: re.Match[str]) -> str:
    groups = [(match["country"] or "").lstrip("+"), match["area"] or match["zone"], match["office"], match["line"]]
    return "plus " * (match["country"] or "").startswith("+") + _groups([group for group in groups if group])


def _groups(groups: list[str]) -> str:
    return ", ".join("eight hundred" if group == "800" else one_by_one(group) for group in groups)
