"""What typing errors, odd case and the like do to the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from tunesmith.reporting import wording
from tunesmith.reporting.charts.intervals import Bar, IntervalChart, interval_chart
from tunesmith.reporting.view import RunView

KINDS = {
    "typos": "typing errors",
    "case": "odd case",
    "whitespace": "odd spaces",
    "truncation": "cut short",
    "lookalikes": "look-alike letters",
    "punctuation": "no punctuation",
}


@dataclass(frozen=True)
class Example:
    """A row whose answer changed."""

    kind: str
    text: str
    perturbed: str
    before: str
    after: str


@dataclass(frozen=True)
class Robustness:
    """What the part shows."""

    words: str
    note: str
    chart: IntervalChart | None
    examples: tuple[Example, ...]


def robustness_of(view: RunView) -> Robustness | None:
    """The robustness of a run; None where it was not measured."""
    seen = view.made.get("robustness", {}).get("robustness")
    if not seen:
        return None
    if "not_measured" in seen:
        return Robustness(f"Not measured: {seen['not_measured']}.", "", None, ())
    folder = view.files.get("robustness/robustness")
    path = None if folder is None else folder / "perturbed.parquet"
    examples = _examples(pl.read_parquet(path), view) if path is not None and path.is_file() else ()
    note = (
        f"{wording.counted(seen['num_rows'], 'test row')}, each perturbed once a kind in "
        f"{wording.share(seen['strength'])} of its words, letters or gaps; texts are repaired first, as every text "
        "that is answered is."
    )
    return Robustness(_words(seen), note, interval_chart(_bars(seen)), examples)


def _words(seen: Mapping[str, Any]) -> str:
    hurt = [
        f"{KINDS[kind]} ({wording.number(-one['drop']['value'], signed=True)})"
        for kind, one in sorted(seen["kinds"].items(), key=lambda item: -item[1].get("drop", {}).get("value", 0))
        if one.get("drop", {}).get("verdict") == "shown"
    ]
    if seen["task"] == "regress":
        hurt = [words.replace(wording.MINUS, "+") for words in hurt]
    name = wording.metric(seen["metric"])
    found = (
        f"A loss of {name} is shown for {wording.listed(hurt)}. Training on such texts (augmentation) may win it back."
        if hurt
        else f"No loss of {name} is shown for any kind of noise."
    )
    flipped = wording.share(seen["worst"]["flipped"])
    changed = "moves by a tenth of their spread or more" if seen["task"] == "regress" else "changes"
    return f"{found} For {flipped} of the texts the answer {changed} under at least one of the kinds."


def _bars(seen: Mapping[str, Any]) -> list[Bar]:
    rows = [("As it is", "the test texts themselves", seen["clean"], "model")]
    rows += [
        (KINDS[kind], f"{wording.share(one['flipped'])} of the answers change", one, _kind(one))
        for kind, one in seen["kinds"].items()
    ]
    rows.append(("Average", "mean of the kinds", seen["average"], "baseline"))
    rows.append(("Worst case", "each text meets what hurts it most", seen["worst"], "baseline"))
    return [
        Bar(
            name=name[0].upper() + name[1:],
            means=means,
            value=one["value"],
            low=one["low"],
            high=one["high"],
            kind=kind,
            text=wording.number(one["value"]),
            note=wording.span(one),
        )
        for name, means, one, kind in rows
        if one["value"] is not None
    ]


def _kind(one: Mapping[str, Any]) -> str:
    return "worse" if one.get("drop", {}).get("verdict") == "shown" else "baseline"


def _examples(frame: pl.DataFrame, view: RunView) -> tuple[Example, ...]:
    """One row a kind whose answer changed, if there is one."""
    if view.task != "classify":
        return ()
    clean = frame.filter(pl.col("kind") == "as it is").select("row_id", before_text="text", before="predicted")
    changed = frame.join(clean, on="row_id", maintain_order="left").filter(pl.col("predicted") != pl.col("before"))
    first = changed.unique("kind", keep="first", maintain_order=True)
    return tuple(
        Example(
            KINDS.get(row["kind"], row["kind"]),
            wording.excerpt(row["before_text"]),
            wording.excerpt(row["text"]),
            str(row["before"]),
            str(row["predicted"]),
        )
        for row in first.iter_rows(named=True)
    )
