"""Curves of a training: many steps as a line, few validations as a line with dots, the best one marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tunesmith.reporting.charts.axis import Axis
from tunesmith.reporting.charts.svg import dot, frame, lines, percent, tag

MAX_POINTS = 300
"""More would not be seen on a screen; a longer curve is drawn through the means of equal stretches."""
DOTTED = 60
"""Up to so many points each gets its dot."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """A named line: (epoch, value)."""

    name: str
    kind: str
    """Class of the style sheet: train, valid."""
    points: Points


def curve_chart(
    curves: Sequence[Curve], *, label: str, best: tuple[float, float | None] | None = None
) -> Markup | None:
    """The curves over epochs, with the best checkpoint marked at (epoch, value); None where no point is finite."""
    drawn = [Curve(one.name, one.kind, thinned(finite(one.points))) for one in curves]
    drawn = [one for one in drawn if one.points]
    if not drawn:
        return None
    x = Axis.along(point[0] for one in drawn for point in one.points)
    y = Axis.around(point[1] for one in drawn for point in one.points)
    inside: list[Markup] = []
    if best is not None:
        at = percent(x.at(best[0]))
        inside.append(tag("line", x1=at, x2=at, y1="0", y2="100%", class_="best"))
    inside.append(lines([(one.kind, [(x.at(a), y.at(b)) for a, b in one.points]) for one in drawn]))
    for one in drawn:
        if one.kind == "valid" and len(one.points) <= DOTTED:
            inside += [
                dot(x.at(a), y.at(b), "dot valid", 2.8, f"{one.name} {b:.4g} after epoch {a:.3g}")
                for a, b in one.points
            ]
    if best is not None and best[1] is not None:
        inside.append(dot(x.at(best[0]), y.at(best[1]), "ring", 6.5))
    return frame(x, y, inside, x_title="epochs", label=label)


def finite(points: Points) -> list[tuple[float, float]]:
    """The points that can be drawn."""
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def thinned(points: Points) -> list[tuple[float, float]]:
    """At most ``MAX_POINTS`` points: the means of equal stretches."""
    size = math.ceil(len(points) / MAX_POINTS)
    if size <= 1:
        return list(points)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]
