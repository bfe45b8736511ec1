"""A confusion matrix too large for a table: small squares, the numbers in their tooltips."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from tunesmith.reporting.charts.svg import tag
from tunesmith.reporting.wording import visible


def matrix_chart(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Markup:
    """Squares for the cells that are not empty, rows true, columns predicted; as dark as its share of the row."""
    size = len(labels)
    names = [visible(label) for label in labels]
    parts = [tag("rect", x="0", y="0", width=str(size), height=str(size), class_="sheet")]
    for row, cells in enumerate(counts):
        total = sum(cells)
        for column, num in enumerate(cells):
            if not num:
                continue
            title = f"{names[row]} read as {names[column]}: {num} of {total}"
            kind = "hit" if row == column else "miss"
            parts.append(
                tag(
                    "rect",
                    Markup("<title>{}</title>").format(title),
                    x=str(column),
                    y=str(row),
                    width="1",
                    height="1",
                    class_=kind,
                    fill_opacity=round(0.25 + 0.75 * num / total, 2),
                )
            )
    return tag("svg", Markup("").join(parts), viewBox=f"0 0 {size} {size}", class_="matrix", role="img")
