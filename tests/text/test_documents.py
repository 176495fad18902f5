"""Files to sentences."""

from pathlib import Path

import pytest

from asr_analogy.errors import DataError, MissingError
from asr_analogy.text.documents import Sentence
from asr_analogy.text.documents import read_sentences as stream


def read_sentences(path: Path) -> list[Sentence]:
    return list(stream(path))


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def texts(path: Path) -> list[str]:
    return [sentence.text for sentence in read_sentences(path)]


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


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            'text,id\n"One, two. Three.",1\n\n"a ""b""\nc",2\n',
            [("One, two.", 2), ("Three.", 2), ('a "b"', 4), ("c", 4)],
        ),
        ("id;Text\r\n1;Costs fell, by 1,5 points.\r\n", [("Costs fell, by 1,5 points.", 2)]),
        ("text\tid\nA, b; c.\t1\n", [("A, b; c.", 2)]),
        ('text\nHello, world; hello.\n"So, quoted."\n', [("Hello, world; hello.", 2), ("So, quoted.", 3)]),
        ("id,speaker,line\n1,Ann,We met at noon.\n2,Bob,We did not.\n", [("We met at noon.", 2), ("We did not.", 3)]),
        ("id;line\n1;We met, at noon.\n2;We did, not.\n", [("We met, at noon.", 2), ("We did, not.", 3)]),
        ("We met at noon.\nWe left.\n", [("We met at noon.", 1), ("We left.", 2)]),
        ("1,We met at noon.\n2,We left at one.\n", [("We met at noon.", 1), ("We left at one.", 2)]),
    ],
)
def test_csv(tmp_path: Path, content: str, expected: list[tuple[str, int]]) -> None:
    found = read_sentences(write(tmp_path, "a.csv", content))
    assert found == [Sentence(text, f"a.csv:{line}") for text, line in expected]


def test_ligatures_and_soft_hyphens_in_every_kind_of_text(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "The ﬁrst oﬃce state\u00adment.")
    write(tmp_path, "b.md", "The **ﬁrst** oﬃce state\u00ad\nment.")
    write(tmp_path, "c.jsonl", '{"text": "The ﬁrst oﬃce state\u00adment."}')
    write(tmp_path, "d.csv", "text\nThe ﬁrst oﬃce state\u00adment.")
    assert texts(tmp_path) == ["The first office statement."] * 4


def test_form_feeds_end_pages(tmp_path: Path) -> None:
    bodies = ["The board dis-\ncussed plan 1. It then", "voted. Ann Lee\nspoke.", "All left at 5 p.m."]
    pages = [f"Minutes of Acme Corp.\n\n{body}\n\nPage {number} of 3\n" for number, body in enumerate(bodies, 1)]
    assert read_sentences(write(tmp_path, "a.txt", "\f".join(pages))) == [
        Sentence("The board discussed plan 1.", "a.txt:3"),
        Sentence("It then voted.", "a.txt:4"),
        Sentence("Ann Lee spoke.", "a.txt:9"),
        Sentence("All left at 5 p.m.", "a.txt:15"),
    ]


def test_folder_and_glob(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "b.txt", "B.")
    write(tmp_path, "a.md", "A.")
    write(tmp_path, "sub/c.JSONL", '{"text": "C."}')
    write(tmp_path, ".hidden/d.txt", "D.")
    write(tmp_path, "e.doc", "E.")
    write(tmp_path, "f.csv", "F.")
    write(tmp_path, "~$g.docx", "lock")
    assert [one.source for one in read_sentences(tmp_path)] == ["a.md:1", "b.txt:1", "f.csv:1", "sub/c.JSONL:1"]
    assert "e.doc" in caplog.text
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
        ("a.DOC", "x", r"cannot read .doc; save it as .docx"),
        ("a.png", "x", r"cannot read .png; give .txt, .md, .jsonl, .csv, .docx, .pdf"),
        ("a.csv", "", "holds no sentence"),
        ("a.csv", "text,id\n", "holds no sentence"),
        ("a.csv", "text,id\nOne, two,3\n", r"a.csv:2: 3 columns where the first row has 2; quote"),
        ("a.csv", 'text,id\n"One, 2\n', r"a.csv:2: not CSV \(unexpected end of data\)"),
        ("a.csv", "text,id,text\na,1,b\n", r'which column holds the sentences \(text, id, text\)\? name it "text"'),
        ("a.csv", "q,a\nIs it so?,Yes it is.\n", r"which column holds the sentences \(q, a\)"),
        ("a.csv", "n,m\n1,2\n", r"which column holds the sentences \(n, m\)"),
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
    with pytest.raises(MissingError, match="no .txt, .md, .jsonl, .csv, .docx, .pdf file there"):
        read_sentences(tmp_path / "*.txt")
    with pytest.raises(DataError, match="no .txt, .md, .jsonl, .csv, .docx, .pdf file there"):
        read_sentences(tmp_path)
    write(tmp_path, "a.doc", "x")
    with pytest.raises(DataError, match="cannot read .doc; save it as .docx"):
        read_sentences(tmp_path)


def test_a_long_file_is_read_in_blocks_with_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped = "".join(
        f"The board met on day {n} and it\nsued the lessor.\nNo one left\nthe room.\n\n" for n in range(200)
    )
    names = ["Lord K" + "".join(chr(97 + int(digit)) for digit in str(n)) * 2 for n in range(60)]
    pages = "".join(f"MINUTES OF THE BOARD\nThe clerk named {name} and\nsat by {name}.\n\f" for name in names)
    silent = "".join(f"so we went on with item {n}\n" for n in range(300))
    rows = "".join(f'{{"text": "Item {n} is closed. It was 5 \u20ac."}}\r\n' for n in range(200))
    files = [write(tmp_path, f"{n}.txt", text) for n, text in enumerate((wrapped, pages, silent))]
    files += [write(tmp_path, "3.jsonl", "\ufeff" + rows), write(tmp_path, "4.txt", "\ufeff" + wrapped.rstrip())]
    whole = [read_sentences(file) for file in files]
    assert [len(found) for found in whole] == [400, 60, 300, 400, 400]
    monkeypatch.setattr("asr_analogy.text.documents.BLOCK", 1_000)
    assert [read_sentences(file) for file in files] == whole


@pytest.mark.parametrize(("end", "message"), [(b"\0", "NUL byte at position 6001"), (b"\xff", "byte position 6001")])
def test_faults_far_into_a_file_are_placed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes, message: str
) -> None:
    monkeypatch.setattr("asr_analogy.text.documents.BLOCK", 1_000)
    with pytest.raises(DataError, match=message):
        texts(write(tmp_path, "a.txt", b"It ended.\n" * 600 + b"x" + end))
