"""The report's part on champion and challenger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tests.unit.reporting.report_views import classify_view

from tunesmith.evaluation.config import EvaluateStageConfig
from tunesmith.evaluation.retained import retained
from tunesmith.reporting.report import render
from tunesmith.reporting.sections.retained import retained_of
from tunesmith.reporting.view import RunView

EXTENDED: dict[str, Any] = {
    "old": {"train": 6931, "validation": 769, "test": 160},
    "new": {"train": 1889, "validation": 210, "test": 40},
    "known": 10_098,
    "relabelled": 3,
    "near": 1,
    "withdrawn": 0,
    "without": [],
    "moved_by_group": 0,
    "drawn": 0,
    "new_labels": ["card_arrival", "top_up <b>failed</b>"],
    "gone_labels": [],
}


def challenger(folder: Path, num_new: int = 40, **told: Any) -> RunView:
    """A run of 200 test rows, the last of them new, their facts by the real function."""
    view = classify_view(folder, num_labels=4)
    rng, labels = np.random.default_rng(0), np.array(["a", "b", "c", "d"])
    truth = np.where(np.arange(200) < 200 - num_new, labels[rng.integers(0, 3, 200)], "d")
    model = np.where(rng.random(200) < 0.93, truth, "a")
    before = np.where((truth != "d") & (rng.random(200) < 0.95), truth, "b")
    ids = [f"r{at}" for at in range(200)]
    new = pl.DataFrame({"row_id": ids[200 - num_new :], "split": ["test"] * num_new}).cast(pl.String)
    new.write_parquet(folder / "new.parquet")
    config = EvaluateStageConfig(task="classify", bootstrap_samples=300)
    answers = {"model": model, "champion": before}
    facts, _ = retained(config, folder, pl.DataFrame({"row_id": ids}), truth, answers, 0)
    made = {**view.made, "extend": {"splits": {"extended": EXTENDED | told}}}
    known = {"champion": "desk@3", "parent": "desk-1120-0901-ab12", "cause": "labels"}
    return replace(view, report={**view.report, "retained": facts}, made=made, retraining=known)


def test_a_run_that_starts_anew_has_no_such_part(tmp_path: Path) -> None:
    plain = classify_view(tmp_path)
    assert retained_of(plain) is None and 'id="retained"' not in render(plain)


def test_both_models_on_old_and_new_rows(tmp_path: Path) -> None:
    view = challenger(tmp_path)
    part = retained_of(view)
    assert part is not None
    assert part.lead == (
        "This model goes on from desk@3, the champion, made by the run desk-1120-0901-ab12. "
        "People had given labels enough."
    )
    old, new = part.sides
    assert old.title == "Accuracy on 160 test rows that the champion was measured on"
    assert new.title == "Accuracy on 40 test rows that are new"
    assert old.words.startswith("No difference is shown on these rows: ") and new.words.startswith("It is better")
    assert old.chart is not None and [row.bar.name for row in old.chart.rows] == ["This model", "champion"]
    assert [one[0] for one in part.counts] == [
        "read again and known to the champion: counted once, in the split it had",
        "of these, with another label now: the one that the champion learned stays",
        "new and left out: nearly the same text is in another split of the champion",
    ]
    page = render(view)
    assert "Against the model before" in page and "10,098" in page
    assert "top_up &lt;b&gt;failed&lt;/b&gt;" in page and "<b>failed" not in page


def test_what_people_corrected_is_counted_by_split(tmp_path: Path) -> None:
    said = {"read": 40, "used": 30, "confirming": 4, "conflicting": 6, "unreadable": 0}
    rows = {"train": 20, "validation": 3, "test": 2}
    part = retained_of(challenger(tmp_path, corrected=rows, corrections=said))
    assert part is not None
    assert part.rows[1] == ("of these, with the label that people gave", ("20", "3", "2"), "25")
    assert part.counts[-3:] == (
        ("said by people of the champion's texts: their label is the truth now, for both models", "30"),
        ("said by people, and as the champion learned it", "4"),
        ("said by people who disagree on a text: not used", "6"),
    )
    plain = retained_of(challenger(tmp_path / "plain"))
    assert plain is not None and len(plain.rows) == 2


def test_rows_whose_source_was_not_read_are_told(tmp_path: Path) -> None:
    part = retained_of(challenger(tmp_path, held={"added-1": 5, "desk": 1200}, new_labels=[]))
    assert part is not None
    told = "Rows of sources that were not read this time, as the champion has them: added-1 (5), desk (1,200)."
    assert part.notes == (told,)


def test_one_that_does_not_go_on_from_the_champion_says_so(tmp_path: Path) -> None:
    view = challenger(tmp_path)
    known = {**(view.retraining or {}), "cause": "erasure", "starts_from": "base"}
    part = retained_of(replace(view, retraining=known, base={**view.base, "name": "tiny <b>"}))
    assert part is not None
    assert part.lead == (
        "This model is to take the place of desk@3, the champion, made by the run desk-1120-0901-ab12: trained anew "
        "from the base tiny <b>, and not from the champion's weights. "
        "Rows that the champion had learned from were erased."
    )


def test_what_could_not_be_measured_and_what_left(tmp_path: Path) -> None:
    view = challenger(tmp_path, num_new=0, withdrawn=12, without=["letters"], gone_labels=["limit"], new_labels=[])
    part = retained_of(replace(view, retraining=None))
    assert part is not None and part.lead.startswith("This model goes on from the model in production")
    assert part.sides[1].chart is None and part.sides[1].words == "Not measured: too few test rows: 0."
    assert part.counts[-1] == ("gone, for their source may no longer be used", "12")
    assert part.notes == ("Labels that no row has any more: limit.", "Sources that may no longer be used: letters.")


def test_many_new_labels_are_cut(tmp_path: Path) -> None:
    part = retained_of(challenger(tmp_path, new_labels=[f"label {at}" for at in range(45)]))
    assert part is not None and part.notes[0].endswith("label 39 and 5 more.")
