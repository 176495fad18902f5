"""Documents to sentences: text, Markdown, JSONL, CSV, DOCX and PDF files, folders and glob patterns.

Lines are kept where each is a sentence, joined where a paragraph was wrapped, and split where a line holds several.
"""

import csv
import glob
import io
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from asr_analogy.errors import DataError, MissingError
from asr_analogy.text.pages import body_lines, docx_lines, joined_words, pdf_pages, text_pages, tidy
from asr_analogy.text.sentences import Line, sentences

ENDINGS = (".txt", ".md", ".jsonl", ".csv", ".docx", ".pdf")
"""File endings that are read."""

BLOCK = 1 << 18
"""Bytes of a text or JSONL file that are read together; longer ones are read block by block."""

_UNREAD = {".doc": ".docx", ".rtf": ".docx", ".odt": ".docx", ".xlsx": ".csv", ".html": ".txt", ".htm": ".txt"}
_log = logging.getLogger(__name__)

_NEWLINE = re.compile(r"\r\n|\n|\r")
_ONE_COLUMN = "\x1f"  # a delimiter that no text has
_MARK = re.compile(r"[.!?。！？][\"'”’)]*$")

_FENCE = re.compile(r"^ {0,3}(?:```|~~~)")
_RULE = re.compile(r"^\s*(?:={3,}|(?:[-*_]\s*){3,})$")
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(?P<title>.*?)\s*#*\s*$")
_BULLET = re.compile(r"^\s*(?:>\s?)*\s*(?:[-*+]|\d{1,3}[.)])\s+")
_QUOTE = re.compile(r"^\s*(?:>\s?)+")
_MARKUP = (  # links and images, emphasis, code, escapes; none crosses a blank line
    re.compile(r"!?\[((?:[^\[\]\n]|\n(?!\n))*)\]\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)"),
    re.compile(r"<((?:https?://|mailto:)[^<>\s]+)>"),
    re.compile(r"(?<![\\*])\*\*\*?(?=\S)((?:[^*\n]|\n(?!\n)|(?<!\*)\*(?!\*))+?)(?<=\S)\*?\*\*"),
    re.compile(r"(?<![\\*])\*(?=\S)((?:[^*\n]|\n(?!\n))+?)(?<=\S)\*"),
    re.compile(r"(?<![\\\w])__?(?=\S)((?:[^_\n]|\n(?!\n)|(?<=\w)_(?=\w))+?)(?<=\S)__?(?!\w)"),
    re.compile(r"`([^`\n]+)`"),
    re.compile(r"\\([\\`*_{}\[\]()#+.!$&>-])"),
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence and where it starts, the name relative to the folder that was read.

    "name:line" of a text, Markdown, JSONL or CSV file, "name:paragraph" of a DOCX file, "name:page" of a PDF.
    """

    text: str
    source: str


def read_sentences(path: Path) -> Iterator[Sentence]:
    """Yield the sentences of a file, of all such files in a folder (recursive, sorted) or of those a glob pattern matches.

    A folder's hidden files and files with other endings are passed over (other documents with a logged warning).
    Markdown loses its marks and its fenced code. Each JSONL row is a text of its own, under the key "text", and so is
    each CSV row, in the column "text" or the only one that holds text. Pages are cleaned, see `pages`.
    Raises MissingError when nothing is there, DataError for what cannot be read or holds no sentence.
    """
    root, files = _files(path)
    for file in files:
        yield from _read(file, file.relative_to(root).as_posix())


def _files(path: Path) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the files to read."""
    if path.is_file():
        return path.parent, [path]
    if path.is_dir():
        root = path
        found = [one for one in path.rglob("*") if not any(part[0] == "." for part in one.relative_to(path).parts)]
    elif glob.has_magic(str(path)):
        fixed = next(number for number, part in enumerate(path.parts) if glob.has_magic(part))
        root = Path(*path.parts[:fixed])
        found = [Path(one) for one in glob.glob(str(path), recursive=True)]  # noqa: PTH207 - skips hidden files
    else:
        raise MissingError(f"{path}: no such file or folder; check the path")
    found = sorted(one for one in found if one.is_file() and not one.name.startswith("~$"))  # Word's lock files
    files = [one for one in found if one.suffix.lower() in ENDINGS]
    unread = [one for one in found if one.suffix.lower() in _UNREAD]
    if not files and unread:
        _refuse(unread[0])
    if not files:
        kind = DataError if path.is_dir() else MissingError
        raise kind(f"{path}: no {', '.join(ENDINGS)} file there; check the path")
    if unread:
        names = ", ".join(one.name for one in unread)
        _log.warning("%s: %d left out, their kind cannot be read: %s", path, len(unread), names)
    return root, files


def _refuse(path: Path) -> NoReturn:
    ending = path.suffix.lower()
    if ending in _UNREAD:
        raise DataError(f"{path}: cannot read {ending}; save it as {_UNREAD[ending]}")
    raise DataError(f"{path}: cannot read {ending or 'a file without ending'}; give {', '.join(ENDINGS)}")


def _read(path: Path, name: str) -> Iterator[Sentence]:
    some = False
    for number, text in _numbered(path):
        some = some or any(letter.isalnum() for letter in text)
        yield Sentence(text, f"{name}:{number}")
    if not some:
        raise DataError(f"{path}: holds no sentence; give a file with text in it")


def _numbered(path: Path) -> Iterator[tuple[int, str]]:
    """Sentences of one file, each with the number of its line, paragraph or page."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        _refuse(path)
    if ending in (".jsonl", ".csv"):
        for number, text in _json_rows(path) if ending == ".jsonl" else _table_rows(_decode(path), path):
            rows = [Line(0, tidy(row.strip())) for row in _NEWLINE.split(text)]
            yield from ((number, one) for _, one in sentences(rows))
    elif ending == ".md":
        yield from sentences(joined_words(_markdown(_NEWLINE.split(_decode(path)))))
    elif ending == ".docx":
        yield from sentences(docx_lines(path))
    elif ending == ".pdf":
        yield from sentences(body_lines(pdf_pages(path), str(path)))
    else:
        for before, block in _blocks(path):
            for number, text in sentences(body_lines(text_pages(_NEWLINE.split(block)), str(path))):
                yield before + number, text


def _decode(path: Path) -> str:
    with _binary(path) as file:
        return _text(path, file.read(), 0)


def _binary(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def _text(path: Path, data: bytes, start: int) -> str:
    """The text of a file's bytes from the position `start` on."""
    nul = data.find(0)
    if nul >= 0:
        raise DataError(f"{path}: not a text file (NUL byte at position {start + nul}); save it as UTF-8 text")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte position {start + error.start}); save it as UTF-8 text") from None
    return text if start else text.removeprefix("\ufeff")


