"""Searches along known curves, and the formulas against numbers worked out by hand."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from asr_analogy.errors import DataError
from asr_analogy.vectors.coefficients import GRID, HIGHEST, best, metagpt, most, search, shrinkage, square
from asr_analogy.vectors.difference import Difference


@settings(max_examples=200, deadline=None)
@given(lowest=st.floats(0, HIGHEST), steep=st.floats(0.1, 10), power=st.sampled_from([1.0, 2.0, 4.0]))
def test_a_convex_curve_s_lowest_point_is_found(lowest: float, steep: float, power: float) -> None:
    trials = search(lambda scale: 5 + steep * abs(scale - lowest) ** power)
    assert abs(best(trials).scale - lowest) <= 0.25 * 0.62**3
    assert len(trials) <= most() and len({trial.scale for trial in trials}) == len(trials)


@settings(max_examples=100, deadline=None)
@given(shallow=st.floats(0, 0.3), deep=st.floats(0.7, 1.2), gap=st.floats(1.0, 5.0))
def test_of_two_valleys_the_deeper_is_found(shallow: float, deep: float, gap: float) -> None:
    def error(scale: float) -> float:
        return min(10 + 20 * (scale - shallow) ** 2, 10 - gap + 20 * (scale - deep) ** 2)

    assert abs(best(search(error)).scale - deep) <= 0.07


def test_ties_go_to_the_smaller_scale_and_what_is_not_allowed_is_never_the_best() -> None:
    assert best(search(lambda _: 1.0)).scale == 0.0
    trials = search(lambda scale: math.inf if scale > 0.6 else 10 - scale)
    assert 0.5 <= best(trials).scale <= 0.6 and best(trials).error < math.inf
    assert max(trial.scale for trial in trials) == GRID[-1]
    assert max(trial.scale for trial in search(lambda scale: -scale)) == HIGHEST
    assert max(trial.scale for trial in search(lambda scale: -scale, (0.0, 0.5, 1.0), 1.0)) == 1.0


def test_metagpt_by_hand() -> None:
    assert metagpt([9.0, 1.0]) == [0.9, 0.1]
    assert metagpt([2.0, 3.0, 5.0]) == [0.2, 0.3, 0.5]
    with pytest.raises(DataError, match="all task vectors are zero"):
        metagpt([0.0, 0.0])


def vector(folder: Path, name: str, **tensors: list[float]) -> Difference:
    """The vector that leads from zeros to `tensors`."""
    for place, values in ((name, tensors), (f"{name}-zero", {key: [0.0] * len(row) for key, row in tensors.items()})):
        (folder / place).mkdir()
        save_file({key: torch.tensor(row) for key, row in values.items()}, folder / place / "model.safetensors")
    return Difference.between(folder / f"{name}-zero", folder / name)


def test_shrinkage_by_hand(tmp_path: Path) -> None:
    """Cosine 0.6 of two vectors: t = 2 * 0.6 / 1.6 = 0.75; the same twice: 1; apart: 0."""
    one = vector(tmp_path, "one", a=[1.0, 0.0], b=[2.0, 0.0], c=[1.0, 0.0])
    two = vector(tmp_path, "two", a=[0.6, 0.8], b=[2.0, 0.0], c=[-1.0, 0.0])
    shares, whole = shrinkage({"one": one, "two": two})
    assert shares == pytest.approx({"a": 0.75, "b": 1.0, "c": 0.0})
    # means: a (0.8, 0.4), square 0.8; b (2, 0), square 4; c zero
    assert whole == pytest.approx(math.sqrt((0.75**2 * 0.8 + 4) / 4.8))
    assert square(one) == pytest.approx(6.0)
    assert square(one, lambda name: 2.0 if name == "a" else 0.0) == pytest.approx(4.0)
    other = vector(tmp_path, "other", a=[1.0, 0.0])
    with pytest.raises(DataError, match="other: holds other tensors than one"):
        shrinkage({"one": one, "other": other})
