"""SVG by hand: places in per cent, so that a chart is as wide as its page while its text keeps its size.

Colours are classes of the style sheet, which knows light, dark and print.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from tunesmith.reporting.charts.axis import Axis


def tag(name: str, content: str = "", **attributes: str | float) -> Markup:
    """An element; content and values are escaped, ``class_`` and ``text_anchor`` become class and text-anchor."""
    written = Markup("").join(
        Markup(' {}="{}"').format(
            key.rstrip("_").replace("_", "-"), f"{value:g}" if isinstance(value, float) else value
        )
        for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, escape(content))


def percent(value: float) -> str:
    """A place on the chart."""
    return f"{value:g}%"


def frame(x: Axis, y: Axis, inside: Sequence[Markup], *, x_title: str, label: str) -> Markup:
    """A chart with ticks and grid; ``label`` is what a screen reader says."""
    parts = [Markup("<title>{}</title>").format(label)]
    for tick in y.ticks:
        height = percent(100 - tick.at)
        parts.append(tag("line", x1="0", x2="100%", y1=height, y2=height, class_="grid"))
        parts.append(tag("text", tick.text, x="0", y=height, dx="-8", dy="0.32em", class_="tick end"))
    for tick in x.ticks:
        parts.append(tag("text", tick.text, x=percent(tick.at), y="100%", dy="18", class_="tick middle"))
    parts.append(tag("text", x_title, x="100%", y="100%", dy="36", class_="tick end"))
    parts.extend(inside)
    return tag("svg", Markup("").join(parts), class_="plot", role="img")


def lines(paths: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> Markup:
    """Lines (class, points in per cent from the lower left), stretched to the chart while their width stays."""
    drawn = Markup("").join(
        tag(
            "polyline",
            points=" ".join(f"{x:g},{100 - y:g}" for x, y in points),
            class_=f"line {kind}",
            vector_effect="non-scaling-stroke",
        )
        for kind, points in paths
    )
    return tag("svg", drawn, viewBox="0 0 100 100", preserveAspectRatio="none", width="100%", height="100%")


def dot(x: float, y: float, kind: str, radius: float = 4, title: str = "") -> Markup:
    """A dot at per cent of the chart from the lower left."""
    content = Markup("<title>{}</title>").format(title) if title else ""
    return tag("circle", content, cx=percent(x), cy=percent(100 - y), r=float(radius), class_=kind)
