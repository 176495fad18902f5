"""Pairs of words in a user's file: a lexicon's terms and respellings, a scorer's written and preferred forms.

Two forms of file, UTF-8:
    .yaml  EBITDA: e bit dah          one pair to a line, as a mapping
    .tsv   EBITDA<tab>e bit dah       blank lines and lines that start with # are passed over
"""

from collections.abc import Iterator
from pathlib import Path

import yaml

from asr_analogy.errors import DataError, MissingError, RecipeError


def read_pairs(path: Path, kind: str, left: str, right: str) -> Iterator[tuple[int, str, str]]:
    """The line number and both sides of every pair in a .yaml, .yml or .tsv file; `kind`, `left` and `right` name them.

    Raises MissingError when there is no file, RecipeError for another ending and DataError, with the line, for a row
    that is no pair.
    """
    ending = path.suffix.lower()
    if ending not in (".yaml", ".yml", ".tsv"):
        raise RecipeError(f"{path}: {kind} is a .yaml or .tsv file; rename it or write it as one")
    if not path.is_file():
        raise MissingError(f"{path}: no such file ({kind}); check the path")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error}); save it as UTF-8") from None
    yield from _table(path, text, left, right) if ending == ".tsv" else _mapping(path, text, left, right)


def _table(path: Path, text: str, left: str, right: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != 2:
            raise DataError(f"{path}:{number}: {len(cells)} columns; give {left}, one tab, {right}")
        yield number, cells[0], cells[1]


def _mapping(path: Path, text: str, left: str, right: str) -> Iterator[tuple[int, str, str]]:
    """Keys and values exactly as written, so that NO is not a Boolean and 1983 not a number."""
    form = f"write {left}: {right}"
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not YAML"
        raise DataError(f"{path}:{mark.line + 1 if mark else 1}: {problem}; {form}") from None
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise DataError(f"{path}:1: not a mapping; {form}, one to a line")
    for key, value in root.value:
        number = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
            raise DataError(f"{path}:{number}: not a pair; {form}")
        yield number, key.value.strip(), value.value.strip()
