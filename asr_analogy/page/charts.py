"""Charts as inline SVG: bars, a curve, differences around zero. Widths are in percent, so that text never shrinks.

Colours come from the page's style sheet by class; every number drawn is also in a table beside the picture.
"""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Ends = tuple[float, float]


@dataclass(frozen=True)
class Bar:
    """One bar: its name, its class of colour, its value and the ends of its interval, if it has one."""

    name: str
    kind: str
    value: float
    ends: Ends | None = None


@dataclass(frozen=True)
class Point:
    """One point of a curve; `full` ones are filled."""

    x: float
    y: float
    ends: Ends | None = None
    full: bool = True


@dataclass(frozen=True)
class Series:
    """A curve: its name, its class (`first` or `second`) and its points by rising x."""

    name: str
    kind: str
    points: Sequence[Point]


ROW, THICK = 46, 14
"""Height of a bar's row and of the bar, in pixels."""


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, at most about `most`; one number if the two are equal."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next((size * factor for factor in (1, 2, 5) if size * factor >= rough * 0.999), size * 10)
    return [round(number * step, 10) for number in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def bars(name: str, title: str, unit: str, rows: Sequence[Bar], top: float | None = None) -> str:
    """Horizontal bars from zero with intervals as whiskers; `top` is the largest value of the axis."""
    most = top or max([bar.ends[1] if bar.ends else bar.value for bar in rows], default=0.0)
    marks = ticks(0, most or 1.0)
    full = max(most, marks[-1]) * 1.02 or 1.0
    height = ROW * len(rows) + 26
    parts = [*_open(name, title, _said(rows, unit), height)]
    for value in marks:
        parts += _mark(100 * value / full, f"{value:g}", 20, height - 22)
    for number, bar in enumerate(rows):
        y, wide = ROW * number + 24, 100 * bar.value / full
        parts.append(f'<text x="0" y="{y - 6}" class="name">{html.escape(bar.name)}</text>')
        spread = f'<tspan class="soft">  {bar.ends[0]:.1f} to {bar.ends[1]:.1f}</tspan>' if bar.ends else ""
        parts.append(f'<text x="100%" y="{y - 6}" class="value">{bar.value:.2f} %{spread}</text>')
        parts.append(f'<rect x="0" y="{y}" width="{wide:.3f}%" height="{THICK}" rx="2" class="bar {bar.kind}"/>')
        if bar.ends:
            low, high = (100 * end / full for end in bar.ends)
            parts += _whisker(low, high, y + THICK / 2)
    return "\n".join([*parts, "</svg>"])


def forest(name: str, title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Differences with their intervals around a line at zero; left of it is better."""
    ends = [end for bar in rows for end in (*(bar.ends or (bar.value, bar.value)), 0.0)]
    low, high = min(ends), max(ends)
    margin = 0.06 * (high - low) or 1.0
    low, high = low - margin, high + margin
    height = ROW * len(rows) + 26

    def across(value: float) -> float:
        return 100 * (value - low) / (high - low)

    parts = [*_open(name, title, _said(rows, unit), height)]
    for value in ticks(low, high):
        parts += _mark(
            across(value),
            f"{value:+g}".replace("-", "\N{MINUS SIGN}") if value else "0",
            20,
            height - 22,
            zero=value == 0,
        )
    for number, bar in enumerate(rows):
        y = ROW * number + 24
        parts.append(f'<text x="0" y="{y - 6}" class="name">{html.escape(bar.name)}</text>')
        spread = f'<tspan class="soft">  {_signed(bar.ends[0])} to {_signed(bar.ends[1])}</tspan>' if bar.ends else ""
        parts.append(f'<text x="100%" y="{y - 6}" class="value">{_signed(bar.value)}{spread}</text>')
        if bar.ends:
            parts += _whisker(across(bar.ends[0]), across(bar.ends[1]), y + THICK / 2)
        parts.append(f'<circle cx="{across(bar.value):.3f}%" cy="{y + THICK / 2}" r="5" class="dot {bar.kind}"/>')
    return "\n".join([*parts, "</svg>"])


def curve(name: str, title: str, axis: str, unit: str, series: Sequence[Series], chosen: float | None) -> str:
    """Curves over one axis, round marks for the first and square ones for the second; `chosen` is a dashed line."""
    points = [point for one in series for point in one.points]
    left, right = min(point.x for point in points), max(point.x for point in points)
    ends = [end for point in points for end in point.ends or (point.y, point.y)]
    marks = ticks(min(ends), max(ends) if max(ends) > min(ends) else min(ends) + 1)
    low, high = min([*ends, *marks]), max([*ends, *marks])
    height, over, under = 300, 34, 44

    def across(value: float) -> float:
        return 9 + 87 * ((value - left) / (right - left) if right > left else 0.5)

    def up(value: float) -> float:
        return over + (height - over - under) * (1 - ((value - low) / (high - low) if high > low else 0.5))

    parts = [*_open(name, title, _read(series, axis, unit), height)]
    for value in marks:
        parts.append(f'<line x1="6%" x2="100%" y1="{up(value):.1f}" y2="{up(value):.1f}" class="grid"/>')
        parts.append(f'<text x="5%" y="{up(value) + 4:.1f}" class="tick end">{value:g}</text>')
    for value in sorted({point.x for point in points}):
        parts.append(f'<text x="{across(value):.2f}%" y="{height - under + 20}" class="tick mid">{value:g}</text>')
    parts.append(f'<text x="52%" y="{height - 6}" class="tick mid">{html.escape(axis)}</text>')
    if chosen is not None:
        x = f"{across(chosen):.2f}%"
        parts.append(f'<line x1="{x}" x2="{x}" y1="{over - 6}" y2="{height - under}" class="chosen"/>')
        parts.append(f'<text x="{x}" y="{over - 12}" class="tick mid strong">chosen {chosen:g}</text>')
    for one in series:
        parts += _line(one, across, up)
        last = one.points[-1]
        place = f'x="{across(last.x):.2f}%" y="{up(last.y) - 11:.1f}"'
        parts.append(f'<text {place} class="tick strong mid">{html.escape(one.name)}</text>')
    return "\n".join([*parts, "</svg>"])


def _signed(value: float, places: int = 2) -> str:
    """A difference with its sign, and a real minus."""
    return f"{value:+.{places}f}".replace("-", "\N{MINUS SIGN}")


def _line(one: Series, across: Callable[[float], float], up: Callable[[float], float]) -> list[str]:
    places = [(across(point.x), up(point.y)) for point in one.points]
    parts = [
        f'<line x1="{a:.2f}%" y1="{b:.1f}" x2="{c:.2f}%" y2="{d:.1f}" class="path {one.kind}"/>'
        for (a, b), (c, d) in zip(places, places[1:], strict=False)
    ]
    for (x, y), point in zip(places, one.points, strict=True):
        if point.ends:
            low, high = up(point.ends[0]), up(point.ends[1])
            parts.append(
                f'<line x1="{x:.2f}%" x2="{x:.2f}%" y1="{low:.1f}" y2="{high:.1f}" class="spread {one.kind}"/>'
            )
        state = one.kind if point.full else f"{one.kind} hollow"
        parts.append(
            f'<circle cx="{x:.2f}%" cy="{y:.1f}" r="5" class="dot {state}"/>'
            if one.kind == "first"
            else f'<rect x="{x:.2f}%" y="{y - 4.5:.1f}" width="9" height="9" transform="translate(-4.5)" class="dot {state}"/>'
        )
    return parts


def _open(name: str, title: str, text: str, height: float) -> list[str]:
    return [
        f'<svg class="chart" role="img" aria-labelledby="{name}-t {name}-d" width="100%" height="{height:.0f}">',
        f'<title id="{name}-t">{html.escape(title)}</title>',
        f'<desc id="{name}-d">{html.escape(text)}</desc>',
    ]


def _mark(x: float, text: str, top: float, bottom: float, zero: bool = False) -> list[str]:
    kind = "start" if x < 2 else "end" if x > 98 else "mid"
    return [
        f'<line x1="{x:.3f}%" x2="{x:.3f}%" y1="{top}" y2="{bottom}" class="{"zero" if zero else "grid"}"/>',
        f'<text x="{x:.3f}%" y="{bottom + 16}" class="tick {kind}">{text}</text>',
    ]


def _whisker(low: float, high: float, y: float) -> list[str]:
    caps = [f'<line x1="{x:.3f}%" x2="{x:.3f}%" y1="{y - 4}" y2="{y + 4}" class="whisker"/>' for x in (low, high)]
    return [f'<line x1="{low:.3f}%" x2="{high:.3f}%" y1="{y}" y2="{y}" class="whisker"/>', *caps]


def _said(rows: Sequence[Bar], unit: str) -> str:
    """What a listener hears of bars."""
    parts = []
    for bar in rows:
        spread = f", 95 % interval {bar.ends[0]:.2f} to {bar.ends[1]:.2f}" if bar.ends else ""
        parts.append(f"{bar.name}: {bar.value:.2f} {unit}{spread}")
    return "; ".join(parts) + "."


def _read(series: Sequence[Series], axis: str, unit: str) -> str:
    return " ".join(
        f"{one.name}, {unit} by {axis}: " + ", ".join(f"{point.x:g}: {point.y:.2f}" for point in one.points) + "."
        for one in series
    )
