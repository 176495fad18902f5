"""A lexicon of respellings."""

from pathlib import Path

import pytest

from asr_analogy.errors import AnalogyError, DataError, MissingError, RecipeError
from asr_analogy.text.lexicon import Lexicon, load_lexicon


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_yaml_and_tsv_say_the_same(tmp_path: Path) -> None:
    entries = {"EBITDA": "e bit dah", "certiorari": "sir shee oh rare ee", "NO": "norway", "1983": "civil rights"}
    one = write(tmp_path, "a.yaml", "# terms\n" + "".join(f"{term}: {said}\n" for term, said in entries.items()))
    two = write(
        tmp_path, "a.tsv", "\ufeff# terms\n\n" + "".join(f"{term}\t{said}\r\n" for term, said in entries.items())
    )
    assert load_lexicon(one) == load_lexicon(two) == Lexicon(entries)


def test_empty_files_are_empty_lexicons(tmp_path: Path) -> None:
    assert load_lexicon(write(tmp_path, "a.yaml", "")) == load_lexicon(write(tmp_path, "a.tsv", "# none\n"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a writ of certiorari, certiorari", "a paper, sir shee oh rare ee"),
        ("Certiorari was denied", "sir shee oh rare ee was denied"),
        ("certioraris", "certioraris"),
        ("the GAAP gaap Gaap", "the gap gaap Gaap"),
        ("§ 1983 and § 19830", "the statute and § 19830"),
        ("10-K, 110-K", "ten kay, 110-K"),
        ("no term", "no term"),
    ],
)
def test_respell(text: str, expected: str) -> None:
    lexicon = Lexicon(
        {
            "certiorari": "sir shee oh rare ee",
            "writ of certiorari": "paper",
            "GAAP": "gap",
            "§ 1983": "the statute",
            "10-K": "ten kay",
        }
    )
    assert lexicon.respell(text) == expected


def test_a_large_lexicon_is_not_searched_term_by_term() -> None:
    lexicon = Lexicon({f"term{number}": "word" for number in range(5_000)} | {"lien": "leen"})
    assert lexicon.respell("a lien on term4999 and term50000") == "a leen on word and term50000"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "lien\tleen\nlien\tlean\n", r"a.tsv:2: 'lien' stands in line 1 already"),
        ("a.tsv", "lien leen\n", r"a.tsv:1: 1 columns; give term, one tab, respelling"),
        ("a.tsv", "a\tb\tc\n", r"a.tsv:1: 3 columns"),
        ("a.tsv", "lien\t\n", r"a.tsv:1: the respelling is empty"),
        ("a.tsv", "\n\tleen\n", r"a.tsv:2: the term is empty"),
        ("a.yaml", "lien: leen\nEBITDA: /iːbɪtdɑː/\n", r"a.yaml:2: /iːbɪtdɑː/ is IPA, which no voice here reads"),
        ("a.yaml", "lien: leen\nbps: 5 points\n", r"a.yaml:2: the respelling '5 points' holds more than letters"),
        ("a.yaml", "lien: leen\nlien: lean\n", r"a.yaml:2: 'lien' stands in line 1 already"),
        ("a.yaml", "lien: leen\nwrit: [a, b]\n", r"a.yaml:2: not a pair"),
        ("a.yaml", "- lien\n", r"a.yaml:1: not a mapping"),
        ("a.yaml", "lien: leen\nwrit: 'rit\n", r"a.yaml:\d+: .*; write term: respelling"),
        ("a.yaml", "lien: leen\na lien: a lien held\n", r"a.yaml:2: the respelling 'a lien held' holds a term"),
        ("a.tsv", b"caf\xe9\tcaffay\n", r"cannot be read as UTF-8"),
    ],
)
def test_unusable_rows_are_named(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_lexicon(write(tmp_path, name, content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "kind"), [("a.json", RecipeError), ("a.yaml", MissingError)])
def test_no_lexicon_there(tmp_path: Path, name: str, kind: type[AnalogyError]) -> None:
    with pytest.raises(kind, match=name):
        load_lexicon(tmp_path / name)
