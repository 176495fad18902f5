"""Lines to sentences: lines of one paragraph are joined, and a paragraph is split where its sentences end.

Our own rules, without a library: on legal, finance and medical text they made fewer mistakes than `sentencex` 1.0,
which also took "SEC.", "me." and "no." for abbreviations. Where a mark is ambiguous ("the U.S. Treasury") nothing
is split: a voice reads two sentences in one go more easily than half a sentence.
"""
# ruff: noqa: SIM905 - a list of words reads best as one string

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

_CLOSE = r"[\"'”’»)\]]*"
_WIDE_CLOSE = r"[」』”’）】》〉\"')]*"
_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_END = re.compile(rf"(?:(?P<mark>[.!?…]+){_CLOSE}|[。！？｡]{_WIDE_CLOSE})$")
_BOUNDARY = re.compile(
    rf"(?P<mark>(?:\.\s){{2,}}\.|[.!?…]+)(?P<close>{_CLOSE})\s+"
    r"(?=[\"'“‘«„(\[「¿¡]*(?:[-–—•>]\s?)?[$£€¥§¶#]*\s?[^\W_])"
    rf"|(?:[。！？｡]+|[!?]+(?=[{_WIDE}])){_WIDE_CLOSE}+\s*+(?=[^\s，、；：,;])(?!と|って)"
)
_OPENING = "\"'“‘«„([「¿¡"
_WORD = re.compile(r"[^\s(\[\"'“‘—–/]*$")
_LABEL = r"(?:section|sec\.|article|art\.|chapter|part|rule|item|step|count|note|clause|schedule|appendix|exhibit|§§?)"
_ENUMERATOR = re.compile(
    rf"[\"'“‘]?(?:\(?(?:\d{{1,3}}(?:\.\d{{1,3}})*|[a-z]|[ivx]+)[.)]+|{_LABEL}\s*(?:[\d.]+[a-z]?|[ivxlc]+|[a-z])\.)",
    re.IGNORECASE,
)
_LETTERED = re.compile(  # before a letter that names or spells something: "Section K.", "the S E C."
    r"\b(?:[Ss]ection|[Ee]xhibit|[Ss]chedule|[Aa]nnex|[Aa]ppendix|[Pp]art|[Cc]lass|[Ss]eries|[Pp]lan) $|(?:\b[A-Z] ){2,}$"
)
_CLAUSE = re.compile(r"\((?:[a-z]|[ivx]+)\) |[ivx]{2,4}\. [A-Z]")
_ITEM = re.compile(r"(?:\((?:[a-z]{1,2}|[ivx]+|\d{1,3})\)|\d{1,3}[.)]|[a-z][.)]|[ivx]+[.)])\s", re.IGNORECASE)
_NUMERAL = re.compile(r"[\d(§¶#]")
_ROMAN = re.compile(r"(?:[IVXLC]+|[A-Z])\b(?!['’])")
_FOLLOWING = re.compile(r"[\"'“‘«„(\[]*([^\W_]*)(\.?)")
_COMPANY = re.compile(r"(?:Inc|Corp|Ltd|Co|LLC|Holdings)\b")
_SPEAKER = re.compile(
    r"(?:(?:Mr|Mrs|Ms|Dr|The)\.?\s)?(?:\w+\s){1,2}(?:said|asked|replied|answered|added|wrote|explained)\b"
)
_ZONE = re.compile(
    r"(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|Eastern|Central|Mountain|Pacific|Greenwich|London|New York|Tokyo"
    r"|Universal|[A-Z]{1,2}[SD]?T\b|UTC|Jan|Feb|Mar|Apr|May\s\d|June?\s\d|July?\s\d|Aug|Sept?|Oct|Nov|Dec|\d)"
)
_TIME = re.compile(
    r"(?:(?:at|by|around|about|before|after|until|since|from|on)\s(?:[\w,]+\s){0,5})?[\d:.]+\s?[ap]\.m\.", re.IGNORECASE
)

