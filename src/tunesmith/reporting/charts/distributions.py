"""Two distributions in one small picture: what was, as a filled shape, and what is, as a line or a darker bar."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from tunesmith.reporting.charts.axis import Axis
from tunesmith.reporting.charts.svg import lines, percent, tag

MOST_CHARS = 20
"""Of a category's name: what fits beside its bars on the narrowest card."""


def histogram_of(edges: Sequence[float], before: Sequence[float], now: Sequence[float], *, label: str) -> Markup:
    """Two histograms over the same bins: before as bars, now as a line of steps."""
    top = max((*before, *now)) or 1.0
    low, high = edges[0], edges[-1]
    width = 100 / len(before)
    parts = [Markup("<title>{}</title>").format(label)]
    for place, value in enumerate(before):
        height = 100 * value / top
        parts.append(
            tag(
                "rect",
                x=percent(place * width),
                y=percent(100 - height),
                width=percent(width * 0.94),
                height=percent(height),
                class_="was",
            )
        )
    steps = [(place * width + side * width, 96 * value / top) for place, value in enumerate(now) for side in (0, 1)]
    parts.append(lines([("is", steps)]))
    axis = Axis.around((low, high), num_ticks=3)
    inside = [tick for tick in axis.ticks if low - 1e-9 <= _value(axis, tick.at) <= high + 1e-9]
    for tick in inside:
        at = 100 * (_value(axis, tick.at) - low) / (high - low)
        anchor = "end" if at > 92 else "start" if at < 8 else "middle"
        parts.append(tag("text", tick.text, x=percent(round(at, 3)), y="100%", dy="15", class_=f"tick {anchor}"))
    return tag("svg", Markup("").join(parts), class_="twin", role="img")


def bars_of(names: Sequence[str], before: Sequence[float], now: Sequence[float], *, label: str) -> Markup:
    """A pair of bars for each category, the one that moved most first."""
    top = max((*before, *now)) or 1.0
    rows = [Markup("<title>{}</title>").format(label)]
    height = 100 / max(1, len(names))
    for place, (name, was, now_) in enumerate(zip(names, before, now, strict=True)):
        y = place * height
        shown = name if len(name) <= MOST_CHARS else f"{name[: MOST_CHARS - 1]}…"
        title = Markup("<title>{}</title>").format(f"{name}: {100 * was:.1f} % before, {100 * now_:.1f} % now")
        rows.append(tag("text", shown, x="52%", y=percent(y + height / 2), dx="-6", dy="0.32em", class_="tick end"))
        for share, kind, at in ((was, "was", 0.14), (now_, "now", 0.5)):
            rows.append(
                tag(
                    "rect",
                    title,
                    x="52%",
                    y=percent(y + at * height),
                    width=percent(48 * share / top),
                    height=percent(0.34 * height),
                    class_=kind,
                )
            )
    size = f"height: {max(90, 24 * len(names))}px"
    return tag("svg", Markup("").join(rows), class_="twin bars-of", role="img", style=size)


def _value(axis: Axis, at: float) -> float:
    return axis.low + (axis.high - axis.low) * at / 100