def _blocks(path: Path) -> Iterator[tuple[int, str]]:
    """The text of a long file in blocks that end where a sentence hardly goes on, with the number of lines before each.

    Blocks of some BLOCK bytes: after it the first page end (if the block has pages), blank line or full stop at the end
    of a line; after twice that the end of any line.
    """
    with _binary(path) as file:
        held, size, start, before = list[bytes](), 0, 0, 0
        for line in file:
            paged = line.startswith(b"\f")
            if size >= BLOCK and (paged or _rests(held, size)):
                text = _text(path, b"".join(held), start)
                yield before, text
                start, before = start + size, before + len(_NEWLINE.split(text)) - 1
                held, size = [], 0
            held.append(line)
            size += len(line)
        yield before, _text(path, b"".join(held), start)


def _rests(held: list[bytes], size: int) -> bool:
    """Whether a block may end behind these lines."""
    last = held[-1].rstrip()
    paged = size < 2 * BLOCK and any(line.startswith(b"\f") for line in held)
    return size >= 2 * BLOCK or (not paged and (not last or last.endswith((b".", b"!", b"?", "。".encode()))))


def _row(row: str, where: str) -> str:
    try:
        value = json.loads(row)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair raises ValueError here, not later
    except (ValueError, RecursionError):
        raise DataError(f'{where}: not JSON; each line must be an object such as {{"text": "..."}}') from None
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise DataError(
            f'{where}: no "text" with a string in it; each line must be an object such as {{"text": "..."}}'
        )
    return text


