"""What counts as the same words: one table for English, properties on random text, other languages, a user's spellings."""

import hashlib
import random
from pathlib import Path

import pytest

from asr_analogy.errors import DataError, MissingError, RecipeError
from asr_analogy.text.english_form import VERSION, english
from asr_analogy.text.figures import digit_by_digit
from asr_analogy.text.ideographs import ideographic
from asr_analogy.text.normaliser import generic, normaliser
from asr_analogy.text.preferences import load_preferences
from asr_analogy.text.scoring import count_characters, count_words, total
from asr_analogy.text.spoken import letters, spoken

TABLE = Path(__file__).with_name("normaliser_cases.tsv").read_text(encoding="utf-8").split("\n")[:-1]
CASES = [(written, row.split("\t")[0]) for row in TABLE for written in row.split("\t")[1:]]
OWN = Path(__file__).parents[2] / "data" / "text"
PIECES = [
    *"aZsVIXx $£€%&§-–—.,:'`’“()[]<>/0123456789½²é\u0301ﬁ\u1fef\n@#*_|~^°¶+=İσς日٣",
    "  ",
    "million",
    "bn",
    "th",
    "$1.25",
]
PIECES += [
    "1,000",
    "No. ",
    "v.",
    "U.S.C.",
    "Mr.",
    "SEC",
    "Article IV",
    "Jan. ",
    "5-10",
    "a.m.",
    " 3:30",
    "(ii)",
    "Inc.",
]
PIECES += [
    " oh ",
    " and ",
    " hundred ",
    " point ",
    " twenty ",
    " first ",
    " a ",
    " march ",
    "[laughter]",
    "per",
    "cent",
]
PIECES += [
    " thousand ",
    " st ",
    " co ",
    " v ",
    " U S ",
    "CEOs",
    " e mail ",
    " one ",
    " zero ",
    "'s ",
    "colour",
    "dont ",
]
NUMBERS = "zero one two three nine ten twelve nineteen twenty thirty ninety hundred thousand million billion trillion"
NUMBERS += (
    " first second tenth twentieth hundredth thousandth zeroth and oh o point a half march may january of the x nought"
)


@pytest.mark.parametrize(("written", "expected"), CASES)
def test_english(written: str, expected: str) -> None:
    assert english(written) == expected
    assert english(expected) == expected


def test_the_table_is_large_and_its_rows_differ() -> None:
    forms = [row.split("\t")[0] for row in TABLE]
    assert len(CASES) >= 300 and len(set(forms)) == len(forms)


def test_another_output_needs_another_name() -> None:
    """When this fails, what English scores compare has changed: give VERSION a new name, then write the new digest."""
    digest = hashlib.sha256("\n".join(english(written) for written, _ in CASES).encode()).hexdigest()[:16]
    assert (VERSION, digest) == ("en-2", "e50d1d142fea086a")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("one third", "thirteenth"),
        ("may", "march"),
        ("five hundred and six hundred", "five hundred six"),
        ("it's", "it is"),
        ("can't", "can"),
        ("two dollars", "two pounds"),
        ("1983", "1984"),
        ("4.2 million", "42 million"),
        ("twenty first", "twenty one"),
        ("the estate", "the state"),
        ("oh no", "zero no"),
        ("percent", "per"),
        ("section 4(b)", "section 4(c)"),
        ("he will", "hell"),
        ("affect", "effect"),
        ("uh yes", "yes"),
    ],
)
def test_what_differs_stays_different(one: str, other: str) -> None:
    assert english(one) != english(other)


def test_english_is_idempotent_on_random_text() -> None:
    generator = random.Random(0)
    for number in range(4_000):
        text = "".join(generator.choices(PIECES, k=(3, 6, 10)[number % 3]))
        assert english(english(text)) == english(text), ascii(text)


def test_numbers_are_idempotent_on_random_words() -> None:
    generator = random.Random(1)
    for number in range(8_000):
        words = generator.choices(NUMBERS.split(), k=(3, 5, 8, 12)[number % 4])
        assert digit_by_digit(digit_by_digit(words)) == digit_by_digit(words), words


def test_every_number_compares_equal_to_its_words() -> None:
    generator = random.Random(2)
    for size in range(1, 13):
        for _ in range(40):
            value = str(generator.randrange(10 ** (size - 1), 10**size))
            grouped = f"{int(value):,}"
            assert (
                english(f"about {grouped} shares")
                == english(f"about {value} shares")
                == english(spoken(f"about {grouped} shares"))
            ), value


def test_the_spoken_form_of_our_own_text_scores_nothing() -> None:
    files = sorted(OWN.glob("*.txt"))
    assert len(files) == 9
    for file in files:
        for text in file.read_text(encoding="utf-8").splitlines():
            assert english(spoken(text)) == english(text), text
            assert english(letters(text, "'abcdefghijklmnopqrstuvwxyz")) == english(text), text


