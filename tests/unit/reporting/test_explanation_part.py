"""The report's part on explanations: what it says, in which colours, and that no text can act."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from tests.unit.reporting.report_views import classify_view

from tunesmith.reporting.page import environment
from tunesmith.reporting.report import render
from tunesmith.reporting.sections.explanation import explanation_of
from tunesmith.reporting.view import RunView

HOSTILE = "<script>alert(1)</script>"
GAIN = {"value": 0.2, "low": 0.1, "high": 0.3, "verdict": "better"}


def curves(gain: dict[str, Any]) -> dict[str, Any]:
    falls, rises = [1 - place / 10 for place in range(11)], [place / 10 for place in range(11)]
    order = {"deletion": falls, "insertion": rises, "deletion_area": 0.3, "insertion_area": 0.7}
    orders = {"ig": {**order, "deletion_gain": gain, "insertion_gain": gain}, "random": order}
    return {"num_rows": 20, "confidence": 0.95, "unit": "probability", "orders": orders}


def explained_view(folder: Path, gain: dict[str, Any] | None = None) -> RunView:
    """A view of a run with explanations of two rows."""
    view = classify_view(folder)
    text = f"my card {HOSTILE} is late"
    row = {
        "row_id": "r1", "method": "ig", "target": "card", "text": text, "true": "late", "predicted": "card",
        "is_off": True, "probability": 0.8, "starts": [0, 3], "ends": [2, 7], "values": [-0.5, 2.0],
        "unit": "logit", "full": 2.0, "baseline": 0.5, "error": 0.01, "steps": 32,
    }  # fmt: skip
    right = {**row, "row_id": "r2", "text": "late", "true": "late", "predicted": "late", "target": "late"}
    right |= {"is_off": False, "starts": [0], "ends": [4], "values": [1.0]}
    near = {"row_id": "r1", "rank": 1, "train_row_id": "t1", "source_id": "csv-1", "label": "card", "text": HOSTILE}
    suspect = {key: near[key] for key in ("train_row_id", "source_id", "label", "text")}
    suspect |= {"self_influence": 12.5, "disagreement": 0.8}
    frames = {
        "attributions": [row, right],
        "neighbours": [{**near, "similarity": 0.91}],
        "influences": [{**near, "push": 3.25}],
        "suspects": [suspect],
        "top_words": [{"method": "ig", "target": "card", "word": HOSTILE, "mean": 1.5, "rows": 3}],
    }
    for name, rows in frames.items():
        pl.DataFrame(rows).write_parquet(folder / f"{name}.parquet")
    ig = {"unit": "logit", "baseline": "[PAD]", "error": {"median": 0.001, "largest": 0.08}, "most_error": 0.05}
    facts = {
        "rows": 2,
        "num_wrong": 1,
        "truncated_rows": 1,
        "methods": {"ig": {**ig, "rows_above": 1, "steps": {"32": 2}}},
        "curves": curves(GAIN if gain is None else gain),
        "suspects": {"checked": 40, "listed": 1, "neighbours": 5},
    }
    return replace(view, made={"explain": {"explanation": facts}}, files={"explain/explanation": folder})


def test_words_are_shaded_by_their_share(tmp_path: Path) -> None:
    part = explanation_of(explained_view(tmp_path))
    assert part is not None
    [wrong] = part.wrong
    assert [(one.text, one.tone, one.title) for one in wrong.pieces[:4]] == [
        ("my", "word against level1", "−0.500"),
        (" ", "", ""),
        ("card", "word for level5", "+2.000"),
        (f" {HOSTILE} is late", "", ""),
    ]
    assert "".join(one.text for one in wrong.pieces) == f"my card {HOSTILE} is late"
    assert [one.figure for one in wrong.near] == ["0.91"]
    assert [one.label for one in wrong.pushed] == ["card"]
    assert "1 row stayed above 5" in part.notes[1]


def test_unknown_words_are_marked_and_counted(tmp_path: Path) -> None:
    view = explained_view(tmp_path)
    frame = pl.read_parquet(tmp_path / "attributions.parquet")
    unknown = pl.Series([[None, "whole"], ["part"]], dtype=pl.List(pl.String))
    frame.with_columns(unknown=unknown).write_parquet(tmp_path / "attributions.parquet")
    view.made["explain"]["explanation"] |= {"unknown_rows": 2, "unknown_words": 3}
    part = explanation_of(view)
    assert part is not None
    [wrong], [right] = part.wrong, part.right
    assert [(one.text, one.tone, one.title) for one in wrong.pieces[:3]] == [
        ("my", "word against level1", "−0.500"),
        (" ", "", ""),
        ("card", "word for level5 unknown", "+2.000, for the model does not know this word"),
    ]
    assert right.pieces[0].title == "+1.000, for the model does not know a part of this word"
    assert part.has_unknown
    assert "3 words in 2 rows unknown to the model" in part.notes[-1]
    page = render(view)
    assert 'class="word for level5 unknown"' in page
    assert "read as a sign for anything unknown" in page


def test_without_unknown_words_nothing_is_said_of_them(tmp_path: Path) -> None:
    part = explanation_of(explained_view(tmp_path))
    assert part is not None and not part.has_unknown
    assert not any("unknown" in note for note in part.notes)
    assert "for anything unknown" not in render(explained_view(tmp_path))


def test_of_numbers_words_raise_or_lower_and_targets_are_named(tmp_path: Path) -> None:
    view = explained_view(tmp_path)
    assert "speaks for the answer" in render(view) and "raises the number" not in render(view)
    view.made["explain"]["explanation"] |= {"targets": ["V", "A"]}
    part = explanation_of(view)
    assert part is not None and part.targets == ("V", "A")
    numbers = replace(view, task="regress")
    page = environment().get_template("explanation.html.j2").render(view=numbers, part=part)
    assert "raises the number" in page and "speaks for the answer" not in page
    assert "<dt>Model: V, A</dt>" in page and "<dt>Actual: V, A</dt>" in page


def test_of_numbers_the_farthest_and_the_nearest_are_shown_and_how_many_there_are(tmp_path: Path) -> None:
    view = explained_view(tmp_path)
    [row, *_] = pl.read_parquet(tmp_path / "attributions.parquet").to_dicts()
    told = {"r1": (3.5, 3.0), "r2": (9.0, 3.0), "r3": (3.1, 3.0), "r4": (3.0, 3.0), "r5": (5.5, 2.0), "r6": (1.0, 3.0)}
    more = {"r7": (7.0, 3.0), "r8": (0.4, 4.0)}
    rows = [
        {**row, "row_id": name, "target": "", "probability": None, "predicted": f"{given:.4g}", "true": f"{true:.4g}"}
        | {"is_off": abs(given - true) >= 1}
        for name, (given, true) in (told | more).items()
    ]
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(tmp_path / "attributions.parquet")
    part = explanation_of(replace(view, task="regress"))
    assert part is not None
    assert [one.predicted for one in part.wrong] == ["9", "7", "0.4", "5.5"]
    assert [one.predicted for one in part.right] == ["3", "3.1", "3.5"]
    assert (part.wrong_title, part.right_title) == (
        "Far off, the farthest first: 4 of 5",
        "Near the truth, the nearest first",
    )
    several = pl.DataFrame(rows).with_columns(true=pl.lit("3, 100"), predicted=pl.lit("3, 100"), is_off=pl.lit(False))
    several[4, "predicted"], several[4, "true"], several[4, "is_off"] = "3.5, 100", "3, 100", True
    several[5, "predicted"], several[5, "true"], several[5, "is_off"] = "3, 101", "4, 200", True
    several.write_parquet(tmp_path / "attributions.parquet")
    part = explanation_of(replace(view, task="regress"))
    assert part is not None
    assert [one.predicted for one in part.wrong] == ["3, 101", "3.5, 100"]


def test_of_several_labels_it_says_which_one_is_meant(tmp_path: Path) -> None:
    view = replace(explained_view(tmp_path), task="tag")
    page = environment().get_template("explanation.html.j2").render(view=view, part=explanation_of(view))
    assert "80 % sure" not in page
    assert '<dt>Words explain</dt><dd>card<span class="sure">80 % likely</span></dd>' in page


def test_the_report_leads_to_its_explanations(tmp_path: Path) -> None:
    assert '<a href="#explanation">' in render(explained_view(tmp_path))
    assert "#explanation" not in render(classify_view(tmp_path / "without"))


def test_it_says_whether_the_colours_can_be_believed(tmp_path: Path) -> None:
    good, vain = tmp_path / "good", tmp_path / "vain"
    believed = explanation_of(explained_view(good))
    assert believed is not None
    assert "is shown to find them better than chance" in believed.curve_words
    doubted = explanation_of(explained_view(vain, {**GAIN, "low": -0.1, "verdict": "not shown"}))
    assert doubted is not None
    assert "read the colours with care" in doubted.curve_words


def test_no_text_can_act_on_the_page(tmp_path: Path) -> None:
    page = render(explained_view(tmp_path))
    assert '<section id="explanation">' in page
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4
    assert '<mark class="word for level5" title="+2.000">card</mark>' in page


def test_a_run_without_it_has_no_such_part(tmp_path: Path) -> None:
    view = classify_view(tmp_path)
    assert explanation_of(view) is None
    assert 'id="explanation"' not in render(view)