# Never the last word of a sentence: before the name of a person (when capitalised), and in any case.
_TITLES = frozenset(
    "mr mrs ms messrs mses dr prof hon rev gen gov sen rep reps lt capt col sgt cpl maj adm cmdr atty supt pres".split()
)
_NEVER = frozenset("v vs e.g i.e cf viz approx ca mr mrs ms dr".split())
# Not the last word before a number ("No. 5"); all but the first two neither before a letter ("Ex. A", "Art. II").
_NUMBERED = frozenset(
    "no nos art arts sec secs ss sect fig figs ch chs vol vols para paras par pp pt pts cl ex exs app appx exh sched "
    "tit ver tab tbl id p art stat reg regs op doc docs dkt ed r".split()
)
# Last word of a sentence only before a word that often opens one; so are dotted letters (U.S., J.).
_PERHAPS = frozenset(
    "inc corp ltd co llc plc bros assn ass'n jr sr esq ph.d st mt ave blvd rd cir ct cty dep't dept div dist est "
    "fed civ crim evid bankr supp rev reg regs stat ann al admin assoc univ int'l nat'l gov't comm'n comm'r cong harv "
    "appx ed eds gov prof sup rptr jan feb mar apr jun jul aug sep sept oct nov dec tues thurs".split()
)
# The same, and only with a capital: "Mass. Gen. Laws", but "a critical mass."
_CAPITALISED = frozenset(
    "Ala Ariz Ark Cal Colo Conn Del Fla Ga Ill Ind Kan Ky La Mass Md Mich Minn Miss Mo Mont Neb Nev Okla Ore Pa Penn "
    "Tenn Tex Va Vt Wash Wis Wyo App Op Gen Mem Const Code Bus Com Prof Ins Lab Educ Veh Fam Prob".split()
)
_DOTTED = re.compile(r"(?:[a-z]\.)*[a-z]")
_OPENERS = frozenset(
    "a after all although an and any are as at because before both but by can could did do does during each either finally "
    "for from had has have he her here his how however i if in is it its moreover my neither nevertheless no nobody "
    "nor nothing okay on once one or our see she should since so some such that the their then there therefore these they "
    "this those thus to under unless until was we were what when where whether which while who why with would yes yet "
    "you your plaintiff plaintiffs defendant defendants petitioner petitioners respondent respondents appellant "
    "appellants appellee appellees counsel".split()
)
_HANGING = frozenset("a an and as at but by for from in into of on or our that the their to under which with".split())


class Line(NamedTuple):
    """One line of a document: its number (of the line, or of the page it stands on) and its text, "" for a blank one.

    `alone`: a heading, never joined with another line. `opens`: a list item, never joined with the line before.
    """

    number: int
    text: str
    alone: bool = False
    opens: bool = False


def split_sentences(paragraph: str) -> Iterator[tuple[int, str]]:
    """Sentences of one paragraph with the offset each starts at; abbreviations and enumerators do not end one."""
    start = 0
    for match in _BOUNDARY.finditer(paragraph):
        if match["mark"] is not None:
            before = paragraph[max(start, match.end("mark") - 80) : match.end("mark")]
            after = paragraph[match.end() : match.end() + 80]
            said = match["close"] and match["mark"][-1] in "?!" and _SPEAKER.match(after)
            asks = match["mark"][-1] == "?" and not match["close"] and after[0].islower() and before.count(" ") > 1
            if said or not (asks or _ends(before, after)):
                continue
        yield start, paragraph[start : match.end()].rstrip()
        start = match.end()
    if paragraph[start:].strip():
        yield start, paragraph[start:].rstrip()


def sentences(lines: list[Line]) -> Iterator[tuple[int, str]]:
    """Sentences of all lines, each with the number of the line it starts on; blank lines part paragraphs.

    Lines are kept as they are where each ends a sentence, and where hardly one in fifty has a mark (a transcript
    without punctuation).
    """
    texts = [line.text for line in lines if line.text]
    whole = all(_END.search(text) for text in texts) or sum(map(_marked, texts)) <= 0.02 * len(texts)
    block: list[Line] = []
    for place, line in enumerate([*lines, Line(0, "")]):
        if block and (not line.text or whole or _parted(block[-1], line, lines[max(0, place - 5) : place + 4])):
            yield from _joined(block)
            block = []
        if line.text:
            block.append(line)


