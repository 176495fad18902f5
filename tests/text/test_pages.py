"""Pages to lines: PDF files written by hand here, DOCX files by python-docx, pages of text."""

import logging
from pathlib import Path

import docx
import pypdf
import pytest
from docx.oxml import OxmlElement
from docx.oxml.ns import qn

from asr_analogy.errors import DataError
from asr_analogy.text.documents import Sentence
from asr_analogy.text.documents import read_sentences as stream
from asr_analogy.text.pages import body_lines, joined_words, text_pages
from asr_analogy.text.sentences import Line


def read_sentences(path: Path) -> list[Sentence]:
    return list(stream(path))


def pdf_bytes(pages: list[list[str]]) -> bytes:
    """A PDF whose pages show one line of Latin-1 text under the other, in Helvetica 12."""
    kids = " ".join(f"{4 + 2 * place} 0 R" for place in range(len(pages)))
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for place, page in enumerate(pages):
        escaped = [line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)") for line in page]
        shown = "".join(f"({line}) Tj T*\n" for line in escaped)
        stream = f"BT /F1 12 Tf 14 TL 72 740 Td\n{shown}ET".encode("cp1252")
        resources = "/Resources << /Font << /F1 3 0 R >> >> /MediaBox [0 0 612 792]"
        bodies.append(f"<< /Type /Page /Parent 2 0 R {resources} /Contents {5 + 2 * place} 0 R >>".encode())
        bodies.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    data, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, len(data))
    return data + head + table + trailer


def pdf(folder: Path, pages: list[list[str]]) -> Path:
    path = folder / "a.pdf"
    path.write_bytes(pdf_bytes(pages))
    return path


def cleaned(text: str) -> list[str]:
    return [line.text for line in body_lines(text_pages(text.split("\n")), "a.txt") if line.text]


def joined(text: str) -> str:
    return " ".join(line.text for line in joined_words([Line(0, row) for row in text.split("\n")]))


def test_pdf_loses_headers_footers_and_page_numbers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    head, foot = "Acme Corp. - Minutes of 5 May", "Privileged and confidential"
    body = [
        ["The board met at noon and dis-", "cussed the budget (see Sec. 4) at some"],
        ["length. It was", "approved."],
        ["All left."],
    ]
    path = pdf(tmp_path, [[head, *lines, foot, f"Page {n} of 3"] for n, lines in enumerate(body, 1)])
    assert read_sentences(path) == [
        Sentence("The board met at noon and discussed the budget (see Sec. 4) at some length.", "a.pdf:1"),
        Sentence("It was approved.", "a.pdf:2"),
        Sentence("All left.", "a.pdf:3"),
    ]
    assert "9 running lines and page numbers" in caplog.text


def test_pdf_page_by_page_headers_that_differ(tmp_path: Path) -> None:
    words = ["first", "second", "third", "fourth", "fifth", "sixth"]
    heads = ["Annual Report", "Notes"]
    pages = [[heads[n % 2], f"This is the {word} page.", f"- {n + 1} -"] for n, word in enumerate(words)]
    assert [one.text for one in read_sentences(pdf(tmp_path, pages))] == [f"This is the {word} page." for word in words]


def test_pdf_of_one_page_keeps_its_first_and_last_line(tmp_path: Path) -> None:
    found = read_sentences(pdf(tmp_path, [["Notice", "", "We met.", "We left.", "Page 1"]]))
    assert [one.text for one in found] == ["Notice We met.", "We left."]


def test_transcript(tmp_path: Path) -> None:
    asked = [
        ["Q.  Did you sign the lease in", "March?", "A.  Yes, I signed", "it --"],
        ["Q.  When?", "A.  In 12 days."],
    ]
    rows = [[*lines, *["THE COURT:  Go on."] * 19] for lines in asked]
    pages = [
        ["Vol. 2", *(f"{n}   {line}" for n, line in enumerate(part, 1)), f"{40 + p}"] for p, part in enumerate(rows)
    ]
    assert [one.text for one in read_sentences(pdf(tmp_path, pages))] == [
        "Q. Did you sign the lease in March?",
        "A. Yes, I signed it --",
        *["THE COURT: Go on."] * 19,
        "Q. When?",
        "A. In 12 days.",
        *["THE COURT: Go on."] * 19,
    ]


