"""The parts of a report that say more than metrics do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.reporting.measure_views import measured_numbers, measured_view
from tests.unit.reporting.report_views import classify_view

from tunesmith.reporting.report import render
from tunesmith.reporting.sections.calibration import Calibration, NumberIntervals, calibration_of
from tunesmith.reporting.sections.cost import cost_of
from tunesmith.reporting.sections.curves import curves_of
from tunesmith.reporting.sections.groups import groups_of
from tunesmith.reporting.sections.robustness import robustness_of
from tunesmith.reporting.view import RunView


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    return measured_view(tmp_path_factory.mktemp("view"))


def test_a_run_that_measured_none_of_it_has_none_of_these_parts(tmp_path: Path) -> None:
    plain = classify_view(tmp_path)
    assert [make(plain) for make in (calibration_of, curves_of, groups_of, robustness_of, cost_of)] == [None] * 5
    assert 'id="calibration"' not in render(plain)


def test_calibration_says_what_it_means(view: RunView) -> None:
    part = calibration_of(view)
    assert isinstance(part, Calibration) and part.is_compared
    assert part.words.startswith("On average it is ") and "No miscalibration is shown" in part.words
    assert part.chart.count("dot valid") == len(view.report["calibration"]["bins"])
    too_sure = {**view.report["calibration"], "verdict": "shown", "confidence": 0.9, "accuracy": 0.7, "before": None}
    part = calibration_of(replace(view, report={**view.report, "calibration": too_sure}))
    assert isinstance(part, Calibration) and not part.is_compared
    assert "On average it is 90 % sure and 70 % right. That is shown to be off: it is more sure" in part.words


def test_numbers_have_half_widths(tmp_path: Path) -> None:
    part = calibration_of(measured_numbers(tmp_path))
    assert isinstance(part, NumberIntervals)
    assert [row[0] for row in part.rows] == ["50 %", "80 %", "90 %", "95 %"]
    assert part.rows[2][1].startswith("± 0.") and part.rows[2][2].endswith("%")
    assert "How far off are its numbers?" in render(measured_numbers(tmp_path / "again"))


def test_curves_are_drawn_with_the_hardest_labels_first(view: RunView) -> None:
    part = curves_of(view)
    assert part is not None and len(part.names) == 4 and part.roc.count("<polyline") == 5
    values = [float(row[1]) for row in part.rows]
    assert values == sorted(values) and "a coin gives 50 %" in part.words


def test_groups_say_whether_a_gap_is_shown_and_who_was_left_out(tmp_path: Path, view: RunView) -> None:
    part = groups_of(view)
    assert part is not None and [panel.title for panel in part.panels] == ["Accuracy by segment"]
    [panel] = part.panels
    assert panel.words.startswith("No gap is shown.") and "no proof" in panel.words
    assert panel.left_out == "Not compared (fewer than 30 test rows): none (10)."
    gap = {**view.report["groups"][0]["gap"], "verdict": "shown"}
    shown = replace(view, report={**view.report, "groups": [{**view.report["groups"][0], "gap": gap}]})
    found = groups_of(shown)
    assert found is not None and found.panels[0].words.startswith("A gap is shown: Accuracy differs by ")


def test_robustness_names_what_hurts_and_shows_a_text(view: RunView) -> None:
    part = robustness_of(view)
    assert part is not None and part.chart is not None
    assert part.words.startswith("A loss of Accuracy is shown for typing errors (−0.")
    assert [row.bar.name for row in part.chart.rows] == [
        "As it is",
        "Typing errors",
        "Odd case",
        "Average",
        "Worst case",
    ]
    assert [row.bar.kind for row in part.chart.rows][1:3] == ["worse", "baseline"]
    assert [one.kind for one in part.examples] == ["typing errors"] and part.examples[0].perturbed.startswith("typos")
    assert (
        robustness_of(replace(view, made={"robustness": {"robustness": {"not_measured": "no test row"}}})) is not None
    )


def test_cost_says_where_it_was_measured(view: RunView) -> None:
    part = cost_of(view)
    assert part is not None and "8.1 ms (half of them), and 95 of 100 within 21.5 ms" in part.words
    assert "on a processor with 2 cores" in part.words and ("Files that an answer needs", "91 MB") in part.facts


def test_the_page_holds_every_part_and_equal_views_give_equal_bytes(view: RunView) -> None:
    page = render(view)
    for anchor in ("calibration", "curves", "groups", "robustness", "cost"):
        assert f'id="{anchor}"' in page
    assert page == render(view) and "nan" not in page.lower().replace("tenant", "")
