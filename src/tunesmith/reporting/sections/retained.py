"""The challenger beside the champion: on the rows that the champion knew, and on those that are new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.metrics import table
from tunesmith.reporting import wording
from tunesmith.reporting.charts.intervals import Bar, IntervalChart, interval_chart
from tunesmith.reporting.view import RunView

MOST_NAMES = 40
SIDES = {"old": "test rows that the champion was measured on", "new": "test rows that are new"}
CAUSES = {
    "by hand": "Somebody asked for it.",
    "drift": "Drift was shown in what the champion is asked.",
    "labels": "People had given labels enough.",
    "erasure": "Rows that the champion had learned from were erased.",
}
COUNTS = {
    "known": "read again and known to the champion: counted once, in the split it had",
    "relabelled": "of these, with another label now: the one that the champion learned stays",
    "near": "new and left out: nearly the same text is in another split of the champion",
    "moved_by_group": "new and put into the split of their group",
    "drawn": "new and drawn for test, for no test row was new",
    "withdrawn": "gone, for their source may no longer be used",
}
ROWS = {"old": "the champion's", "corrected": "of these, with the label that people gave", "new": "new"}
SAID = {
    "used": "said by people of the champion's texts: their label is the truth now, for both models",
    "confirming": "said by people, and as the champion learned it",
    "conflicting": "said by people who disagree on a text: not used",
    "unreadable": "said by people, and no label: not used",
    "out_of_scope": "said by people: out of scope, where a row of a split cannot go: not used",
    "unmatched": "said by people of texts that the champion has no row of: not used",
}
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Side:
    """Both models on one kind of rows."""

    title: str
    words: str
    chart: IntervalChart | None


@dataclass(frozen=True)
class Retained:
    """What the part shows."""

    lead: str
    sides: tuple[Side, ...]
    rows: tuple[tuple[str, tuple[str, ...], str], ...]
    """What rows they are, how many in each split, and in all."""
    counts: tuple[tuple[str, str], ...]
    """What else became of rows, and how many."""
    notes: tuple[str, ...]


def retained_of(view: RunView) -> Retained | None:
    """Champion and challenger; None for a run that starts anew."""
    facts: Mapping[str, Any] | None = view.report.get("retained")
    told: Mapping[str, Any] | None = view.made.get("extend", {}).get("splits", {}).get("extended")
    if facts is None or told is None:
        return None
    said = told.get("corrections", {})
    return Retained(
        lead=_lead(view),
        sides=tuple(_side(facts["metric"], what, facts[name]) for name, what in SIDES.items()),
        rows=tuple(
            (what, tuple(wording.count(told[name][split]) for split in SPLITS), wording.count(sum(told[name].values())))
            for name, what in ROWS.items()
            if name in told
        ),
        counts=(
            *((what, wording.count(told[name])) for name, what in COUNTS.items() if told[name]),
            *((what, wording.count(number)) for name, what in SAID.items() if (number := said.get(name))),
        ),
        notes=tuple(_notes(told)),
    )


def _lead(view: RunView) -> str:
    known = view.retraining
    if known is None:
        return "This model goes on from the model in production, the champion, and is measured against it."
    made_by = f", made by the run {known['parent']}" if known["parent"] else ""
    cause = CAUSES.get(known["cause"], known["cause"])
    if known.get("starts_from") == "base":
        anew = f"trained anew from the base {view.base.get('name', '')}, and not from the champion's weights"
        return f"This model is to take the place of {known['champion']}, the champion{made_by}: {anew}. {cause}"
    return f"This model goes on from {known['champion']}, the champion{made_by}. {cause}"


def _side(metric: str, what: str, side: Mapping[str, Any]) -> Side:
    name = wording.metric(metric)
    title = f"{name} on {wording.counted(side['num_rows'], what.replace('rows', 'row', 1), what)}"
    if "not_measured" in side:
        return Side(title, f"Not measured: {side['not_measured']}.", None)
    bars = [
        Bar(
            name=who,
            means=means,
            value=side[key]["value"],
            low=side[key]["low"],
            high=side[key]["high"],
            kind=kind,
            text=wording.number(side[key]["value"]),
            note=wording.span(side[key]),
        )
        for key, who, means, kind in (
            ("model", "This model", "the challenger", "model"),
            ("champion", "champion", "the model before", "baseline"),
        )
    ]
    return Side(title, _verdict(metric, side), interval_chart(bars))


def _verdict(metric: str, side: Mapping[str, Any]) -> str:
    known = table.METRICS.get(metric)
    less = "lower is better" if known is not None and not known.higher_is_better else ""
    size = f"{wording.number(side['difference'], signed=True)}, interval {wording.span(side, signed=True)}"
    said = {
        "better": "It is better on these rows",
        "worse": "It is worse on these rows",
    }.get(side["verdict"], "No difference is shown on these rows")
    return f"{said}: {size}{f' ({less})' if less else ''}."


def _notes(told: Mapping[str, Any]) -> list[str]:
    notes = []
    for key, words in (("new_labels", "New labels"), ("gone_labels", "Labels that no row has any more")):
        if told[key]:
            more = f" and {wording.count(len(told[key]) - MOST_NAMES)} more" if len(told[key]) > MOST_NAMES else ""
            notes.append(f"{words}: {', '.join(told[key][:MOST_NAMES])}{more}.")
    if held := told.get("held"):
        sources = ", ".join(f"{name} ({wording.count(number)})" for name, number in held.items())
        notes.append(f"Rows of sources that were not read this time, as the champion has them: {sources}.")
    if told["without"]:
        notes.append(f"Sources that may no longer be used: {', '.join(told['without'])}.")
    return notes
