"""The voice's text and the letters of a CTC vocabulary."""

import random
import re
import sys
from pathlib import Path

import pytest

from asr_analogy.errors import DataError, MissingError
from asr_analogy.text import chinese
from asr_analogy.text.lexicon import Lexicon
from asr_analogy.text.spoken import LONGEST, letters, plain, spoken, unspeakable

LOWER = "'abcdefghijklmnopqrstuvwxyz"
UPPER = "'ABCDEFGHIJKLMNOPQRSTUVWXYZ|"
TABLE = Path(__file__).with_name("spoken_cases.tsv").read_text(encoding="utf-8").split("\n")[:-1]
CASES = [tuple(row.split("\t")) for row in TABLE]
PIECES = [*"aZsVIXx $£€%&§-–—.,:'`’“()[]/0123456789½²é\u0301ﬁ\u1fef＄\n@#*_|~^°¶™©<>=+٣๓①\u00a0\u200b日\ud800İſß", "  "]
PIECES += ["million", "bn", "th", "$1.25", "1,000", "No. ", "v.", "U.S.C.", "Mr.", "SEC", "Article IV", "Jan. ", "5-10"]
PIECES += ["a.m.", " 3:30", "(ii)", "(1,234)", "Inc.", "Q3", "FY24", "www.a.com", "x@y.org", "http://", "CEOs", "A&B"]
PIECES += ["1/2", "II", "Henry ", "Section ", "F.3d", "2d", "St.", "et al.", " to ", "bps", "'90s", "THE MAIN PART "]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_spoken(text: str, expected: str) -> None:
    assert spoken(text) == expected
    assert spoken(expected) == expected


def test_the_table_is_large() -> None:
    assert len({text for text, _ in CASES}) >= 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ﬁling\u00a02½\u200b", "filing two and a half"),
        ("a\x00b\tc\n", "a b c"),
        ("", ""),
        ("?!...", "?!..."),
    ],
)
def test_spoken_of_odd_characters(text: str, expected: str) -> None:
    assert spoken(text) == expected


def test_random_text() -> None:
    """No exception, no digit, nothing left to say the second time, no more than a few times as long."""
    generator = random.Random(0)
    for number in range(6_000):
        text = "".join(generator.choices(PIECES, k=(3, 6, 12)[number % 3]))
        said = spoken(text)
        assert not any(character.isdigit() for character in said), ascii(text)
        assert spoken(said) == said, ascii(text)
        assert len(said) <= 9 * len(plain(text)) + 20, ascii(text)


def test_any_character() -> None:
    generator = random.Random(1)
    for top in (0x80, 0x3000, 0x110000):
        for _ in range(1_000):
            text = "".join(chr(generator.randrange(top)) for _ in range(8))
            said = spoken(text)
            assert not any(character.isdigit() for character in said), ascii(text)
            assert spoken(said) == said, ascii(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop!", "DON'T STOP"),
        ("'quoted' words", "QUOTED WORDS"),
        ("$1.25 million", "ONE POINT TWO FIVE MILLION DOLLARS"),
        ("the 3rd of 1,250", "THE THIRD OF ONE THOUSAND TWO HUNDRED FIFTY"),
        ("Section 4.2.1(b)", "SECTION FOUR POINT TWO POINT ONE B"),
        ("42 U.S.C. § 1983", "FORTY TWO U S C SECTION NINETEEN EIGHTY THREE"),
        ("Q3 at 9pm", "Q THREE AT NINE P M"),
        ("naïve café — €5|x", "NAIVE CAFE FIVE EUROS X"),
        ("12,34 and .5", "TWELVE THIRTY FOUR AND POINT FIVE"),
        ("日本", ""),
    ],
)
def test_letters(text: str, expected: str) -> None:
    assert letters(text, UPPER) == expected


@pytest.mark.parametrize("text", [text for text, _ in CASES])
def test_letters_are_idempotent_and_agree_with_the_voice(text: str) -> None:
    written = letters(text, LOWER)
    assert letters(written, LOWER) == written
    assert set(written) <= {*LOWER, " "}
    assert written.replace(" ", "") == re.sub("[^a-z']|(?<![a-z])'|'(?![a-z])", "", spoken(text).lower())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("YES SIR", "yes sir"),
        ("MR BELL SAW HER IN MAY", "mr bell saw her in may"),
        ("SMITH V. JONES, NO. 21-1234", "smith versus jones number twenty one twelve thirty four"),
        ("ARTICLE V. THE BOARD", "article five the board"),
        ("THE SEC AND NASDAQ", "the s e c and nasdaq"),
        ("IN THE U.S., 5 P.M.", "in the u s five p m"),
    ],
)
def test_transcripts_in_capitals(text: str, expected: str) -> None:
    assert letters(text, LOWER) == expected


def test_letters_follows_the_alphabet() -> None:
    assert letters("Mr. Bell", "abcdefghijklmnopqrstuvwxyz") == "mister bell"
    assert letters("don't", "DONT") == "DON T"
    assert letters("naïve", UPPER + "Ï") == "NAÏVE"
    assert letters("Zwei § 5", "abcdefghijklmnopqrstuvwxyz", language="de") == "zwei"
    with pytest.raises(DataError, match="holds no letter"):
        letters("text", "|' ")


def test_unspeakable() -> None:
    assert unspeakable("§") is None
    assert unspeakable("Yes.") is None
    assert unspeakable("...") == "no letter or digit"
    assert unspeakable("") == "no letter or digit"
    assert unspeakable("a" * LONGEST) is None
    assert unspeakable("a" * (LONGEST + 1)) == "longer than 600 characters (601)"
    assert unspeakable("x", lexicon=Lexicon({"x": "ex" * 400})) == "longer than 600 characters (800)"


def test_lexicon_goes_first_and_changes_no_label() -> None:
    lexicon = Lexicon({"EBITDA": "e bit dah", "10-K": "annual report", "§ 1983": "the civil rights statute"})
    text = "EBITDA in the 10-K under § 1983, 3 times."
    said = "e bit dah in the annual report under the civil rights statute, three times."
    assert spoken(text, lexicon=lexicon) == said
    assert spoken(said, lexicon=lexicon) == said
    assert letters("EBITDA", UPPER) == "EBITDA"


def test_other_languages_are_only_made_plain() -> None:
    assert spoken("„Art.  5“ – 3 %", language="de") == '"Art. 5" - 3 %'
    assert spoken("§ 5", language="en-GB") == "section five"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("第147条第2款", "第一百四十七条第二款"),
        ("1.25亿元（5.5%）", "一点二五亿元(百分之五点五)"),
        ("共12,345股", "共一万二千三百四十五股"),
        ("售出1,000,500份和1,050份", "售出一百万零五百份和一千零五十份"),
        ("2019年1月5日", "二零一九年一月五日"),
        ("\ud800", "?"),
    ],
)
def test_chinese(text: str, expected: str) -> None:
    pytest.importorskip("wetext")
    assert spoken(text, language="zh") == expected
    assert spoken(expected, language="zh-CN") == expected


def test_chinese_without_wetext(monkeypatch: pytest.MonkeyPatch) -> None:
    chinese._normaliser.cache_clear()
    monkeypatch.setitem(sys.modules, "wetext", None)
    with pytest.raises(MissingError, match=r"pip install 'asr-analogy\[text\]'"):
        spoken("第2款", language="zh")
    assert spoken("§ 2") == "section two"
