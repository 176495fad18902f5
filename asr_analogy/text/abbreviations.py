"""Abbreviations, acronyms, Roman numerals and web addresses as they are said in English."""
# ruff: noqa: SIM905 - a list of words reads best as one string

import re

from asr_analogy.text.numbers import apart, cardinal, ordinal, roman

_PHRASES = {
    "Fed. R. Civ. P.": "Federal Rule of Civil Procedure", "Fed. R. Crim. P.": "Federal Rule of Criminal Procedure",
    "Fed. R. App. P.": "Federal Rule of Appellate Procedure", "Fed. R. Bankr. P.": "Federal Rule of Bankruptcy Procedure",
    "Fed. R. Evid.": "Federal Rule of Evidence", "Fed. Reg.": "Federal Register", "F. Supp.": "F Supp",
    "S. Ct.": "Supreme Court", "L. Ed.": "Lawyers Edition", "Cal. App.": "Cal App", "et al.": "et al",
    "et seq.": "et seek", "sq. ft.": "square feet", "So. ": "S O ", "Pub. L.": "Public Law", "per cent.": "percent",
    "a/k/a": "also known as", "f/k/a": "formerly known as", "d/b/a": "doing business as", "n/k/a": "now known as",
    "and/or": "and or", "w/o": "without", "c/o": "care of", "Ph.D.": "P H D", "Ph.D": "P H D",
}  # fmt: skip
_ALWAYS = {
    "Mr": "Mister", "Mrs": "Missus", "Ms": "Ms", "Messrs": "Messieurs", "Dr": "Doctor", "Prof": "Professor",
    "Hon": "Honorable", "Rev": "Reverend", "Gen": "General", "Gov": "Governor", "Sen": "Senator",
    "Rep": "Representative", "Lt": "Lieutenant", "Capt": "Captain", "Col": "Colonel", "Sgt": "Sergeant",
    "Atty": "Attorney", "Jr": "Junior", "Sr": "Senior", "Esq": "Esquire", "Inc": "Incorporated", "Corp": "Corporation",
    "Ltd": "Limited", "Co": "Company", "Cos": "Companies", "Bros": "Brothers", "Assn": "Association",
    "Ass'n": "Association", "Int'l": "International", "Nat'l": "National", "Gov't": "Government", "Dep't": "Department",
    "Dept": "Department", "Div": "Division", "Dist": "District", "Cir": "Circuit", "Ct": "Court", "Bankr": "Bankruptcy",
    "Mfg": "Manufacturing", "v": "versus", "vs": "versus", "etc": "et cetera", "cf": "compare", "Cf": "Compare",
    "viz": "namely", "approx": "approximately", "e.g": "for example", "i.e": "that is", "E.g": "For example",
    "I.e": "That is", "Id": "Id", "id": "id", "Jan": "January", "Feb": "February", "Apr": "April", "Aug": "August",
    "Sept": "September", "Sep": "September", "Oct": "October", "Nov": "November", "Dec": "December", "Est": "Estate",
    "est": "estimated", "Ave": "Avenue", "Blvd": "Boulevard", "Fed": "Federal", "Reg": "Regulation",
    "Stat": "Statutes", "Const": "Constitution", "amend": "amendment", "Amend": "Amendment", "avg": "average",
    "incl": "including", "excl": "excluding", "resp": "respectively", "Mtg": "Meeting", "mtg": "meeting",
}  # fmt: skip
_NUMBERED = {  # only before a number
    "No": "number", "no": "number", "Nos": "numbers", "nos": "numbers", "Art": "Article", "art": "article",
    "Arts": "Articles", "Sec": "Section", "sec": "section", "Secs": "Sections", "secs": "sections", "Ch": "Chapter",
    "ch": "chapter", "p": "page", "pp": "pages", "para": "paragraph", "paras": "paragraphs", "Para": "Paragraph",
    "Ex": "Exhibit", "Exs": "Exhibits", "Fig": "Figure", "fig": "figure", "Figs": "Figures", "Vol": "Volume",
    "vol": "volume", "Pt": "Part", "pt": "part", "cl": "clause", "Cl": "Clause", "Tr": "Transcript", "n": "note",
    "ext": "extension", "Ext": "Extension", "Dkt": "Docket", "App": "Appendix", "Sched": "Schedule", "Mar": "March",
    "Jun": "June", "Jul": "July", "ca": "circa", "c": "circa", "Rm": "Room", "Ste": "Suite", "ss": "sections",
    "s": "section", "r": "rule",
}  # fmt: skip
_PHRASE = re.compile("|".join(rf"(?<!\w){re.escape(one)}(?!\w)" for one in sorted(_PHRASES, key=len, reverse=True)))
_STOPPED = re.compile(
    r"(?<![\w.])(?P<word>(?:[A-Za-z]\.)+[A-Za-z]|[A-Za-z][A-Za-z']{0,7})\.(?P<plural>'?s\b)?(?P<end>[\"')\]]*$)?"
)
_DOTTED = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]")
_GLUED = re.compile(r"(?<![\w.])(?P<letters>(?:[A-Z]\.)+)(?=[0-9]?[a-z]|[0-9])")  # F.3d, U.S.C.
_OPENERS = frozenset(
    "The A An It In This That These If We He She They On At For But And No Each See There His Its".split()
)
_LETTERED = frozenset(
    "Exhibit Schedule Appendix Class Series Plan Part Section Annex Group Grade Vitamin and or".split()
)

