"""Pages to lines: PDF, DOCX and text with form feeds, less all that a page carries beside its text.

Taken off and counted in the log: running headers and footers, page numbers, the line numbers of transcripts, tables of
contents, footnote markers. Words that a line end divided are put together. The libraries are in the extra `text`.
"""
# ruff: noqa: SIM905 - a list of words reads best as one string

import logging
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from asr_analogy.errors import DataError, MissingError
from asr_analogy.text.sentences import Line

Page = list[Line]

_log = logging.getLogger(__name__)
_INSTALL = "type: pip install 'asr-analogy[text]'"
_FULL = ".!?;:。！？"
_EDGE = 5  # lines at either end of a page that may be running ones
_COLUMN = 10  # line numbers 1, 2, 3 ... on one page that make a column
_SHARE = 0.4  # share of a page's lines that such a column numbers

_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\u00a0": " ", "\u202f": " "}
    | dict.fromkeys("\u200b\u2060\ufeff", "")
)
_ROMAN = r"(?=[ivxl])(?:x[cl]|l?x{0,3})(?:i[xv]|v?i{0,3})"
_BARE = re.compile(rf"(?:\d{{1,4}}|{_ROMAN})", re.IGNORECASE)
_PAGE = re.compile(
    rf"[^\w]*(?:(?:page|p\.|pg\.?)\s*(?:\d{{1,4}}|{_ROMAN})(?:\s*(?:of|/)\s*\d{{1,4}})?|\d{{1,4}}\s*(?:of|/)\s*\d{{1,4}}"
    rf"|[-–—]\s*(?:\d{{1,4}}|{_ROMAN})\s*[-–—]|第\s*\d+\s*[页頁](?:\s*/?\s*共\s*\d+\s*[页頁])?)[^\w]*",
    re.IGNORECASE,
)
_LINE_NUMBER = re.compile(r"(\d{1,2})(?:[\s|:]+(\S.*))?")
_SPEAKER = re.compile(r"[QA](?:[.:]\s|\s{2,})|(?:THE|MR\.|MS\.|MRS\.|DR\.|BY)\s[A-Z .']+:")
_LEADERS = re.compile(rf".*?(?:(?:\.\s?){{4,}}|…{{2,}})\s*(?:\d{{1,4}}|{_ROMAN})|.*(?:\.\s?){{8,}}", re.IGNORECASE)
_CONTENTS = re.compile(
    r"(?:table of )?(?:contents|authorities|exhibits|figures|tables)\W*|page(?:\(s\)|s)?", re.IGNORECASE
)
_MARKERS = (
    re.compile(r"(?:(?<=[^\W\d_]{3})|(?<=[.,;:!?)\"”’\]]))[⁰¹²³⁴⁵⁶⁷⁸⁹]+"),
    re.compile(r"(?<=[^\s\[(])\[\d{1,3}\](?=[\s.,;:)]|$)"),
    re.compile(r"(?<=[\w.,;:)\"”’])[†‡]+"),
    re.compile(r"(?:(?<=[a-z]{5}[.,;])|(?<=[a-z]{2}[.,;][\"”’)]))(?<!paras\.)\d{1,3}(?=\s+[\"“(]?[A-Z]|$)"),
)
_WORDS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_DIVIDED = re.compile(r"(?P<left>[^\W_]{2,})(?P<mark>[-\u2010\u00ad])$")
_REST = re.compile(r"(?P<word>[^\W_]{2,})(?P<more>\S*)\s*")
# First parts of compounds that a hyphen follows more often than not.
_FIRST = frozenset(
    "all anti cross ex first full half high long low mid multi non one part quasi self semi short so tax third two "
    "well year".split()
)


def tidy(text: str) -> str:
    """Text without ligatures, invisible characters and soft hyphens but one at its end, where it divides a word."""
    return re.sub("\u00ad(?=.)", "", text.translate(_LIGATURES))


def text_pages(rows: list[str]) -> list[Page]:
    """The pages of a text file, which form feeds end; lines keep their numbers."""
    pages: list[Page] = [[]]
    for number, row in enumerate(rows, 1):
        for index, part in enumerate(row.split("\f")):
            if index:
                pages.append([])
            if part.strip() or not index:
                pages[-1].append(Line(number, tidy(part.strip())))
    return pages


def pdf_pages(path: Path) -> list[Page]:
    """The pages of a PDF with a text layer; each line has the number of its page, from 1.

    Raises DataError for a damaged or encrypted file and for a scan, MissingError where pypdf is not installed.
    """
    try:
        from pypdf import PdfReader
        from pypdf.errors import DependencyError
    except ImportError:
        raise MissingError(f"{path}: pypdf reads PDF files and is not installed; {_INSTALL}") from None
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it names every repair it makes
    locked = f"{path}: is encrypted; save it without a password (qpdf --decrypt IN.pdf OUT.pdf)"
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise DataError(locked)
        texts = [page.extract_text() for page in reader.pages]
    except DataError:
        raise
    except DependencyError:
        raise DataError(locked) from None
    except Exception as error:  # a damaged file makes pypdf fail in any way
        raise DataError(f"{path}: not a whole PDF ({_one_line(error)}); get it again or export it anew") from None
    _refuse_scans(path, texts)
    rows = [re.split(r"\r\n|[\n\r\f]", text) for text in texts]
    return [[Line(number, tidy(" ".join(row.split()))) for row in page] for number, page in enumerate(rows, 1)]


