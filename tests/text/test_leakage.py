"""Training text that also stands in the held-out text."""

from collections.abc import Iterator
from itertools import islice, product

import pytest

from asr_analogy.text.documents import Sentence
from asr_analogy.text.leakage import HeldOut, Leak, leaks


def test_same_sentence_after_normalising() -> None:
    assert leaks(["Nothing.", "It cost $5!"], ["Other", "it cost five dollars"]) == [Leak(1, 1, "same sentence")]


def test_eight_words_in_a_row() -> None:
    train = ["so one two three four five six seven eight ends"]
    assert leaks(train, ["before 1 2 3 4 5 6 7 8"]) == [
        Leak(0, 0, "shares 8 words: 'one two three four five six seven eight'")
    ]
    assert leaks(train, ["before 1 2 3 4 5 6 7 then 8"]) == []


def test_equal_sentences_of_eight_words_are_named_once() -> None:
    text = "one two three four five six seven eight nine"
    assert leaks([text], [text]) == [Leak(0, 0, "same sentence")]


def test_sentences_without_words_never_leak() -> None:
    assert leaks(["...", ""], ["", "?"]) == []
    assert leaks([], ["a"]) == []


def test_every_index_on_both_sides_is_named() -> None:
    found = leaks(iter(["Yes."] * 3), iter(["yes"] * 4))
    assert {leak.train_index for leak in found} == {0, 1, 2}
    assert {leak.held_out_index for leak in found} == {0, 1, 2, 3}


def test_repeated_text_stays_linear() -> None:
    line = "the meeting of the board was called to order at nine"
    assert len(leaks([line] * 2_000, [line] * 2_000)) < 5 * 2_000


def test_short_sentences_leak_as_a_whole_only() -> None:
    train = ["one two three four five six seven eight nine ten", "One, two, three, four, five, six, seven!"]
    assert leaks(train, ["one two three four five six seven"]) == [Leak(1, 0, "same sentence")]
    assert leaks(["one two three four"], ["three four five", "two three four"], run=2) == [
        Leak(0, 0, "shares 2 words: 'three four'"),
        Leak(0, 1, "shares 2 words: 'two three'"),
    ]


def test_sources_are_named() -> None:
    train = [Sentence("Other.", "a.txt:1"), Sentence("The rent is due!", "a.txt:2")]
    held_out = [Sentence("the rent is due", "test.txt:9")]
    assert leaks(train, held_out) == [Leak(1, 0, "same sentence", "a.txt:2", "test.txt:9")]
    assert leaks(["The rent is due"], held_out) == [Leak(0, 0, "same sentence", "", "test.txt:9")]


LONG = "the tenant shall pay the rent on the first of each month"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Yes!", "held out: same sentence as test.txt:2"),
        ("...", None),
        ("no", None),
        (LONG, "held out: same sentence as test.txt:1"),
        (
            f"and {LONG} or so",
            "held out: shares 8 words with test.txt:1: 'the tenant shall pay the rent on the'",
        ),
        (LONG[:31], None),
    ],
)
def test_reason_of_one_sentence(text: str, reason: str | None) -> None:
    index = HeldOut([Sentence(LONG, "test.txt:1"), Sentence("yes", "test.txt:2")])
    assert index.reason(text) == reason
    assert index.reason(text) == reason


def test_reason_without_sources_counts_sentences() -> None:
    assert HeldOut(["no", "yes"]).reason("Yes.") == "held out: same sentence as sentence 1"


def test_training_text_is_streamed() -> None:
    taken = []

    def stream() -> Iterator[str]:
        for number in range(1_000):
            taken.append(number)
            yield "yes" if number == 10 else f"sentence {number}"

    assert next(HeldOut(["yes"]).leaks(stream())).train_index == 10
    assert len(taken) == 11


def test_every_planted_leak_is_found_and_nothing_else() -> None:
    words = ["".join(letters) for letters in islice(product("bcdfghjklmnpqrt", repeat=3), 3_000)]
    held_out = [" ".join(words[start : start + 12]) for start in range(0, 1_200, 12)]
    clean = [" ".join(words[start : start + 12]) for start in range(1_200, 3_000, 12)]
    near = [" ".join([*text.split()[:7], "but", *text.split()[7:11]]) for text in held_out]
    planted = ["so " + " ".join(text.split()[2:10]) + " then" for text in held_out]
    found = leaks([*clean, *near, *planted], held_out)
    assert [(leak.train_index, leak.held_out_index) for leak in found] == [(250 + index, index) for index in range(100)]


def test_repeated_lookups_agree() -> None:
    index = HeldOut(["yes", "Yes."])
    assert list(index.leaks(["yes", "yes"])) == list(index.leaks(["yes", "yes"]))
    assert len(list(index.leaks(["yes", "yes"]))) == 3
