"""Charts on the unit square, where both axes are shares: reliability, ROC, precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tunesmith.reporting.charts.axis import Axis
from tunesmith.reporting.charts.svg import dot, frame, lines, percent, tag
from tunesmith.reporting.wording import counted, share

UNIT = Axis(0.0, 1.0, 0.25)
TONES = ("tone0", "tone1", "tone2", "tone3", "tone4", "tone5")
"""Classes of the style sheet: lines that can be told from each other, in colour and in their dashes."""

Points = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Mark:
    """A bin of rows: how sure the model was of them, how often it was right, and how many they are."""

    across: float
    up: float
    low: float
    high: float
    """Of the interval of ``up``."""
    num_rows: int


@dataclass(frozen=True)
class Line:
    """A named line."""

    name: str
    points: Points
    tone: str = TONES[0]


def reliability_chart(marks: Sequence[Mark], before: Points = ()) -> Markup:
    """A dot a bin with its interval; on the diagonal, probabilities are frequencies. ``before`` is a faint line."""
    paths = [("diagonal", [(0.0, 0.0), (100.0, 100.0)])]
    if before:
        paths.append(("before", [(100 * x, 100 * y) for x, y in before]))
    paths.append(("valid", [(100 * one.across, 100 * one.up) for one in marks]))
    inside = [lines(paths)]
    most = max((one.num_rows for one in marks), default=1)
    for one in marks:
        at = percent(100 * one.across)
        ends = {"y1": percent(100 - 100 * one.low), "y2": percent(100 - 100 * one.high)}
        inside.append(tag("line", x1=at, x2=at, **ends, class_="whisker model"))
        title = f"{share(one.across)} sure, {share(one.up)} right, {counted(one.num_rows, 'test row')}"
        radius = 2.5 + 3 * (one.num_rows / most) ** 0.5
        inside.append(dot(100 * one.across, 100 * one.up, "dot valid", radius, title))
    return frame(UNIT, UNIT, inside, x_title="how sure it was", label="How often it was right by how sure it was")


def line_chart(drawn: Sequence[Line], *, x_title: str, label: str, diagonal: bool) -> Markup:
    """The lines; ``diagonal`` is where chance would lie."""
    paths = [("diagonal", [(0.0, 0.0), (100.0, 100.0)])] if diagonal else []
    paths += [(one.tone, [(100 * x, 100 * y) for x, y in one.points]) for one in drawn]
    return frame(UNIT, UNIT, [lines(paths)], x_title=x_title, label=label)