_WORDS = frozenset(  # acronyms said as words
    "NASDAQ GAAP OSHA EBITDA EBITDAR EBIT LIBOR SOFR EURIBOR SONIA FINRA FERC FEMA NASA NATO NAFTA OPEC UNESCO UNICEF "
    "HIPAA ERISA CERCLA COBRA RICO FICA FICO FIFO LIFO SOX REIT REITS SPAC SPACS ESOP CUSIP ISDA EDGAR FATCA TARP TALF "
    "CAGR WACC ASEAN SWIFT COVID AIDS SARS PIN ZIP MIRANDA NYMEX COMEX AMEX CFIUS OFAC FINCEN UCITS MIFID TILA RESPA "
    "SIPC LASER RADAR JPEG YTD".split()
) - {"YTD", "SIPC"}
_SPELLED = frozenset(
    "SEC FDIC IRS CEO CFO COO CTO CIO LLC LLP LP PLC USA US UK EU UN DC FBI CIA DOJ FTC EPA FDA FCC IPO ETF GDP CPI "
    "NYSE AICPA USDA UCC USC CFR ADA NLRB EEOC CFPB CFTC FOMC FASB GASB IASB PCAOB IFRS MBA CPA CFA IRA ROI ROE ROA "
    "EPS NAV AGM VAT PPE R&D M&A P&L AI HR IT PR TV ID USPTO NCUA OCC GAO OMB DHS ATF DEA INS ICE SSA HUD NDA MOU LOI "
    "SPA APA ESG KYC AML ABS MBS CDO CLO CDS OTC ADR SBA EWCA EWHC UKSC UKHL ASC ASU EIN SSN FAS SFAS CUSO FHA VA CRA HOA TRO ADR UCITS".split()
)
_FUNCTION = frozenset(
    "THE AND NOT FOR BUT ANY ALL MAY OUT OUR ONE TWO WHO ITS HIS HER WAS ARE HAS HAD HIM HOW DID LET YES SEE GET SET "
    "ACT DUE LAW TAX SUM OWN USE TOP NEW OLD NOW DAY WAY END BUY NET AN AS AT BE BY DO GO HE IF IN IS ME MY NO OF OH "
    "ON OR SO TO UP WE AM SHE YOU CAN WHY TEN SIX PAY BID ASK FEE JOB MAN MEN OFF PER PUT RUN SAY TRY TOO YET NOR ADD "
    "BAD BIG CUT FEW LOW OWE SUE HIGH MR MRS MS DR VS ET AL RE EX".split()
)
_TITLES = frozenset("MR MRS MS DR NO".split())
_LONG = re.compile(r"(?<![\w&])(?:[A-Z][A-Z']*[A-Z]|V(?=\. ))(?![\w&])")
_SPECIAL = {
    "PhD": "P H D",
    "PhDs": "P H Ds",
    "YoY": "year over year",
    "QoQ": "quarter over quarter",
    "LLMs": "L L Ms",
    "EBITDAs": "Ebitdas",
    "vs": "versus",
    "et al": "et al",
    "w/": "with ",
}
_CAPITALS = re.compile(r"(?<![\w&])(?P<name>[A-Z][A-Z&]*[A-Z])(?P<plural>s)?(?![\w&])|\b(?:PhDs?|YoY|QoQ)\b")
_ONSET = (
    "BL|BR|CH|CL|CR|DR|FL|FR|GL|GR|KN|PH|PL|PR|QU|SC|SCH|SCR|SH|SK|SL|SM|SN|SP|SPL|SPR|ST|STR|SW|TH|THR|TR|TW|WH|WR"
)
_CODA = (
    "CH|CK|CT|FT|GH|GHT|LD|LF|LK|LL|LM|LP|LS|LT|MB|MP|MS|NCH|NC|ND|NG|NGS|NK|NS|NT|NTS|NTH|PT|RCH|RD|RDS|RF|RK|RL|RM|RMS|"
    "RN|RP|RR|RS|RT|RTS|RTY|RTH|SH|SK|SP|SS|ST|STS|TCH|TH|TS|TT|WN|WS|CKS|CTS|DS|FF|GS|GN|KS|PS|BS|NDS|MN|LTH|NGTH|CC|RST"
)
_SAYABLE = re.compile(
    rf"(?:[B-DF-HJ-NP-TV-Z]|{_ONSET})?[AEIOUY]{{1,2}}(?:[B-DF-HJ-NP-TV-XZ]{{1,3}}[AEIOUY]{{1,2}})*(?:[B-DF-HJ-NP-TV-XZ]|{_CODA})?"
)

