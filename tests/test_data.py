"""Our own sentences keep the promises of data/text/README.md."""

import re
from pathlib import Path

import pytest

from asr_analogy.text.documents import read_sentences
from asr_analogy.text.leakage import leaks
from asr_analogy.text.scoring import normalise

TEXT = Path(__file__).parent.parent / "data/text"
NAMES = ("general", "legal", "finance")
LEAST = {"general": 1500, "legal": 600, "finance": 600}


def sentences(name: str, part: str) -> list[str]:
    return [sentence.text for sentence in read_sentences(TEXT / f"{name}.{part}.txt")]


@pytest.mark.parametrize("name", NAMES)
def test_enough_sentences_and_none_twice(name: str) -> None:
    found = [text for part in ("train", "dev", "test") for text in sentences(name, part)]
    assert len(found) >= LEAST[name]
    assert len({normalise(text) for text in found}) == len(found)
    assert all(text.isascii() and text[-1] in ".?!" and not re.search(r"\d", text) for text in found)


@pytest.mark.parametrize("name", NAMES)
def test_no_frame_is_filled_again_and_again(name: str) -> None:
    found = [normalise(text).split() for part in ("train", "dev", "test") for text in sentences(name, part)]
    openings: dict[tuple[str, ...], int] = {}
    for words in found:
        openings[tuple(words[:4])] = openings.get(tuple(words[:4]), 0) + 1
    assert max(openings.values()) <= 3


@pytest.mark.parametrize("held_out", ["dev", "test"])
def test_nothing_leaks_from_train_into_held_out_text(held_out: str) -> None:
    train = [text for name in NAMES for text in sentences(name, "train")]
    assert not leaks(train, [text for name in NAMES for text in sentences(name, held_out)])
