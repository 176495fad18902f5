"""Training text that also stands in the held-out text."""

from asr_analogy.text.leakage import Leak, leaks


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