_PARTS = (
    "Articles? Titles? Chapters? Parts? Books? Volumes? Act Phase Class Annex Amendments? Type Tier Division Level "
    "Stage Grade Claims? Counts? Sections? Schedules? Round Group War Basel Solvency"
).split()
_PART = re.compile(
    rf"\b(?P<part>{'|'.join(_PARTS)}) (?P<roman>[IVX]+)(?P<to>(?:,? (?:and|or|to|through) |-|, )[IVX]+)?(?![\w'])"
)
_NUMBERED_PARTS = frozenset("Article Title Chapter Part Count Section Act".split())
_KINGS = (
    "Henry George Edward Elizabeth Richard James Charles William Louis Philip Pius Paul Benedict Francis Napoleon Mary "
    "Alexander Nicholas Gregory Leo Innocent Catherine Frederick Wilhelm"
).split()
_KING = re.compile(rf"\b(?P<name>{'|'.join(_KINGS)}) (?P<roman>[IVX]+)(?!\w)")
_HEIR = re.compile(r"(?P<name>\b[A-Z][a-z]+ (?:[A-Z]\.? )?[A-Z][a-z]+,?) (?P<roman>III|II|IV)(?!\w)")
_ALONE = re.compile(
    r"(?<![\w.'-])(?P<roman>XX(?:IX|IV|V?I{1,3})?|X(?:IX|IV|VI{1,3}|I{1,3})|IX|IV|VI{1,3}|I{2,3})(?![\w'])"
)
_LISTED = re.compile(r"(?<!\w)\((?P<item>[ivx]{1,5}|[a-z])\)(?!\w)")

# Cheap searches that spare most sentences the rules behind them.
_INNER_DOT = re.compile(r"[.@]\w")
_NAMED = re.compile(r"[A-Z][a-z]+,? [IVX]+(?!\w)|[a-z] [A-Z]\.? [A-Z][a-z]+,? [IVX]{2}")
_TWO_CAPITALS = re.compile(r"[A-Z][A-Z&]")
_MIXED = re.compile("PhD|YoY|QoQ")
_LAST = frozenset("St al seq ft cent Ct Ed Supp App Evid P L v D".split())

_ADDRESS = re.compile(
    r"(?<![\w.@+-])(?:[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?:https?://|www\.)[^\s<>\"()\[\]]*[\w/]"
    r"|(?:[\w-]+\.)+(?:com|org|gov|net|edu|io|info|uk|eu|de|ca|int)(?:/[\w./%-]*[\w/])?(?![\w@]|\.\w))"
)
_NAMES = {".": "dot", "@": "at", "/": "slash", "-": "dash", "_": "underscore", "?": "question mark", "=": "equals"}
_NAMES |= {"&": "and", "%": "percent", "#": "hash", "+": "plus", ":": "colon", "~": "tilde"}


def say_addresses(text: str) -> str:
    """Web and e-mail addresses in words, "www" as letters, without "https://"; digits stay."""
    return (
        _ADDRESS.sub(lambda match: apart(match, _address(match)), text)
        if _INNER_DOT.search(text) or "://" in text
        else text
    )


def say_abbreviations(text: str) -> str:
    """Abbreviations in full; dotted letters come apart. A full stop that ends the text stays."""
    last = text[text.rfind(" ") + 1 :].rstrip(".\"')]") if text.find(".", 0, -1) < 0 and "/" not in text else "v"
    if last in _ALWAYS or last in _LAST:
        text = _PHRASE.sub(_phrase, text)
        text = _GLUED.sub(lambda match: " ".join(match["letters"].split("."))[:-1] + " ", text)
        text = _STOPPED.sub(_stopped, text)
    return text


def say_roman(text: str) -> str:
    """Roman numerals as words: behind "Article", "Title", a king's name, a family name, or alone from II on."""
    if _NAMED.search(text):
        text = _HEIR.sub(_heir, _KING.sub(_heir, _PART.sub(_part, text)))
    if _TWO_CAPITALS.search(text):
        text = _ALONE.sub(lambda match: cardinal(str(roman(match["roman"]))), text)
    return _LISTED.sub(_listed, text) if "(" in text else text


