"""On which side of its mark a name stands, so that names lie neither over each other nor over marks, as far as there is room."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

WIDTH, HEIGHT = 600, 280
"""Pixels of the drawing area of a chart of usual size; a wider one has more room, a phone's less."""
_CHARACTER, _LINE, _MARK = 6.5, 16.0, 14.0
_SIDES = tuple(f"{v} {h}" for v, h in (
    ("top", "center"), ("bottom", "center"), ("middle", "right"), ("middle", "left"),
    ("top", "right"), ("top", "left"), ("bottom", "right"), ("bottom", "left"),
))  # fmt: skip

Box = tuple[float, float, float, float]
"""left, bottom, right, top"""


def pixels(values: Sequence[float], axis: Any, length: int) -> list[float]:
    """Where values lie on a Plotly axis that has its range, were it of this length."""
    first, last = axis.range
    return [length * ((math.log10(v) if axis.type == "log" else v) - first) / (last - first) for v in values]


def sides(x: Sequence[float], y: Sequence[float], names: Sequence[str]) -> list[str]:
    """Plotly's `textposition` of each name: the first side on which it covers nothing, else the one on which it covers least.

    x, y: of the marks, in pixels. A name that is not shown is empty.
    """
    taken = [_around(px, py, _MARK, _MARK) for px, py in zip(x, y, strict=True)]
    found = {}
    for i in sorted(range(len(names)), key=lambda i: (x[i], y[i])):
        boxes = {side: _box(side, x[i], y[i], _CHARACTER * len(names[i])) for side in _SIDES}
        found[i] = min(_SIDES, key=lambda side: _covered(boxes[side], taken))
        if names[i]:
            taken.append(boxes[found[i]])
    return [found[i] for i in range(len(names))]


def _box(side: str, x: float, y: float, width: float) -> Box:
    vertical, horizontal = side.split()
    up = {"top": 1, "middle": 0, "bottom": -1}[vertical]
    along = {"left": -1, "center": 0, "right": 1}[horizontal]
    return _around(x + along * (width + _MARK) / 2, y + up * (_LINE + _MARK) / 2, width, _LINE)


def _around(x: float, y: float, width: float, height: float) -> Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _covered(box: Box, taken: Sequence[Box]) -> float:
    """Area of what is covered, and of what lies beyond the chart's ends."""
    left, bottom, right, top = box
    over = sum(max(0.0, min(right, ri) - max(left, le)) * max(0.0, min(top, hi) - max(bottom, lo)) for le, lo, ri, hi in taken)
    return over + _LINE * (max(0.0, -left) + max(0.0, right - WIDTH))
