"""Transcripts as codes: what comes back out is what was heard, and the counts are those of the scores."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_analogy.page.transcripts import code, errors, heard, read, units
from asr_analogy.text.normaliser import normaliser
from asr_analogy.text.scoring import count_words, raw

WORDS = st.lists(st.sampled_from(["a", "b", "-", "+x", "~y", "7", "!", "的"]), max_size=9)


@given(WORDS, WORDS)
def test_a_code_holds_the_hypothesis_and_its_errors(reference: list[str], hypothesis: list[str]) -> None:
    text = code(reference, hypothesis)
    assert heard(reference, text) == hypothesis
    (counts,) = count_words([" ".join(reference)], [" ".join(hypothesis)], raw)
    assert errors(text) == counts.errors


def test_equal_runs_are_numbers() -> None:
    assert (
        code(["the", "writ", "of", "habeas", "corpus"], ["the", "writ", "of", "have", "corpses"]) == "3 ~have ~corpses"
    )
    assert code(["of", "habeas"], ["of", "the", "habeas"]) == "1 +the 1"
    assert code(["a", "b", "c", "d"], ["a", "d"]) == "1 -2 1"


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "The Writ, please.", ["the", "writ", "please"]),
        ("zh", "你好，World 世界", ["你", "好", "world", "世", "界"]),
        ("th", "กี่ ok", ["กี่", "ok"]),
    ],
)
def test_units(language: str, text: str, expected: list[str]) -> None:
    assert units(text, normaliser(language)) == expected


def write(folder: Path, rows: list[dict]) -> None:
    folder.mkdir(parents=True)
    (folder / "hypotheses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_what_stands_on_disk_is_read(tmp_path: Path) -> None:
    row = {"id": "0", "reference": "The old writ.", "speaker": "x", "duration": 1.234}
    write(tmp_path / "base", [row | {"hypothesis": "the writ"}])
    write(tmp_path / "merged", [row | {"hypothesis": "the old writ"}])
    found = read(tmp_path, ["base", "absent", "merged"], normaliser("en"))
    assert found is not None and found.systems == ("base", "merged")
    assert found.lines[0].reference == "the old writ" and found.lines[0].codes == ("1 - 1", "3")
    assert found.gains("merged", "base") == [1]
    assert found.only(["merged"]).lines[0].codes == ("3",)
    assert read(tmp_path / "nothing", ["base"], normaliser("en")) is None
    write(tmp_path / "other", [row | {"hypothesis": "the", "id": "9"}])
    assert read(tmp_path, ["base", "other"], normaliser("en")) is None


def test_keywords_without_transcript(tmp_path: Path) -> None:
    write(tmp_path / "base", [{"id": "0", "reference": "", "keywords": ["Writ", "lien"], "hypothesis": "The writ of"}])
    found = read(tmp_path, ["base"], normaliser("en"), transcribed=False)
    assert found is not None and found.lines[0].codes == ("!1 +the +writ +of",)
    assert found.lines[0].reference == "Writ; lien" and found.lines[0].errors(0) == 1