def test_numbers_that_are_not_a_column_stay() -> None:
    text = "12 people came.\n3 left.\n1 stayed.\n2 slept.\n" + "Nobody spoke.\n" * 9
    assert cleaned(text)[:4] == ["12 people came.", "3 left.", "1 stayed.", "2 slept."]


def test_line_numbers_in_a_column_of_their_own() -> None:
    text = "\n".join(str(number) for number in range(1, 13)) + "\n" + "He spoke of 5 loans.\n" * 12
    assert cleaned(text) == ["He spoke of 5 loans."] * 12


def test_tables_of_contents() -> None:
    text = (
        "TABLE OF CONTENTS\nPage\nI. Background ........ 1\nII. The claims of the plaintiffs\nagainst the bank . . . . . . 12\n"
        "III. Relief…………iv\n\nI. Background\nHe waited ... 5 days. It was late...\n"
    )
    assert cleaned(text) == ["I. Background", "He waited ... 5 days. It was late..."]


@pytest.mark.parametrize(
    "line",
    ["Page 3 of 12", "page 7", "- 4 -", "[Page 5]", "3 of 9", "Pg. 2", "Page iv", "第 3 页", "第3页/共9页"],
)
def test_explicit_page_numbers_need_no_second_page(line: str) -> None:
    assert cleaned(f"We met.\n{line}") == ["We met."]


@pytest.mark.parametrize("line", ["12", "xiv"])
def test_bare_page_numbers_need_one(line: str) -> None:
    assert cleaned(f"We met.\n{line}") == ["We met.", line]
    assert cleaned(f"We met.\n{line}\fWe left.\n{line}") == ["We met.", "We left."]


def test_lines_that_come_again_inside_a_page_stay() -> None:
    text = "\f".join(
        f"He rose at {len(word)} on {word}.\nThe motion carried.\nAll of {word} was free."
        for word in ("Monday", "Friday")
    )
    assert cleaned(text).count("The motion carried.") == 2
    assert len(cleaned(text)) == 6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The state-\nment was read.", "The statement was read."),
        ("A long-\nterm loan.", "A long-term loan."),
        ("An on-\nline bank. It is online.", "An online bank. It is online."),
        ("A debt-\nlike note. A debt-like bond.", "A debt-like note. A debt-like bond."),
        ("The risk-\nweighted sum. Risk is weighted.", "The risk-weighted sum. Risk is weighted."),
        ("The Anglo-\nAmerican bank.", "The Anglo-American bank."),
        ("No. 21-\n1234 was filed.", "No. 21-1234 was filed."),
        ("Short-\nand long-term debt.", "Short- and long-term debt."),
        ("The state\u00ad\nment.", "The statement."),
        ("The state\u2010\nment.", "The statement."),
        ("He said r-\nor something.", "He said r- or something."),
        ("It ended --\nat last.", "It ended -- at last."),
        ("A com-\nplete, docu-\nment", "A complete, document"),
    ],
)
def test_divided_words(text: str, expected: str) -> None:
    assert joined(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The bank agreed.¹² It paid² all.", "The bank agreed. It paid all."),
        ("The bank agreed.[3] It paid.", "The bank agreed. It paid."),
        ("The bank agreed.14 It “paid.”15", "The bank agreed. It “paid.”"),
        ("The bank† agreed.‡", "The bank agreed."),
        ("In [2021] UKSC 5 it was 10 m² and 10² at $1.25; see no.12 and p.3.", None),
    ],
)
def test_footnote_markers(text: str, expected: str | None) -> None:
    assert cleaned(text) == [expected or text]


def test_pdf_without_text_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DataError, match=r"a.pdf: has no text layer \(a scan\?\); recognise it first: ocrmypdf"):
        read_sentences(pdf(tmp_path, [[], []]))
    assert [one.text for one in read_sentences(pdf(tmp_path, [["We met."], []]))] == ["We met."]
    assert "1 of 2 pages hold no text (scans?): 2" in caplog.text


