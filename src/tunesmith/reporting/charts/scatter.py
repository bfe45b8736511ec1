"""Predicted against actual numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from tunesmith.reporting.charts.axis import Axis
from tunesmith.reporting.charts.svg import dot, frame, lines, percent, tag
from tunesmith.reporting.wording import counted, number

MAX_DOTS = 600
"""More rows than this are drawn as squares of how many fall there."""
BINS = 40


def scatter_chart(actual: Sequence[float], predicted: Sequence[float]) -> Markup:
    """A dot a row, or squares by how many rows there are; the diagonal is where a prediction is right."""
    axis = Axis.around([*actual, *predicted])
    inside = [lines([("diagonal", [(0, 0), (100, 100)])])]
    pairs = [(axis.at(x), axis.at(y)) for x, y in zip(actual, predicted, strict=True)]
    if len(pairs) <= MAX_DOTS:
        titles = (f"actual {number(x)}, predicted {number(y)}" for x, y in zip(actual, predicted, strict=True))
        inside += [dot(x, y, "case", 3.2, title) for (x, y), title in zip(pairs, titles, strict=True)]
    else:
        inside += _squares(pairs)
    return frame(axis, axis, inside, x_title="actual", label="Predicted against actual, a point a test row")


def _squares(pairs: Sequence[tuple[float, float]]) -> list[Markup]:
    size = 100 / BINS
    cells = Counter((min(int(x / size), BINS - 1), min(int(y / size), BINS - 1)) for x, y in pairs)
    most = max(cells.values())
    return [
        tag(
            "rect",
            Markup("<title>{}</title>").format(counted(num, "row")),
            x=percent(column * size),
            y=percent(100 - (row + 1) * size),
            width=percent(size),
            height=percent(size),
            class_="case",
            fill_opacity=round(0.15 + 0.85 * (num / most) ** 0.5, 3),
        )
        for (column, row), num in sorted(cells.items())
    ]
