"""The voice's text and the letters of a CTC vocabulary."""

import random

import pytest

from asr_analogy.errors import DataError
from asr_analogy.text.spoken import LONGEST, cardinal, letters, ordinal, spoken, unspeakable

UPPER = "'ABCDEFGHIJKLMNOPQRSTUVWXYZ|"

SPOKEN = [
    ("$1.25 million", "1.25 million dollars"),
    ("a $1 fee", "a 1 dollar fee"),
    ("$5.50 a share", "5 dollars and 50 cents a share"),
    ("£0.01", "1 penny"),
    ("€1,250.00", "1,250 euros"),
    ("US$5bn", "US 5 billion dollars"),
    ("$5-10 million", "5 to 10 million dollars"),
    ("5€", "5 euros"),
    ("4.2% & rising", "4.2 percent and rising"),
    ("-5%", "minus 5 percent"),
    ("§ 4.2, §§ 5–6", "section 4.2, sections 5-6"),
    ("§4(b)", "section 4(b)"),
    ("AT&T", "AT and T"),
    ("“It’s” —  he said", '"It\'s" - he said'),
    ("ﬁling\u00a02½\u200b", "filing 2 1/2"),
    ("a\x00b\tc\n", "a b c"),
]


@pytest.mark.parametrize(("text", "expected"), SPOKEN)
def test_spoken_says_symbols_and_keeps_digits(text: str, expected: str) -> None:
    assert spoken(text) == expected


@pytest.mark.parametrize("text", [text for text, _ in SPOKEN])
def test_letters_and_spoken_are_idempotent(text: str) -> None:
    assert spoken(spoken(text)) == spoken(text)
    assert letters(letters(text, UPPER), UPPER) == letters(text, UPPER)


def test_idempotent_on_random_text() -> None:
    generator = random.Random(0)
    pieces = [*"aZs $£€%&§-–—−.,:'`’“()[]/019½²é\u0301ﬁ\u1fef＄\n", "million", "bn", "th", "$1.25", "1,000"]
    for _ in range(5_000):
        text = "".join(generator.choices(pieces, k=6))
        assert spoken(spoken(text)) == spoken(text), ascii(text)
        assert letters(letters(text, UPPER), UPPER) == letters(text, UPPER), ascii(text)


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("0", "zero"),
        ("10", "ten"),
        ("21", "twenty one"),
        ("105", "one hundred five"),
        ("1000", "one thousand"),
        ("1999", "one thousand nine hundred ninety nine"),
        ("1000001", "one million one"),
        (
            "999999999999",
            "nine hundred ninety nine billion nine hundred ninety nine million nine hundred ninety nine thousand "
            "nine hundred ninety nine",
        ),
        ("1000000000000", "one" + " zero" * 12),
        ("007", "zero zero seven"),
    ],
)
def test_cardinal(digits: str, expected: str) -> None:
    assert cardinal(digits) == expected


def test_cardinals_are_all_different() -> None:
    assert len({cardinal(str(number)) for number in range(20_000)}) == 20_000


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("1", "first"),
        ("2", "second"),
        ("3", "third"),
        ("4", "fourth"),
        ("5", "fifth"),
        ("8", "eighth"),
        ("9", "ninth"),
        ("12", "twelfth"),
        ("14", "fourteenth"),
        ("20", "twentieth"),
        ("21", "twenty first"),
        ("100", "one hundredth"),
        ("112", "one hundred twelfth"),
        ("1000", "one thousandth"),
        ("0", "zeroth"),
    ],
)
def test_ordinal(digits: str, expected: str) -> None:
    assert ordinal(digits) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop!", "DON'T STOP"),
        ("'quoted' words", "QUOTED WORDS"),
        ("$1.25 million", "ONE POINT TWO FIVE MILLION DOLLARS"),
        ("the 3rd of 1,250", "THE THIRD OF ONE THOUSAND TWO HUNDRED FIFTY"),
        ("Section 4.2.1(b)", "SECTION FOUR POINT TWO POINT ONE B"),
        ("Q3 at 9pm", "Q THREE AT NINE PM"),
        ("naïve café — €5|x", "NAIVE CAFE FIVE EUROS X"),
        ("12,34 and .5", "TWELVE THIRTY FOUR AND POINT FIVE"),
        ("日本", ""),
    ],
)
def test_letters(text: str, expected: str) -> None:
    assert letters(text, UPPER) == expected


def test_letters_follows_the_alphabet() -> None:
    assert letters("Mr. Bell", "abcdefghijklmnopqrstuvwxyz") == "mr bell"
    assert letters("don't", "DONT") == "DON T"
    assert letters("naïve", UPPER + "Ï") == "NAÏVE"
    with pytest.raises(DataError, match="holds no letter"):
        letters("text", "|' ")


def test_unspeakable() -> None:
    assert unspeakable("§") is None
    assert unspeakable("Yes.") is None
    assert unspeakable("...") == "no letter or digit"
    assert unspeakable("") == "no letter or digit"
    assert unspeakable("a" * LONGEST) is None
    assert unspeakable("a" * (LONGEST + 1)) == "longer than 600 characters (601)"
