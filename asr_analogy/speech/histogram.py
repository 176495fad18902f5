"""Histograms of a measure, several groups over common bins, as a small SVG that needs nothing but itself."""

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np

BINS = 24
WIDTH, HEIGHT = 500, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 62, 46
"""Margins around the axes, in pixels."""
COLOURS = ("#7f7f7f", "#1f77b4", "#d95f02")
"""Of the groups in order; the first, what the others are compared with, is filled."""


def edges(groups: Mapping[str, Sequence[float]]) -> list[float]:
    """Borders of BINS common bins that hold all values but the outermost 0.5 % at each end; nan is left out."""
    values = np.concatenate([np.asarray(values, dtype=np.float64) for values in groups.values()])
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, [0.5, 99.5]) if len(values) else (0.0, 1.0)
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    return [float(round(edge, 6)) for edge in np.linspace(low, high, BINS + 1)]


def shares(values: Sequence[float], borders: Sequence[float]) -> list[float]:
    """Percent of `values` in every bin; what lies outside is counted in the outermost bins, nan nowhere."""
    found = np.asarray(values, dtype=np.float64)
    found = found[np.isfinite(found)]
    counts, _ = np.histogram(np.clip(found, borders[0], borders[-1]), borders)
    return [round(float(100 * count / max(len(found), 1)), 3) for count in counts]


def svg(title: str, unit: str, borders: Sequence[float], groups: Mapping[str, Sequence[float]]) -> str:
    """The picture: `groups` holds the `shares` of each group by the name that the legend gives it."""
    top = max(max(values, default=0.0) for values in groups.values()) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="18" font-size="13" font-weight="bold">{html.escape(f"{title} ({unit})")}</text>',
        *_legend(list(groups)),
        *_axes(borders, top, unit),
    ]
    for number, values in enumerate(groups.values()):
        colour = COLOURS[number % len(COLOURS)]
        fill = f'fill="{colour}" fill-opacity="0.35"' if number == 0 else 'fill="none"'
        parts.append(f'<path d="{_outline(values, top)}" {fill} stroke="{colour}" stroke-width="1.6"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _outline(values: Sequence[float], top: float) -> str:
    """The steps of a histogram, from the axis up and back to it."""
    places = [_across(number / len(values)) for number in range(len(values) + 1)]
    path = [f"M{places[0]:.1f} {_up(0):.1f}"]
    for value, right in zip(values, places[1:], strict=True):
        path.append(f"V{_up(value / top):.1f} H{right:.1f}")
    return " ".join([*path, f"V{_up(0):.1f}"])


def _legend(names: Sequence[str]) -> list[str]:
    found, place = [], float(LEFT)
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        found.append(f'<rect x="{place:.0f}" y="30" width="12" height="10" fill="{colour}"/>')
        found.append(f'<text x="{place + 16:.0f}" y="39">{html.escape(name)}</text>')
        place += 30 + 6.0 * len(name)
    return found


def _axes(borders: Sequence[float], top: float, unit: str) -> list[str]:
    bottom, low, high = _up(0), borders[0], borders[-1]
    found = [f'<path d="M{LEFT} {TOP} V{bottom:.1f} H{WIDTH - RIGHT}" fill="none" stroke="#333333"/>']
    for value in _ticks(low, high):
        x = _across((value - low) / (high - low))
        found.append(f'<path d="M{x:.1f} {bottom:.1f} v4" stroke="#333333"/>')
        found.append(f'<text x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{value:g}</text>')
    for value in _ticks(0, top, 4):
        y = _up(value / top)
        found.append(f'<path d="M{LEFT} {y:.1f} H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        found.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    found.append(f'<text x="{middle:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{html.escape(unit)}</text>')
    found.append(f'<text x="{LEFT - 6}" y="{TOP - 8}" text-anchor="middle">% of clips</text>')
    return found


def _ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers between `low` and `high`, about `most` of them."""
    rough = (high - low) / most
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [round(number * step, 10) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _across(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _up(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
