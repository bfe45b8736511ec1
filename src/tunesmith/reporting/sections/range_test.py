"""How the learning rate was found: the loss while the rate grew."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from markupsafe import Markup

from tunesmith.reporting import wording
from tunesmith.reporting.charts.axis import Axis
from tunesmith.reporting.charts.curves import finite, thinned
from tunesmith.reporting.charts.svg import frame, lines, percent, tag
from tunesmith.reporting.view import RunView


@dataclass(frozen=True)
class RangeTest:
    """The range test of a run."""

    chart: Markup | None
    words: str


def range_test_of(view: RunView) -> RangeTest | None:
    """The range test of a run; None where its rate was given or vetted."""
    found = view.model.get("range_test")
    if not found:
        return None
    history = [json.loads(line) for line in view.history.read_text(encoding="utf-8").splitlines() if line.strip()]
    points = [line["range_test"] for line in history if "range_test" in line]
    words = (
        f"The rate was raised over {wording.counted(found['steps'], 'step')} on a copy of the network that was then "
        f"thrown away; the test ended {found['ended']}. Taken: {found['rule']}, {found['lr']:.2g} "
        f"(for the head {found['head_lr']:.2g})."
    )
    return RangeTest(_chart([(math.log10(one["lr"]), one["smoothed"]) for one in points], found["lr"]), words)


def _chart(points: list[tuple[float, float]], taken: float) -> Markup | None:
    drawn = thinned(finite(points))
    if not drawn:
        return None
    at = math.log10(taken)
    x, y = Axis.around([place for place, _ in drawn], include=(at,)), Axis.around(loss for _, loss in drawn)
    here = percent(x.at(at))
    inside = [
        tag("line", x1=here, x2=here, y1="0", y2="100%", class_="best"),
        lines([("train", [(x.at(place), y.at(loss)) for place, loss in drawn])]),
    ]
    label = f"Smoothed training loss over the logarithm of the learning rate, {taken:.2g} marked"
    return frame(x, y, inside, x_title="log10 of the learning rate", label=label)
