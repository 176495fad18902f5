"""Documents to sentences: .txt, .md and .jsonl files, folders and glob patterns. PDF and DOCX are not read yet.

Lines are kept where each is a sentence, joined where a paragraph was wrapped, and split where a line holds several.
"""
# ruff: noqa: SIM905 - a list of words reads best as one string

import glob
import json
import logging
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

from asr_analogy.errors import DataError, MissingError

ENDINGS = (".txt", ".md", ".jsonl")
"""File endings that are read."""

_LATER = (".pdf", ".docx", ".doc")
_log = logging.getLogger(__name__)

_NEWLINE = re.compile(r"\r\n|\n|\r")
_CLOSE = r"[\"'”’)\]]*"
_END = re.compile(rf"(?P<mark>[.!?…]+){_CLOSE}$")
_BOUNDARY = re.compile(rf"(?P<mark>[.!?…]+){_CLOSE}\s+(?=[\"'“‘(\[]*[$£€§]?\s?[^\W_])")
_WORD = re.compile(r"[^\s(\[\"'“‘]*$")
_ENUMERATOR = re.compile(r"\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]+)[.)]+")
_CLAUSE = re.compile(r"\((?:[a-z]|[ivx]+)\) ")
_NUMERAL = re.compile(r"[\d(§]")
_ROMAN = re.compile(r"[IVXLC]+\b")
# Never the last word of a sentence.
_TITLES = frozenset(
    "mr mrs ms messrs dr prof hon rev gen gov sen rep lt capt col sgt v vs e.g i.e cf viz approx ca".split()
)
# Not the last word before a number ("No. 5"; all but the first two before a Roman one, "Art. II").
_NUMBERED = frozenset("no nos art arts sec secs ss fig figs ch vol para paras par pp pt cl ex app rule".split())
# Last word of a sentence only before a word that often opens one; so are dotted letters (U.S., a.m., J.).
_PERHAPS = frozenset(
    "inc corp ltd co llc plc bros assn etc jr sr esq ph.d st mt cir ct dept div dist est fed civ crim cal bankr supp "
    "reg stat ann al jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
_DOTTED = re.compile(r"(?:[a-z]\.)*[a-z]")
_OPENERS = frozenset(
    "a after all although an and any as at because before both but by during each finally for from he her his however "
    "i if in it its moreover my no nor on one or our she since so some such that the their then there therefore these "
    "they this those thus to under until we what when where while who with yes yet you your".split()
)

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


@dataclass(frozen=True)
class Sentence:
    """One sentence and where it starts: "file name:line", the name relative to the folder that was read."""

    text: str
    source: str


class _Line(NamedTuple):
    number: int
    text: str  # "" for a blank line
    alone: bool = False  # a heading: never joined with another line
    opens: bool = False  # a list item: never joined with the line before


def read_sentences(path: Path) -> list[Sentence]:
    """Sentences of a file, of all such files in a folder (recursive, sorted) or of those a glob pattern matches.

    A folder's hidden files and files with other endings are passed over (PDF and DOCX with a logged warning).
    Markdown loses its marks and its fenced code. Each JSONL row is a text of its own, under the key "text".
    Raises MissingError when nothing is there, DataError for what cannot be read or holds no sentence.
    """
    root, files = _files(path)
    return [sentence for file in files for sentence in _read(file, file.relative_to(root).as_posix())]


def split_sentences(paragraph: str) -> Iterator[tuple[int, str]]:
    """Sentences of one paragraph with the offset each starts at; abbreviations and enumerators do not end one."""
    start = 0
    for match in _BOUNDARY.finditer(paragraph):
        if _ends(paragraph[start : match.end("mark")], paragraph[match.end() : match.end() + 40]):
            yield start, paragraph[start : match.end()].rstrip()
            start = match.end()
    if paragraph[start:].strip():
        yield start, paragraph[start:].rstrip()


def _ends(before: str, after: str, line_break: bool = False) -> bool:
    """Whether the mark at the end of `before` ends a sentence when `after` follows, on the next line or on this one."""
    lower = after.lstrip("\"'“‘([")[:1].islower() and not _CLAUSE.match(after)
    if lower or _ENUMERATOR.fullmatch(before.strip()):
        return False
    if not before.endswith(".") or before.endswith(".."):
        return True
    found = _WORD.search(before[:-1])
    written = found[0] if found else ""
    word = written.lower()
    if word in _TITLES:
        return False
    if word in _NUMBERED:
        roman = written[:1].isupper() and word not in ("no", "nos") and _ROMAN.match(after)
        return not (roman or _NUMERAL.match(after))
    if len(word) == 1 or not line_break:
        following = re.match(r"[\"'“‘(\[]*([^\W_]*)", after)
        opens = following is not None and following[1].lower() in _OPENERS
        return opens or not (word in _PERHAPS or _DOTTED.fullmatch(word))
    return True


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
    found = sorted(one for one in found if one.is_file())
    files = [one for one in found if one.suffix.lower() in ENDINGS]
    later = [one for one in found if one.suffix.lower() in _LATER]
    if not files and later:
        _refuse(later[0])
    if not files:
        kind = DataError if path.is_dir() else MissingError
        raise kind(f"{path}: no {', '.join(ENDINGS)} file there; check the path")
    if later:
        names = ", ".join(one.name for one in later)
        _log.warning("%s: %d left out, .pdf and .docx are not read yet: %s", path, len(later), names)
    return root, files


def _refuse(path: Path) -> NoReturn:
    ending = path.suffix.lower()
    if ending in _LATER:
        raise DataError(f"{path}: {ending} files are not read yet; save it as text (.txt, UTF-8)")
    raise DataError(f"{path}: cannot read {ending or 'a file without ending'}; give {', '.join(ENDINGS)}")


def _read(path: Path, name: str) -> list[Sentence]:
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        _refuse(path)
    rows = _NEWLINE.split(_decode(path))
    if ending == ".jsonl":
        texts = ((number, _row(row, f"{path}:{number}")) for number, row in enumerate(rows, 1) if row.strip())
        found = [(number, one) for number, text in texts for _, one in _sentences(_plain_lines(_NEWLINE.split(text)))]
    else:
        found = list(_sentences(_markdown(rows) if ending == ".md" else _plain_lines(rows)))
    if not any(character.isalnum() for _, text in found for character in text):
        raise DataError(f"{path}: holds no sentence; give a file with text in it")
    return [Sentence(text, f"{name}:{number}") for number, text in found]


def _decode(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    nul = data.find(0)
    if nul >= 0:
        raise DataError(f"{path}: not a text file (NUL byte at position {nul}); save it as UTF-8 text")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte position {error.start}); save it as UTF-8 text") from None


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


def _plain_lines(rows: list[str]) -> list[_Line]:
    return [_Line(number, row.strip()) for number, row in enumerate(rows, 1)]


def _markdown(rows: list[str]) -> list[_Line]:
    """Markdown rows without their marks; fenced code, rules and underlines are blank. Row numbers stay."""
    lines, fenced = list[_Line](), False
    for number, row in enumerate(rows, 1):
        fence = _FENCE.match(row) is not None
        heading, bullet = _HEADING.match(row), _BULLET.match(row)
        if fence or fenced or _RULE.match(row):
            lines.append(_Line(number, ""))
        elif heading:
            lines.append(_Line(number, heading["title"], alone=True))
        else:
            lines.append(_Line(number, (_BULLET if bullet else _QUOTE).sub("", row).strip(), opens=bullet is not None))
        fenced ^= fence
    text = "\n".join(line.text for line in lines)
    for markup in _MARKUP:
        text = markup.sub(r"\1", text)
    return [line._replace(text=row.strip()) for line, row in zip(lines, text.split("\n"), strict=True)]


def _sentences(lines: list[_Line]) -> Iterator[tuple[int, str]]:
    """Sentences with the number of the line each starts on."""
    texts = [line.text for line in lines if line.text]
    every = all(_END.search(text) for text in texts)
    none = not any(_END.search(text) or len(list(split_sentences(text))) > 1 for text in texts)
    block: list[_Line] = []
    for line in [*lines, _Line(0, "")]:
        if block and (not line.text or every or none or _parted(block[-1], line)):
            starts = [0]
            for earlier in block[:-1]:
                starts.append(starts[-1] + len(earlier.text) + 1)
            for offset, text in split_sentences(" ".join(one.text for one in block)):
                yield block[bisect_right(starts, offset) - 1].number, text
            block = []
        if line.text:
            block.append(line)


def _parted(line: _Line, following: _Line) -> bool:
    """Whether two neighbouring lines of a paragraph belong to different sentences."""
    if line.alone or following.alone or following.opens:
        return True
    end = _END.search(line.text)
    return end is not None and _ends(line.text[: end.end("mark")], following.text, line_break=True)
