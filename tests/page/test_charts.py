"""Charts are well-formed, say what they show, and draw what they are given where it belongs."""

from xml.etree import ElementTree

import pytest

from asr_analogy.page.charts import Bar, Point, Series, bars, curve, forest, ticks

SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def test_bars_stand_in_proportion_and_whiskers_at_their_ends() -> None:
    root = parsed(
        bars("x", "WER <domain>", "% WER", [Bar("C & co", "c", 20.0, (10.0, 30.0)), Bar("merged", "merged", 5.0)])
    )
    widths = [float(one.get("width", "")[:-1]) for one in root.iter(f"{SVG}rect")]
    assert widths[0] == pytest.approx(4 * widths[1], abs=0.01)
    whisker = next(one for one in root.iter(f"{SVG}line") if one.get("class") == "whisker")
    assert float(whisker.get("x1", "")[:-1]) == pytest.approx(widths[0] / 2, abs=0.01)
    assert float(whisker.get("x2", "")[:-1]) == pytest.approx(widths[0] * 1.5, abs=0.01)
    assert root.find(f"{SVG}title").text == "WER <domain>"  # type: ignore[union-attr]
    assert "C & co: 20.00 % WER, 95 % interval 10.00 to 30.00" in (root.find(f"{SVG}desc").text or "")  # type: ignore[union-attr]
    ids = {one.get("id") for one in root.iter() if one.get("id")}
    assert set(root.get("aria-labelledby", "").split()) == ids


def test_differences_stand_left_and_right_of_zero() -> None:
    root = parsed(
        forest("f", "Difference", "points", [Bar("a", "merged", -2.0, (-3.0, -1.0)), Bar("b", "merged", 1.0)])
    )
    zero = next(one for one in root.iter(f"{SVG}line") if one.get("class") == "zero")
    left, right = (float(one.get("cx", "")[:-1]) for one in root.iter(f"{SVG}circle"))
    assert left < float(zero.get("x1", "")[:-1]) < right


def test_a_curve_goes_up_with_its_values_and_hollow_points_are_told_apart() -> None:
    first = Series("dev", "first", [Point(0.0, 30.0, (29.0, 31.0)), Point(0.5, 20.0), Point(1.0, 40.0, full=False)])
    root = parsed(curve("c", "Scale", "scale", "% WER", [first], 0.5))
    heights = [float(one.get("cy", "")) for one in root.iter(f"{SVG}circle")]
    assert heights[2] < heights[0] < heights[1]
    assert [("hollow" in one.get("class", "")) for one in root.iter(f"{SVG}circle")] == [False, False, True]
    assert any((one.text or "") == "chosen 0.5" for one in root.iter(f"{SVG}text"))
    parsed(curve("c", "Scale", "scale", "% WER", [Series("one", "second", [Point(1.0, 3.0)])], None))


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 41.3) == [0, 10, 20, 30, 40]
    assert ticks(-0.42, 0.11) == [-0.4, -0.3, -0.2, -0.1, 0, 0.1]
    assert ticks(3, 3) == [3]
    assert bars("x", "nothing", "%", [Bar("zero", "base", 0.0)]).count("<rect") == 1
