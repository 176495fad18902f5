"""The words of numbers."""

import pytest

from asr_analogy.text.numbers import amount, cardinal, fraction, label, ordinal, roman, short_year, year
from asr_analogy.text.spoken import digits_as_words, symbols_as_words


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
    ("digits", "expected"),
    [
        ("1066", "ten sixty six"),
        ("1900", "nineteen hundred"),
        ("1907", "nineteen oh seven"),
        ("2000", "two thousand"),
        ("2009", "two thousand nine"),
        ("2010", "twenty ten"),
    ],
)
def test_year(digits: str, expected: str) -> None:
    assert year(digits) == expected


def test_short_year() -> None:
    assert short_year("49") == "twenty forty nine"
    assert short_year("50") == "nineteen fifty"
    assert short_year("1850") == "eighteen fifty"


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("7", "seven"),
        ("07", "zero seven"),
        ("101", "one oh one"),
        ("113", "one thirteen"),
        ("230", "two thirty"),
        ("500", "five hundred"),
        ("1001", "ten oh one"),
        ("1000", "one thousand"),
        ("1200", "twelve hundred"),
        ("2001", "two thousand one"),
        ("2255", "twenty two fifty five"),
        ("0123", "zero one two three"),
        ("10101", "one zero one zero one"),
    ],
)
def test_label(digits: str, expected: str) -> None:
    assert label(digits) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1,250.05", "one thousand two hundred fifty point zero five"),
        ("1,000,000,000,000,000", "one quadrillion"),
        ("9" * 5_000, " ".join(["nine"] * 5_000)),
        ("1234567", "one million two hundred thirty four thousand five hundred sixty seven"),
        ("12345678", "one two three four five six seven eight"),
        (".75", "point seven five"),
    ],
)
def test_amount(written: str, expected: str) -> None:
    assert amount(written) == expected


def test_fraction() -> None:
    assert [fraction(*pair) for pair in (("1", "2"), ("3", "4"), ("2", "3"), ("1", "100"))] == [
        "one half",
        "three quarters",
        "two thirds",
        "one one hundredth",
    ]


def test_roman() -> None:
    signs = ["I", "iv", "VIII", "IX", "XIV", "XXXIX", "", "IIII", "VX", "XL", "IC"]
    assert [roman(sign) for sign in signs] == [1, 4, 8, 9, 14, 39, None, None, None, None, None]
    assert len({roman(sign) for sign in ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI")}) == 11


@pytest.mark.parametrize(
    ("text", "expected"),
    [
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
        ("§ 4.2, §§ 5-6", "section 4.2, sections 5-6"),
        ("§4(b)", "section 4(b)"),
        ("AT&T", "AT and T"),
    ],
)
def test_the_scorer_keeps_its_own_reading(text: str, expected: str) -> None:
    """The scorer's version depends on these two, whatever the voice says."""
    assert " ".join(symbols_as_words(text).split()) == expected


def test_the_scorer_reads_plain_numbers() -> None:
    assert digits_as_words("in 1999, Q3") == "in one thousand nine hundred ninety nine, Q three"