def _refuse_scans(path: Path, texts: list[str]) -> None:
    empty = [str(number) for number, text in enumerate(texts, 1) if not any(letter.isalnum() for letter in text)]
    if len(empty) == len(texts):
        raise DataError(f"{path}: has no text layer (a scan?); recognise it first: ocrmypdf {path.name} read.pdf")
    if empty:
        _log.warning("%s: %d of %d pages hold no text (scans?): %s", path, len(empty), len(texts), ", ".join(empty))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__


def docx_lines(path: Path) -> list[Line]:
    """The paragraphs of a DOCX file with their numbers, blank lines between: body, lists, table cells, text boxes.

    Tables of contents, headers, footers, footnotes, comments and deleted text are left out.
    Raises DataError for a damaged or locked file, MissingError where python-docx is not installed.
    """
    try:
        import docx
        from docx.oxml.ns import qn
    except ImportError:
        raise MissingError(f"{path}: python-docx reads DOCX files and is not installed; {_INSTALL}") from None
    try:
        document = docx.Document(str(path))
        body = document.element.body
        contents = {style.style_id for style in document.styles if re.match(r"toc\b", style.name or "", re.IGNORECASE)}
    except Exception as error:  # a damaged file makes python-docx, zipfile or lxml fail in any way
        reason = _one_line(error).replace(str(path), "").strip() or type(error).__name__
        raise DataError(f"{path}: not a whole DOCX ({reason}); open it and save it anew without a password") from None
    lines = list[Line]()
    for number, paragraph in enumerate(body.iter(qn("w:p")), 1):
        if paragraph.style in contents or next(paragraph.iterancestors(f"{{{_COMPATIBLE}}}Fallback"), None) is not None:
            continue
        rows = [tidy(" ".join(row.split())) for row in "".join(_runs(paragraph, qn)).split("\n")]
        lines += [*(Line(number, row) for row in rows if row), Line(number, "")]
    return lines


_COMPATIBLE = "http://schemas.openxmlformats.org/markup-compatibility/2006"


def _runs(paragraph, qn) -> Iterator[str]:  # type: ignore[no-untyped-def]  # lxml elements have no public type
    """Text of one paragraph element, that of text boxes in it excepted: those are paragraphs of their own."""
    text, gaps, breaks = qn("w:t"), {qn("w:tab"), qn("w:ptab")}, {qn("w:br"), qn("w:cr")}
    hyphens = {qn("w:noBreakHyphen"): "-", qn("w:softHyphen"): ""}
    for node in paragraph.iter(text, *gaps, *breaks, *hyphens):
        if next(node.iterancestors(qn("w:p")), None) is not paragraph or node.getparent().tag != qn("w:r"):
            continue
        yield (node.text or "") if node.tag == text else hyphens.get(node.tag, " " if node.tag in gaps else "\n")


def body_lines(pages: list[Page], name: str) -> list[Line]:
    """The lines of all pages without what is not text; a paragraph may go on over the end of a page."""
    off = Counter[str]()
    pages = _without_contents(_without_running_lines(_without_line_numbers(pages, off), off), off)
    lines = joined_words([line for page in pages for line in page])
    for index, line in enumerate(lines):
        text = line.text
        for marker in _MARKERS:
            text, count = marker.subn("", text)
            off["footnote markers"] += count
        if text != line.text:
            lines[index] = line._replace(text=text)
    if any(off.values()):
        _log.info("%s: taken off: %s", name, ", ".join(f"{count} {kind}" for kind, count in off.items() if count))
    return lines


def _without_line_numbers(pages: list[Page], off: Counter[str]) -> list[Page]:
    columns = [_column(page) for page in pages]
    if not any(len(column) >= _COLUMN for column in columns):
        return pages
    result = list[Page]()
    for page, column in zip(pages, columns, strict=True):
        texts = [column.get(index, line.text) for index, line in enumerate(page)]
        numbered = zip(page, texts, strict=True)
        result.append([Line(line.number, text, opens=bool(_SPEAKER.match(text))) for line, text in numbered])
        off["line numbers"] += len(column)
    return result


def _column(page: Page) -> dict[int, str]:
    """Where the lines stand that a column of numbers 1, 2, 3 ... counts, and their text without the number."""
    column, due = dict[int, str](), 1
    for index, line in enumerate(page):
        found = _LINE_NUMBER.fullmatch(line.text)
        if found and (int(found[1]) == due or (found[1] == "1" and due > _COLUMN)):
            column[index], due = found[2] or "", int(found[1]) + 1
    enough = len(column) >= _SHARE * sum(1 for line in page if line.text)
    return column if enough else {}