def test_a_slip_in_one_word_costs_about_one_error() -> None:
    """Why numbers are read digit by digit: other forms rebuild the whole number from what is left."""
    reference = "docket twenty one twelve thirty four in nineteen eighty three"
    for heard in ("docket twenty one twelve dirty four in nineteen eighty three", reference.replace("eighty", "eight")):
        assert total(count_words([reference], [heard])).errors <= 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("¿Qué pasó, señor?", "qué pasó señor"),
        ("L’été, c'est 'bien' — non ?", "l'été c'est bien non"),
        ("Straße\u00ad 12,5 %", "straße 12 5"),
        ("यह हिन्दी है।", "यह हिन्दी है"),
        ("<unk> ÖL<|de|>", "öl"),
        ("", ""),
    ],
)
def test_generic(text: str, expected: str) -> None:
    assert generic(text) == expected == normaliser("fr")(text)


@pytest.mark.parametrize(
    ("forms", "expected"),
    [
        (("一千九百八十三", "1,983", "1983", "１９８３"), "1983"),
        (("百分之五点五", "5.5%", "5.5 %"), "百分之5点5"),
        (("二〇二一年三月", "2021年3月", "二零二一年 三月"), "2021年3月"),
        (("三百万元", "300万元", "3,000,000元"), "3000000元"),
        (("两千零五", "2005", "二千零五"), "2005"),
        (("十五个", "15个", "一十五个"), "15个"),
        (("三点五亿", "3.5亿"), "3点500000000"),
        (("万一", "万 一"), "万1"),
        (("今天，天气很好！", "今天天气很好", "今 天 天 气 很 好"), "今天天气很好"),
        (("ＡＢＣ公司", "ABC 公司"), "abc公司"),
        (("スーパー、です。", "ｽｰﾊﾟｰです"), "スーパーです"),
    ],
)
def test_ideographic(forms: tuple[str, ...], expected: str) -> None:
    assert {ideographic(form) for form in forms} == {expected}
    assert ideographic(expected) == expected == normaliser("zh-CN")(forms[0]) == normaliser("ja")(forms[0])


def test_other_languages_are_idempotent_on_random_text() -> None:
    generator = random.Random(3)
    pieces = [*"一二十百千万亿兆零〇两点.,%5 3，。abＡ年'’éd\u0301अक्षि½İßΣς\u200d١", "百分之", "<unk>"]
    for number in range(6_000):
        text = "".join(generator.choices(pieces, k=(3, 6, 9)[number % 3]))
        for form in (ideographic, generic):
            assert form(form(text)) == form(text), ascii(text)


def test_the_language_chooses() -> None:
    names = {language: normaliser(language).name for language in ("en", "en_GB", "EN-us", "zh", "ja", "de", "th")}
    assert names == dict.fromkeys(("en", "en_GB", "EN-us"), "en-2") | {
        "zh": "cjk-1", "ja": "cjk-1", "de": "unicode-1", "th": "unicode-1"
    }  # fmt: skip
    assert [normaliser(language).by_character for language in ("en", "zh", "ja", "de", "th")] == [0, 1, 1, 0, 1]
    counts = count_characters(["三百元"], ["300 元"], normaliser("zh"))
    assert total(counts).errors == 0 and total(counts).words == 4


def test_preferences_on_both_sides(tmp_path: Path) -> None:
    table = tmp_path / "own.tsv"
    table.write_text("# ours\nhealth care\thealthcare\nU.S. DOJ\tthe DOJ\num\t\n", encoding="utf-8")
    ours = normaliser("en", table)
    assert ours("Um, Health Care at the U.S. DOJ") == "healthcare at the the doj" == ours("healthcare at the the DOJ")
    assert ours("healthcares") == "healthcares"
    mapping = tmp_path / "own.yaml"
    mapping.write_text("health care: healthcare\nU.S. DOJ: the DOJ\num: ''\n", encoding="utf-8")
    assert normaliser("en", mapping).name == ours.name != "en-2" and ours.name.startswith("en-2+")
    table.write_text("health care\thealthcare\n", encoding="utf-8")
    assert normaliser("en", table).name != ours.name
    chinese = tmp_path / "zh.tsv"
    chinese.write_text("台灣\t台湾\n", encoding="utf-8")
    assert normaliser("zh", chinese)("在台灣。") == "在台湾"


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("a.tsv", "one\n", DataError, "a.tsv:1: 1 columns"),
        ("a.tsv", "a b\tc\n...\tx\n", DataError, "a.tsv:2: '...' holds no word"),
        ("a.tsv", "foo\tbar\nFoo\tbaz\n", DataError, "a.tsv:2: 'Foo' has another form in line 1"),
        ("a.tsv", "foo\tbar\nbar\tbaz\n", DataError, "a.tsv:1: the preferred form 'bar' holds a written form"),
        ("a.yaml", "- a\n", DataError, "a.yaml:1: not a mapping"),
        ("a.yaml", "a: [b]\n", DataError, "a.yaml:1: not a pair"),
        ("a.yaml", "a: 'b\n", DataError, "write written: preferred"),
        ("a.txt", "a\tb\n", RecipeError, "rename it"),
    ],
)
def test_bad_preferences(tmp_path: Path, name: str, text: str, error: type[Exception], message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        load_preferences(tmp_path / name, english)
    with pytest.raises(MissingError, match="no such file"):
        load_preferences(tmp_path / "none.tsv", english)
