"""Dot-and-interval charts: a row each, with its name and its numbers beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tunesmith.reporting.charts.axis import Axis, Tick
from tunesmith.reporting.charts.svg import percent, tag

MOST_TICK_CHARS = 36
"""Letters that fit under the narrowest chart, spaces between them counted."""


@dataclass(frozen=True)
class Bar:
    """One value with its interval."""

    name: str
    means: str
    """What the name stands for, in a few words."""
    value: float
    low: float
    high: float
    kind: str
    """Class of the style sheet: model, baseline, better, not-shown, worse."""
    text: str
    """The value in words."""
    note: str = ""
    """The interval or the verdict in words."""


@dataclass(frozen=True)
class Row:
    """A drawn bar."""

    bar: Bar
    track: Markup


@dataclass(frozen=True)
class IntervalChart:
    """Rows over one axis."""

    rows: tuple[Row, ...]
    axis: Markup


def interval_chart(bars: Sequence[Bar], zero: bool = False) -> IntervalChart:
    """The chart of these bars; ``zero`` marks the place where nothing differs."""
    ends = [end for bar in bars for end in (bar.low, bar.high, bar.value)]
    axis = Axis.around(ends, include=(0.0,) if zero else ())
    return IntervalChart(tuple(Row(bar, _track(bar, axis, zero)) for bar in bars), _scale(axis))


def _track(bar: Bar, axis: Axis, zero: bool) -> Markup:
    parts = [
        tag("line", x1=percent(tick.at), x2=percent(tick.at), y1="0", y2="100%", class_="grid") for tick in axis.ticks
    ]
    if zero:
        parts.append(tag("line", x1=percent(axis.at(0)), x2=percent(axis.at(0)), y1="0", y2="100%", class_="zero"))
    low, high, at = percent(axis.at(bar.low)), percent(axis.at(bar.high)), percent(axis.at(bar.value))
    parts.append(tag("line", x1=low, x2=high, y1="50%", y2="50%", class_=f"whisker {bar.kind}"))
    parts.extend(tag("line", x1=x, x2=x, y1="34%", y2="66%", class_=f"cap {bar.kind}") for x in (low, high))
    parts.append(tag("circle", cx=at, cy="50%", r="5.5", class_=f"point {bar.kind}"))
    label = f"{bar.name}: {bar.text}, {bar.note}"
    return tag("svg", Markup("").join([Markup("<title>{}</title>").format(label), *parts]), class_="track", role="img")


def _scale(axis: Axis) -> Markup:
    texts = [tag("text", tick.text, x=percent(tick.at), y="14", class_="tick middle") for tick in spaced(axis.ticks)]
    return tag("svg", Markup("").join(texts), class_="track", aria_hidden="true")


def spaced(ticks: Sequence[Tick]) -> Sequence[Tick]:
    """The ticks that are written: every second one where so many would touch, 0 among them where it is one."""
    if sum(len(tick.text) + 1 for tick in ticks) <= MOST_TICK_CHARS:
        return ticks
    zero = next((place for place, tick in enumerate(ticks) if not tick.text.strip("0.")), 0)
    return [tick for place, tick in enumerate(ticks) if place % 2 == zero % 2]