def _json_rows(path: Path) -> Iterator[tuple[int, str]]:
    for before, block in _blocks(path):
        for number, row in enumerate(_NEWLINE.split(block), before + 1):
            if row.strip():
                yield number, _row(row, f"{path}:{number}")


def _table_rows(content: str, path: Path) -> Iterator[tuple[int, str]]:
    """Texts of a CSV file with the number of the line each row starts on."""
    table = csv.reader(io.StringIO(content, newline=""), delimiter=_delimiter(content), strict=True)
    rows, line = list[tuple[int, list[str]]](), 1
    try:
        for row in table:
            if any(cell.strip() for cell in row):
                rows.append((line, row))
            line = table.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}:{line}: not CSV ({error}); quote texts that hold quotes, delimiters, line ends"
        ) from None
    width = len(rows[0][1]) if rows else 0
    for line, row in rows:
        if len(row) != width:
            raise DataError(
                f"{path}:{line}: {len(row)} columns where the first row has {width}; quote texts that hold the delimiter"
            )
    if rows:
        column = _column([row for _, row in rows], path)
        headed = not _MARK.search(rows[0][1][column].strip()) and len(rows[0][1][column].split()) <= 4
        yield from ((line, row[column]) for line, row in rows[headed:])


def _delimiter(content: str) -> str:
    """Comma, semicolon or tab: the one that parts a column "text" off in the first row, else what csv.Sniffer finds."""
    first = next((row for row in _NEWLINE.split(content) if row.strip()), "")
    for mark in (",", ";", "\t"):
        if "text" in (cell.strip(' "').lower() for cell in first.split(mark)[1:] + first.split(mark)[:-1]):
            return mark
    found = [mark for mark in (",", ";", "\t") if mark in first]
    if first.strip(' "').lower() == "text" or not found:
        return _ONE_COLUMN
    try:
        return csv.Sniffer().sniff(content[:20_000], delimiters="".join(found)).delimiter
    except csv.Error:
        return max(found, key=first.count)


def _column(rows: list[list[str]], path: Path) -> int:
    """The place of the column "text", or of the only one that mostly holds two words and more."""
    names = [name.strip().lower() for name in rows[0]]
    if names.count("text") == 1 or len(names) == 1:
        return names.index("text") if "text" in names else 0
    data = rows[1:] or rows
    wordy = [sum(len(row[place].split()) > 1 for row in data) * 2 > len(data) for place in range(len(names))]
    if "text" in names or wordy.count(True) != 1:
        listed = ", ".join(name.strip() for name in rows[0])[:200]
        raise DataError(f'{path}: which column holds the sentences ({listed})? name it "text" in the first row')
    return wordy.index(True)


def _markdown(rows: list[str]) -> list[Line]:
    """Markdown rows without their marks; fenced code, rules and underlines are blank. Row numbers stay."""
    lines, fenced = list[Line](), False
    for number, row in enumerate(rows, 1):
        fence = _FENCE.match(row) is not None
        heading, bullet = _HEADING.match(row), _BULLET.match(row)
        if fence or fenced or _RULE.match(row):
            lines.append(Line(number, ""))
        elif heading:
            lines.append(Line(number, tidy(heading["title"]), alone=True))
        else:
            lines.append(
                Line(number, tidy((_BULLET if bullet else _QUOTE).sub("", row).strip()), opens=bullet is not None)
            )
        fenced ^= fence
    text = "\n".join(line.text for line in lines)
    for markup in _MARKUP:
        text = markup.sub(r"\1", text)
    return [line._replace(text=row.strip()) for line, row in zip(lines, text.split("\n"), strict=True)]
