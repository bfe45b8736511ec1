"""ROC and precision-recall curves of labels against the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tunesmith.reporting import wording
from tunesmith.reporting.charts.unit_square import TONES, Line, line_chart
from tunesmith.reporting.view import RunView

WEAKEST = 8
"""Labels listed, the hardest first."""


@dataclass(frozen=True)
class Curves:
    """What the part shows."""

    roc: Markup
    precision_recall: Markup
    names: tuple[tuple[str, str], ...]
    """Each line's name and its class of the style sheet."""
    rows: tuple[tuple[str, str, str, str], ...]
    """Label, average precision, area under ROC, test rows; the hardest first."""
    num_more: int
    words: str


def curves_of(view: RunView) -> Curves | None:
    """The curves of a run; None where there are none."""
    seen = view.report.get("curves")
    if not seen:
        return None
    named = [(one, tone) for one, tone in zip(seen["drawn"], TONES, strict=False)]
    weakest = sorted(seen["labels"].items(), key=lambda item: (item[1]["average_precision"], item[0]))
    return Curves(
        roc=line_chart(
            [Line(one["name"], one["roc"], tone) for one, tone in named],
            x_title="false alarms",
            label="Hits by false alarms",
            diagonal=True,
        ),
        precision_recall=line_chart(
            [Line(one["name"], one["pr"], tone) for one, tone in named],
            x_title="found",
            label="Precision by recall",
            diagonal=False,
        ),
        names=tuple((one["name"], tone) for one, tone in named),
        rows=tuple(
            (
                label,
                wording.number(one["average_precision"]),
                wording.number(one["auroc"]),
                wording.count(one["support"]),
            )
            for label, one in weakest[:WEAKEST]
        ),
        num_more=max(0, len(weakest) - WEAKEST),
        words=_words(seen),
    )


def _words(seen: Mapping[str, Any]) -> str:
    return (
        f"A row that has a label is ranked above one that has not {wording.share(seen['auroc_macro'])} of the time "
        "(ROC area, mean over the labels; a coin gives 50 %). Going down each ranking, the answers met are right "
        f"{wording.share(seen['average_precision_macro'])} of the time (average precision; chance gives "
        f"{wording.share(seen['by_chance'])})."
    )