def _marked(text: str) -> bool:
    return _END.search(text) is not None or len(list(split_sentences(text))) > 1


def _joined(block: list[Line]) -> Iterator[tuple[int, str]]:
    """Sentences of the lines of one paragraph. Chinese and Japanese lines are joined without a space."""
    pieces = [block[0].text]
    for line, following in zip(block, block[1:], strict=False):
        wide = re.match(rf"[{_WIDE}，。、][{_WIDE}]", line.text[-1] + following.text[0])
        pieces.append(following.text if wide else " " + following.text)
    starts = [0, *accumulate(len(piece) for piece in pieces)]
    for offset, text in split_sentences("".join(pieces)):
        yield block[bisect_right(starts, offset, hi=len(block)) - 1].number, text


def _parted(line: Line, following: Line, near: list[Line]) -> bool:
    """Whether two neighbouring lines of a paragraph belong to different sentences; `near`: the lines around them."""
    if line.alone or following.alone or following.opens:
        return True
    end = _END.search(line.text)
    if end is not None and end["mark"] is None:
        return True
    if end is not None and _ends(line.text[-80:][: end.end("mark") - len(line.text) or None], following.text[:80]):
        return True
    if _ITEM.match(following.text) and re.search(r"(?:[;:]|[;,] (?:and|or))$", line.text):
        return True
    return end is None and _broken(line.text, following.text, max(len(one.text) for one in near))


def _broken(text: str, following: str, width: int) -> bool:
    """Whether a line of a wrapped paragraph ends early on purpose, as a heading does: the next word had room in it."""
    room = width >= 50 and len(text) + 1 + len(following.split(maxsplit=1)[0]) <= 0.75 * width
    if not room or not following.lstrip(_OPENING)[:1].isupper() or text[-1] in ",;-–—&(":
        return False
    return text.rsplit(maxsplit=1)[-1].lower() not in _HANGING


def _ends(before: str, after: str) -> bool:
    """Whether the mark at the end of `before` (at most 80 letters of the sentence) ends it when `after` follows."""
    lower = after.lstrip(_OPENING)[:1].islower() and not _CLAUSE.match(after)
    if lower or _ENUMERATOR.fullmatch(before.strip()):
        return False
    if before[-1] in "!?":
        return not _COMPANY.match(after)
    found = _FOLLOWING.match(after)
    initial = found is not None and found[2] != "" and len(found[1]) == 1
    opens = found is not None and found[1].lower() in _OPENERS and not initial
    dots = re.search(r"(?:\.\s?){2,}$|…$", before)
    if dots:
        omission = before[: dots.start()].endswith(" ") and before.count(".", dots.start()) < 4
        return opens or not omission
    return _ends_word(before, after, opens)


def _ends_word(before: str, after: str, opens: bool) -> bool:
    """The same for one full stop; `opens`: the word that follows often opens a sentence."""
    written = found[0] if (found := _WORD.search(before[:-1])) else ""
    word = written.lower().replace("’", "'")
    if len(word) == 1 and _LETTERED.search(before[: -len(word) - 1]):
        return True
    if word in _NEVER or (word in _TITLES and written[0].isupper()):
        return False
    if word in ("a.m", "p.m"):
        return opens or not (_ZONE.match(after) or _TIME.fullmatch(before.strip()))
    if word in _NUMBERED and not (len(word) == 1 and written.isupper()):
        letter = written[0].isupper() and word not in ("no", "nos", "id") and _ROMAN.match(after)
        if letter or _NUMERAL.match(after):
            return False
    return opens or not (word in _PERHAPS or written in _CAPITALISED or _DOTTED.fullmatch(word))