def _without_running_lines(pages: list[Page], off: Counter[str]) -> list[Page]:
    """Pages less the lines at their ends that come again on other pages (digits masked) or number the page."""
    several = len(pages) > 1
    for side in (0, -1):
        for _ in range(_EDGE):
            pages = [_trimmed(page) for page in pages]
            edges = [page[side].text if page else "" for page in pages]
            running = _running(edges)
            numbers = [_PAGE.fullmatch(text) or (several and _BARE.fullmatch(text)) for text in edges]
            hits = [
                bool(text) and bool(number or hit) for text, number, hit in zip(edges, numbers, running, strict=True)
            ]
            if not any(hits):
                break
            off["running lines and page numbers"] += sum(hits)
            cut = slice(1, None) if side == 0 else slice(None, -1)
            pages = [page[cut] if hit else page for page, hit in zip(pages, hits, strict=True)]
    return pages


def _running(edges: list[str]) -> list[bool]:
    """Which lines come again on a third of the pages (at least two, or three of six), or on four pages close by.

    Digits are masked, so "Minutes 3/12" comes again as "Minutes 4/12". A line that ends as a sentence does must come
    again exactly, and on three pages.
    """
    places = defaultdict[str, list[int]](list)
    for place, text in enumerate(edges):
        if any(letter.isalpha() for letter in text):
            places[text if text[-1] in _FULL else re.sub(r"\d+", "#", text.casefold())].append(place)
    running = set[int]()
    for key, at in places.items():
        least = 3 if len(edges) > 5 or key[-1] in _FULL else 2
        near = any(last - first <= 6 for first, last in zip(at, at[3:], strict=False))
        running.update(at if len(at) >= max(least, math.ceil(len(edges) / 3)) or near else ())
    return [place in running for place in range(len(edges))]


def _trimmed(page: Page) -> Page:
    """A page without the blank lines at its ends."""
    full = [index for index, line in enumerate(page) if line.text]
    return page[full[0] : full[-1] + 1] if full else []


def _without_contents(pages: list[Page], off: Counter[str]) -> list[Page]:
    """Pages less the lines with dot leaders, the halves of such lines, and their heading."""
    result = list[Page]()
    for page in pages:
        entries = [len(line.text) < 300 and bool(_LEADERS.fullmatch(line.text)) for line in page]
        kept = list[Line]()
        for index, line in enumerate(page):
            around = any(entries[max(0, index - 1) : index]) and any(entries[index + 1 : index + 2])
            half = around and bool(line.text) and line.text[-1] not in ".!?"
            head = any(entries[index + 1 : index + 5]) and _CONTENTS.fullmatch(line.text)
            if not (entries[index] or half or head):
                kept.append(line)
        off["lines of contents"] += len(page) - len(kept)
        result.append(kept)
    return result


def joined_words(lines: list[Line]) -> list[Line]:
    """Lines with words that a line end divided put together, on the first of the two lines.

    The hyphen stays where the rest of the document has the compound more often than the word without it.
    """
    ends = [index for index, line in enumerate(lines[:-1]) if _DIVIDED.search(line.text)]
    if not ends:
        return lines
    seen = Counter(word.lower() for line in lines for word in _WORDS.findall(line.text))
    lines = list(lines)
    gone = set[int]()
    for index in ends:  # the halves themselves are no evidence
        seen[lines[index].text.rstrip("-\u2010\u00ad").split()[-1].lower()] -= 1
        seen[found[0].lower() if (found := _WORDS.match(lines[index + 1].text)) else ""] -= 1
    for index in ends:
        left, rest = _DIVIDED.search(lines[index].text), _REST.match(lines[index + 1].text)
        if left is None or rest is None or rest["word"] in ("and", "or", "to") or lines[index + 1].alone:
            continue
        text = lines[index].text[: left.start("mark")] + _hyphen(left, rest["word"], seen) + rest[0].rstrip()
        following = lines[index + 1].text[rest.end() :]
        lines[index] = lines[index]._replace(text=text)
        lines[index + 1] = lines[index + 1]._replace(text=following)
        gone |= set() if following else {index + 1}
    return [line for index, line in enumerate(lines) if index not in gone]


def _hyphen(left: re.Match[str], right: str, seen: Counter[str]) -> str:
    """What stands between the halves of a divided word: a hyphen or nothing."""
    first, second = left["left"].lower(), right.lower()
    if left["mark"] == "\u00ad":
        return ""
    if not right[0].islower() or not first[-1].isalpha():
        return "-"
    whole, compound = seen[first + second], seen[f"{first}-{second}"]
    if whole != compound:
        return "-" if compound > whole else ""
    apart = min(len(first), len(second)) >= 4 and seen[first] and seen[second]
    return "-" if first in _FIRST or apart else ""
