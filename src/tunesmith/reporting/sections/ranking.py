"""How the pre-trained model was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.reporting import wording
from tunesmith.reporting.charts.intervals import Bar, IntervalChart, interval_chart
from tunesmith.reporting.view import RunView


@dataclass(frozen=True)
class Ranking:
    """The ranking of a run that had several models to choose from."""

    facts: Mapping[str, Any]
    reason: str
    chart: IntervalChart
    costs: tuple[tuple[str, ...], ...]
    """Name, parameters, longest text, work a text against the lightest one, size, memory to train."""


def ranking_of(view: RunView) -> Ranking | None:
    """The ranking, or None where the recipe named one model."""
    facts = next((made["ranking"] for made in view.made.values() if "ranking" in made), None)
    if facts is None:
        return None
    rows: Sequence[Mapping[str, Any]] = facts["ranking"]
    lightest = max(1, min(row["operations"] for row in rows))
    costs = tuple(
        (
            row["name"],
            f"{row['num_parameters'] / 1e6:,.1f} M",
            f"{wording.count(row['max_tokens'])} tokens",
            f"{row['operations'] / lightest:.1f} ×",
            wording.size(row["size_bytes"]),
            wording.size(row["training_bytes"]),
        )
        for row in rows
    )
    reason = str(facts["reason"])
    return Ranking(facts, reason[:1].upper() + reason[1:], interval_chart([_bar(row, facts) for row in rows]), costs)


def _bar(row: Mapping[str, Any], facts: Mapping[str, Any]) -> Bar:
    behind = row["behind"]
    if behind is None:
        means = "scores best"
    else:
        gap = f"{wording.number(behind['value'])} behind"
        means = f"{gap}, beyond noise" if behind["is_shown"] else f"{gap}, within noise"
    is_chosen = row["name"] == facts["chosen"]
    return Bar(
        name=row["name"],
        means=f"chosen; {means}" if is_chosen else means,
        value=row["value"],
        low=row["low"],
        high=row["high"],
        kind="model" if is_chosen else "baseline",
        text=wording.number(row["value"]),
        note=wording.span(row),
    )
