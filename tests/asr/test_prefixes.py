"""The search among prefixes against all paths that there are."""

from itertools import product

import numpy as np
import pytest

from asr_analogy.asr.prefixes import prefix_search


def collapsed(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    kept = [token for index, token in enumerate(path) if index == 0 or token != path[index - 1]]
    return tuple(token for token in kept if token != blank)


def likeliest(scores: np.ndarray, blank: int) -> tuple[int, ...]:
    """By the sum over every path that spells a text."""
    found: dict[tuple[int, ...], float] = {}
    for path in product(range(scores.shape[1]), repeat=len(scores)):
        text = collapsed(path, blank)
        found[text] = found.get(text, 0.0) + float(np.exp(scores[range(len(scores)), path].sum()))
    return max(found, key=lambda text: found[text])


@pytest.mark.parametrize("blank", [0, 2])
def test_it_is_exact_where_every_prefix_is_kept(blank: int) -> None:
    differs = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        frames, letters = random.integers(1, 6), random.integers(3, 5)
        scores = np.log(random.dirichlet(np.full(letters, 0.7), frames))
        found = tuple(prefix_search(scores, blank, 1000))
        assert found == likeliest(scores, blank)
        differs += found != collapsed(tuple(scores.argmax(1)), blank)
    assert differs > 5  # what is likeliest frame by frame is not the likeliest text


def test_the_textbook_case() -> None:
    """Hannun's: blank wins both frames, yet `a` is likelier than nothing."""
    scores = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    assert prefix_search(scores, 0, 2) == [1]


def test_a_letter_twice_needs_a_blank_and_impossible_letters_stay_out() -> None:
    with np.errstate(divide="ignore"):
        twice = np.log(np.array([[0, 1.0], [1.0, 0], [0, 1.0]]))
        once = np.log(np.array([[0, 1.0], [0, 1.0], [0, 1.0]]))
    assert prefix_search(twice, 0, 4) == [1, 1] and prefix_search(once, 0, 4) == [1]
    assert prefix_search(np.zeros((0, 3)), 0, 4) == []
