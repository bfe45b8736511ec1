"""Whether every group of rows is served alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.reporting import wording
from tunesmith.reporting.charts.intervals import Bar, IntervalChart, interval_chart
from tunesmith.reporting.view import RunView

MAX_BARS = 24
"""More groups are shown by their extremes."""


@dataclass(frozen=True)
class Panel:
    """One column's groups by one metric."""

    title: str
    chart: IntervalChart | None
    words: str
    left_out: str
    num_hidden: int


@dataclass(frozen=True)
class Groups:
    """What the part shows."""

    panels: tuple[Panel, ...]


def groups_of(view: RunView) -> Groups | None:
    """The groups of a run; None where none were compared."""
    panels = []
    for column in view.report.get("groups") or ():
        name = wording.metric(column["metric"])
        panels.append(_panel(f"{name} by {column['by']}", column, column["metric"]))
        if "selection" in column:
            title = f"How often “{column['positive']}” is given, by {column['by']}"
            panels.append(_panel(title, column["selection"], "selection_rate"))
    return Groups(tuple(panels)) if panels else None


def _panel(title: str, column: Mapping[str, Any], metric: str) -> Panel:
    groups, gap = column["groups"], column["gap"]
    shown = groups if len(groups) <= MAX_BARS else [*groups[: MAX_BARS // 2], *groups[-MAX_BARS // 2 :]]
    bars = [
        Bar(
            name=named(one["group"]),
            means=wording.counted(one["num_rows"], "test row"),
            value=one["value"],
            low=one["low"],
            high=one["high"],
            kind="baseline",
            text=wording.number(one["value"]),
            note=wording.span(one),
        )
        for one in shown
    ]
    return Panel(
        title=title,
        chart=interval_chart(bars) if bars else None,
        words=_gap_words(gap, metric) if gap else "Fewer than two groups have enough test rows to be compared.",
        left_out=_left_out(column["not_compared"]),
        num_hidden=len(groups) - len(shown),
    )


def _gap_words(gap: Mapping[str, Any], metric: str) -> str:
    ends = f"{named(gap['lowest'])} and {named(gap['highest'])}"
    size = f"{wording.number(gap['value'])}, interval {wording.span(gap)}"
    what = "the rate" if metric == "selection_rate" else wording.metric(metric)
    if gap["verdict"] == "shown":
        return (
            f"A gap is shown: {what} differs by {size} between {ends}, more than chance makes of so many groups. "
            "More training rows of the group that fares worse are the first thing to try."
        )
    if not gap["value"]:
        apart = wording.number(gap["high"])
        return f"All groups that could be compared score the same; that many rows cannot rule out a gap of {apart}."
    return (
        f"No gap is shown. The largest one seen lies between {ends} ({size}); with so many groups and so few rows, "
        "chance alone makes as much. That is no proof that the groups are served alike: the interval says how far "
        "apart they may be."
    )


def _left_out(groups: Sequence[Mapping[str, Any]]) -> str:
    if not groups:
        return ""
    names = [f"{named(one['group'])} ({wording.count(one['num_rows'])})" for one in groups[:8]]
    more = f" and {wording.counted(len(groups) - 8, 'more group')}" if len(groups) > 8 else ""
    reasons = list(dict.fromkeys(str(one["why"]) for one in groups))
    return f"Not compared ({wording.listed(reasons)}): {', '.join(names)}{more}."


def named(group: str | None) -> str:
    """A group's name; rows without a value are a group too."""
    return "no value" if group is None else str(group)
