"""Files to sentences."""

from pathlib import Path

import pytest

from asr_analogy.errors import DataError, MissingError
from asr_analogy.text.documents import Sentence, read_sentences, split_sentences


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def texts(path: Path) -> list[str]:
    return [sentence.text for sentence in read_sentences(path)]


@pytest.mark.parametrize(
    "sentences",
    [
        ["Mr. Smith v. Jones was filed.", "See No. 5 and Nos. 6 and 7."],
        ["The U.S. Supreme Court cited 42 U.S.C. § 1983.", "It cost $1.25 million.", "Section 4.2 applies."],
        ["He came at 5 p.m. on Jan. 5.", "Then Dr. J. Smith of Acme Inc. met Beta Corp. and Gamma Ltd. there."],
        ["Art. II and Sec. 4 apply, e.g. to taxes, i.e. fees, etc. and so on.", "They end."],
        ["We met at 5 p.m.", "The rest sued Acme Inc.", "The U.S.", "It won."],
        ['"Really?" she asked.', '"Yes."', "He left...", "Then 3 came!", "(He did.)", "So it ended."],
        ["No.", "I did not.", "The answer is no.", "I know."],
        ["Fed. R. Civ. P. 12(b)(6) applies.", "$5 was paid.", "§ 3 is void.", "In 2019.", "Next."],
        ["1. The parties agree.", "(a) Fees are due."],
    ],
)
def test_splits_a_paragraph(sentences: list[str]) -> None:
    paragraph = " ".join(sentences)
    found = list(split_sentences(paragraph))
    assert [text for _, text in found] == sentences
    assert all(paragraph[offset:].startswith(text) for offset, text in found)


def test_one_sentence_per_line_is_kept_exactly(tmp_path: Path) -> None:
    lines = ["They sued Acme Inc.", "Plaintiffs  appealed.", "in the U.S.", '"Why?"', "See Dr.", "Smith left."]
    path = write(tmp_path, "a.txt", "\n".join(lines[:3]) + "\n\n" + "\r\n".join(lines[3:]) + "\n")
    assert texts(path) == lines
    assert read_sentences(path)[3] == Sentence('"Why?"', "a.txt:5")


def test_repository_text_is_kept_exactly() -> None:
    for path in sorted((Path(__file__).parents[2] / "data" / "text").glob("*.dev.txt")):
        assert texts(path) == path.read_text(encoding="utf-8").splitlines()


def test_wrapped_paragraphs_are_joined(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a.txt",
        "BACKGROUND\n\nThe board met Mr.\nSmith of Acme Inc.\nand left. It\nended.\nNobody sued Acme Inc.\n"
        "Plaintiffs settled. See No.\n5 for more\n",
    )
    assert read_sentences(path) == [
        Sentence("BACKGROUND", "a.txt:1"),
        Sentence("The board met Mr. Smith of Acme Inc. and left.", "a.txt:3"),
        Sentence("It ended.", "a.txt:5"),
        Sentence("Nobody sued Acme Inc.", "a.txt:7"),
        Sentence("Plaintiffs settled.", "a.txt:8"),
        Sentence("See No. 5 for more", "a.txt:8"),
    ]


def test_transcripts_without_punctuation(tmp_path: Path) -> None:
    assert texts(write(tmp_path, "a.txt", "MR. SMITH WENT HOME\nHE SLEPT\n")) == ["MR. SMITH WENT HOME", "HE SLEPT"]


def test_byte_order_mark(tmp_path: Path) -> None:
    assert texts(write(tmp_path, "a.txt", b"\xef\xbb\xbfCaf\xc3\xa9.")) == ["Café."]


def test_markdown(tmp_path: Path) -> None:
    text = (
        "# The *Merger* #\nThe **board** met [Acme\nCorp.](http://x.org/a_(b)) in _Rome_ at snake_case.\n"
        "- First item\n  goes on\n* Second `item`\n1. Third\n\n---\n> quoted text,\n> twice.\n\n"
        "```\ncode = 1\n```\nTitle\n=====\n5 * 3 * 2 \\* ![logo](l.png) at <https://x.org>.\n"
    )
    assert [(one.text, one.source) for one in read_sentences(write(tmp_path, "a.md", text))] == [
        ("The Merger", "a.md:1"),
        ("The board met Acme Corp. in Rome at snake_case.", "a.md:2"),
        ("First item goes on", "a.md:4"),
        ("Second item", "a.md:6"),
        ("Third", "a.md:7"),
        ("quoted text, twice.", "a.md:10"),
        ("Title", "a.md:16"),
        ("5 * 3 * 2 * logo at https://x.org.", "a.md:18"),
    ]


def test_jsonl(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "One. Two."}\n\n{"text": "three\\u2028still", "id": 4}\n')
    assert read_sentences(path) == [
        Sentence("One.", "a.jsonl:1"),
        Sentence("Two.", "a.jsonl:1"),
        Sentence("three\u2028still", "a.jsonl:3"),
    ]


def test_folder_and_glob(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "b.txt", "B.")
    write(tmp_path, "a.md", "A.")
    write(tmp_path, "sub/c.JSONL", '{"text": "C."}')
    write(tmp_path, ".hidden/d.txt", "D.")
    write(tmp_path, "e.pdf", "E.")
    write(tmp_path, "f.csv", "F.")
    assert [one.source for one in read_sentences(tmp_path)] == ["a.md:1", "b.txt:1", "sub/c.JSONL:1"]
    assert "e.pdf" in caplog.text
    assert texts(tmp_path / "*.txt") == ["B."]
    assert [one.source for one in read_sentences(tmp_path / "**" / "*.JSONL")] == ["sub/c.JSONL:1"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "a.txt: holds no sentence"),
        ("a.txt", " \n--\n", "holds no sentence"),
        ("a.jsonl", '{"text": ""}', "holds no sentence"),
        ("a.txt", b"ab\x00c", r"not a text file \(NUL byte at position 2\); save it as UTF-8"),
        ("a.txt", b"\xef\xbb\xbfCaf\xe9 x", r"not UTF-8 \(byte position 6\); save it as UTF-8"),
        ("a.jsonl", '{"text": "a"}\nnope', r"a.jsonl:2: not JSON"),
        ("a.jsonl", '{"text": "\\ud800"}', r"a.jsonl:1: not JSON"),
        ("a.jsonl", "[" * 100_000, r"a.jsonl:1: not JSON"),
        ("a.jsonl", '{"id": 1}', r'a.jsonl:1: no "text"'),
        ("a.jsonl", '{"text": 1}', r'a.jsonl:1: no "text"'),
        ("a.jsonl", "[1]", r'a.jsonl:1: no "text"'),
        ("a.pdf", "x", r".pdf files are not read yet; save it as text"),
        ("a.DOCX", "x", r".docx files are not read yet; save it as text"),
        ("a.csv", "x", r"cannot read .csv; give .txt, .md, .jsonl"),
        ("a", "x", r"cannot read a file without ending"),
    ],
)
def test_unusable_files(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_sentences(write(tmp_path, name, content))
    assert "\n" not in str(caught.value)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no such file or folder"):
        read_sentences(tmp_path / "a.txt")
    with pytest.raises(MissingError, match="no .txt, .md, .jsonl file there"):
        read_sentences(tmp_path / "*.txt")
    with pytest.raises(DataError, match="no .txt, .md, .jsonl file there"):
        read_sentences(tmp_path)
    write(tmp_path, "a.pdf", "x")
    with pytest.raises(DataError, match=".pdf files are not read yet"):
        read_sentences(tmp_path)