def say_acronyms(text: str) -> str:
    """Capital letters: "SEC" is spelled, "NASDAQ" is a word (Nasdaq)."""
    return _CAPITALS.sub(_capitals, text) if _TWO_CAPITALS.search(text) or _MIXED.search(text) else text


def lower_capitals(text: str) -> str:
    """A text of words all in capitals in lower case, names and all, but for acronyms; any other text as it is."""
    if not text.isupper():
        return text
    words = _LONG.findall(text)
    known = _WORDS | _SPELLED
    if len(words) < 2 or not any(word in _FUNCTION or (len(word) > 3 and word not in known) for word in words):
        return text
    return _LONG.sub(_lower, text)


def _address(match: re.Match[str]) -> str:
    said = re.sub(r"^https?://", "", match[0])
    said = re.sub(r"^www\.", "W W W dot ", said).rstrip("/") or "H T T P"
    return " ".join(re.sub(r"[^\w\s]|_", lambda one: f" {_NAMES.get(one[0], ' ')} ", said).split())


def _phrase(match: re.Match[str]) -> str:
    stop = match[0].endswith(".") and match.end() == len(match.string)
    return _PHRASES[match[0]] + "." * stop


def _stopped(match: re.Match[str]) -> str:
    word, end = match["word"], match["end"]
    tail = (match["plural"] or "") + ("." + end if end is not None else "")
    following = match.string[match.end() : match.end() + 24].lstrip()
    if word in _NUMBERED and following[:1] and (following[0].isdigit() or following[0] in "§("):
        return _NUMBERED[word]
    if word in _NUMBERED and re.match(r"[IVX]+\b", following) and word not in ("n", "no", "No", "s", "r", "c", "p"):
        return _NUMBERED[word]
    if word in _ALWAYS:
        return (
            _ALWAYS[word] + tail + " " * following[:1].isalpha() * (match.string[match.end() : match.end() + 1] != " ")
        )
    if word == "St":
        return ("Saint" if following[:1].isupper() and end is None else "Street") + tail
    if _DOTTED.fullmatch(word):
        return " ".join(word.replace(".", "").upper()) + tail
    if len(word) == 1 and word.isupper() and end is None and _is_initial(match, following):
        return word
    return match[0]


def _is_initial(match: re.Match[str], following: str) -> bool:
    """ "J. Smith" and "John F. Kennedy", but not "see Exhibit A. The"."""
    before = match.string[max(0, match.start() - 40) : match.start()].split(" ")[-2:]
    previous = before[0] if len(before) == 2 else ""
    opener = re.match(r"[A-Za-z]+", following)
    capital = following[:1].isupper() and (opener is None or opener[0] not in _OPENERS)
    return capital and previous not in _LETTERED


def _part(match: re.Match[str]) -> str:
    said = re.sub("[IVX]+", lambda one: str(_cardinal(one[0])), match["to"] or "")
    return f"{match['part']} {_cardinal(match['roman'])}{said.replace('-', ' to ')}"


def _cardinal(letters: str) -> str:
    value = roman(letters)
    return cardinal(str(value)) if value else letters


def _heir(match: re.Match[str]) -> str:
    value = roman(match["roman"])
    if value is None or match["name"].split()[0] in _PARTS:
        return match[0]
    return f"{match['name']} the {ordinal(str(value))}"


def _listed(match: re.Match[str]) -> str:
    value = roman(match["item"])
    return f"({cardinal(str(value)) if value else match['item'].upper()})"


def _lower(match: re.Match[str]) -> str:
    name = match[0]
    before = match.string[max(0, match.start() - 12) : match.start()].split()
    if name == "VS" or (name == "V" and (not before or before[-1].title() not in _NUMBERED_PARTS)):
        return name.lower()
    if name in _WORDS or name in _SPELLED or roman(name):
        return name
    return name.lower() if name in _FUNCTION and match.start() and name not in _TITLES else name.capitalize()


def _capitals(match: re.Match[str]) -> str:
    name, plural = match["name"], match["plural"] or ""
    if not name:
        return _SPECIAL[match[0]]
    if name in _WORDS:
        return name.capitalize() + plural
    if name in _SPELLED or "&" in name:
        return _spelled(name, plural)
    starts = match.start() < 4 and not match.string[: match.start()].strip("\"'([ ")
    if name in _FUNCTION:
        return name.capitalize() + plural if starts else name.lower() + plural
    if len(name) > 3 and (_SAYABLE.fullmatch(name) or len(name) > 7):
        return name.capitalize() + plural
    return _spelled(name, plural)


def _spelled(name: str, plural: str) -> str:
    return " ".join(name.replace("&", "+")).replace("+", "and") + plural