def test_encrypted_pdf_is_refused(tmp_path: Path) -> None:
    path = pdf(tmp_path, [["We met."]])
    writer = pypdf.PdfWriter(clone_from=path)
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(path)
    with pytest.raises(DataError, match="a.pdf: is encrypted; save it without a password") as caught:
        read_sentences(path)
    assert "\n" not in str(caught.value)


def test_pdf_with_an_owner_password_only_is_read(tmp_path: Path) -> None:
    path = pdf(tmp_path, [["We met."]])
    writer = pypdf.PdfWriter(clone_from=path)
    writer.encrypt("", owner_password="secret", algorithm="RC4-128")
    writer.write(path)
    assert read_sentences(path) == [Sentence("We met.", "a.pdf:1")]


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "hole"])
def test_damaged_pdf_is_refused(tmp_path: Path, damage: str) -> None:
    whole = pdf_bytes([["We met."]])
    data = {"empty": b"", "text": b"We met.\n", "cut": whole[:60], "hole": whole.replace(b"/Pages", b"/Pxges")}[damage]
    (tmp_path / "a.pdf").write_bytes(data)
    with pytest.raises(DataError, match=r"a.pdf: not a whole PDF \(.+\); get it again") as caught:
        read_sentences(tmp_path / "a.pdf")
    assert "\n" not in str(caught.value)


def test_docx(tmp_path: Path) -> None:
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "Acme minutes"
    document.sections[0].footer.paragraphs[0].text = "Page 3"
    document.add_heading("Budget", 1)
    document.styles.add_style("toc 1", docx.enum.style.WD_STYLE_TYPE.PARAGRAPH)
    document.add_paragraph("Budget\t3", "toc 1")
    document.add_paragraph("The board met\u00a0Mr. Smith. It left").add_run(" at noon.").bold = True
    document.add_paragraph("Pay the ﬁne", "List Number")
    document.add_paragraph("Sign\tthe lease\nand file it", "List Bullet")
    table = document.add_table(2, 2)
    table.cell(0, 0).text, table.cell(1, 0).text, table.cell(1, 1).text = "Year", "Cash rose.", "Debt fell."
    table.cell(0, 0).merge(table.cell(0, 1))
    document.save(str(tmp_path / "a.docx"))
    assert [(one.text, one.source) for one in read_sentences(tmp_path / "a.docx")] == [
        ("Budget", "a.docx:1"),
        ("The board met Mr. Smith.", "a.docx:3"),
        ("It left at noon.", "a.docx:3"),
        ("Pay the fine", "a.docx:4"),
        ("Sign the lease and file it", "a.docx:5"),
        ("Year", "a.docx:6"),
        ("Cash rose.", "a.docx:7"),
        ("Debt fell.", "a.docx:8"),
    ]


def test_docx_with_tracked_changes_reads_as_accepted(tmp_path: Path) -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("The fee is ")
    for tag, part, text in (("w:del", "w:delText", "nine"), ("w:ins", "w:t", "ten")):
        change, run, words = OxmlElement(tag), OxmlElement("w:r"), OxmlElement(part)
        words.text = text
        run.append(words)
        change.append(run)
        paragraph._p.append(change)
    assert paragraph._p.find(qn("w:del")) is not None
    document.save(str(tmp_path / "a.docx"))
    assert [one.text for one in read_sentences(tmp_path / "a.docx")] == ["The fee is ten"]


@pytest.mark.parametrize("damage", ["empty", "text", "cut"])
def test_damaged_docx_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.docx"
    docx.Document().save(str(path))
    path.write_bytes({"empty": b"", "text": b"We met.", "cut": path.read_bytes()[:2000]}[damage])
    with pytest.raises(DataError, match=r"a.docx: not a whole DOCX \(.+\); open it") as caught:
        read_sentences(path)
    assert "\n" not in str(caught.value)
