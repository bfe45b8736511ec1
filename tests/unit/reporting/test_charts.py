"""Axes, charts and the words of numbers."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.reporting import wording
from tunesmith.reporting.charts.axis import Axis
from tunesmith.reporting.charts.curves import MAX_POINTS, Curve, curve_chart, thinned
from tunesmith.reporting.charts.intervals import Bar, interval_chart
from tunesmith.reporting.charts.matrix import matrix_chart
from tunesmith.reporting.charts.scatter import MAX_DOTS, scatter_chart

FINITE = st.floats(-1e9, 1e9, allow_nan=False)


def texts(axis: Axis) -> list[str]:
    return [tick.text for tick in axis.ticks]


def test_ticks_are_round_numbers() -> None:
    assert texts(Axis.around([0.013, 0.95])) == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert texts(Axis.around([-0.016, 0.94])) == ["−0.2", "0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert texts(Axis.around([0.71, 0.92])) == ["0.70", "0.75", "0.80", "0.85", "0.90", "0.95"]
    assert texts(Axis.along([1.0, 17.0])) == ["0", "3", "6", "9", "12", "15"]


@given(st.lists(FINITE, min_size=1, max_size=20))
def test_an_axis_holds_its_values_with_a_few_ticks(values: list[float]) -> None:
    axis = Axis.around(values)
    assert all(-0.01 <= axis.at(value) <= 100.01 for value in values)
    assert 2 <= len(axis.ticks) <= 10


def test_an_axis_of_nothing_and_of_one_value() -> None:
    assert Axis.around([math.nan, math.inf]).at(0.5) == 50
    assert Axis.around([3.0]).low < 3 < Axis.around([3.0]).high


def test_interval_places_are_where_the_numbers_say() -> None:
    chart = interval_chart([Bar("a", "", 0.5, 0.25, 1.0, "model", "0.5"), Bar("b", "", 0, 0, 0, "baseline", "0")])
    assert re.search(r'<circle cx="50%"', chart.rows[0].track)
    assert 'x1="25%" x2="100%"' in chart.rows[0].track
    assert 'cx="0%"' in chart.rows[1].track


def test_hostile_names_are_escaped_in_charts() -> None:
    bar = Bar('<script>"', "", 0.5, 0.2, 0.8, "model", "x")
    assert "<script>" not in interval_chart([bar]).rows[0].track
    drawn = matrix_chart(['<b>"', "c"], [[1, 1], [0, 1]])
    assert "<b>" not in drawn
    assert "&lt;b&gt;" in drawn


def test_a_curve_marks_its_best_point_and_leaves_out_what_is_not_finite() -> None:
    points = [(0.0, 2.0), (1.0, math.nan), (2.0, 1.0), (4.0, 0.0)]
    drawn = curve_chart([Curve("loss", "valid", points)], label="loss", best=(2.0, 1.0))
    assert drawn is not None
    assert "nan" not in drawn
    assert 'points="0,0 50,50 100,100"' in drawn
    assert re.search(r'<circle cx="50%" cy="50%" r="6.5" class="ring">', drawn)
    assert curve_chart([Curve("loss", "train", [(0.0, math.nan)])], label="loss") is None


def test_long_curves_are_means_of_equal_stretches() -> None:
    points = [(float(place), float(place)) for place in range(10 * MAX_POINTS)]
    short = thinned(points)
    assert len(short) == MAX_POINTS
    assert short[0] == (4.5, 4.5)


def test_every_row_is_in_the_scatter() -> None:
    few = scatter_chart([1.0, 2.0, 3.0], [1.0, 2.0, 2.5])
    assert few.count("<circle") == 3
    many = [float(place % 50) for place in range(MAX_DOTS + 1)]
    squares = scatter_chart(many, many)
    assert "<circle" not in squares
    assert (
        sum(int(num.replace(",", "")) for num in re.findall(r"<title>([\d,]+) rows?</title>", squares)) == MAX_DOTS + 1
    )


def test_a_matrix_draws_only_cells_that_are_not_empty() -> None:
    drawn = matrix_chart(["a", "b"], [[3, 1], [0, 2]])
    assert drawn.count('class="hit"') == 2
    assert drawn.count('class="miss"') == 1
    assert "a read as b: 1 of 4" in drawn


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (wording.number(0.9127), "0.913"),
        (wording.number(-0.0155, signed=True), "−0.015"),
        (wording.number(1240.4), "1,240"),
        (wording.number(0.00001), "1.0e−05"),
        (wording.number(None), "not measured"),
        (wording.number(math.nan), "not measured"),
        (wording.count(3080), "3,080"),
        (wording.counted(1, "row"), "1 row"),
        (wording.share(1), "100 %"),
        (wording.share(0.9996), "> 99.9 %"),
        (wording.share(0.997), "99.7 %"),
        (wording.share(0.07), "7.0 %"),
        (wording.share(0), "0 %"),
        (wording.span({"low": 0.0002, "high": 0.112}, signed=True), "+0.000 to +0.112"),
        (wording.seconds(0.09), "0.09 s"),
        (wording.seconds(59.7), "1 min 00 s"),
        (wording.seconds(7500), "2 h 05 min"),
        (wording.size(25_276_510_208), "25.3 GB"),
        (wording.moment("2026-11-21T09:26:16+00:00"), "21 November 2026, 09:26 UTC"),
        (wording.moment("yesterday"), "yesterday"),
        (wording.listed(["a", "b", "c"]), "a, b and c"),
        (wording.excerpt("a\nb\tc"), "a ↵ b c"),
        (wording.visible("a\u202eb\x07"), "a⟨U+202E⟩b⟨U+0007⟩"),
        (wording.visible("👩\u200d🔧"), "👩\u200d🔧"),
    ],
)
def test_words(written: str, wanted: str) -> None:
    assert written == wanted


def test_a_long_text_says_how_much_is_left_out() -> None:
    assert wording.excerpt("x" * 300, 280).endswith("… (20 more characters)")


def test_ticks_that_would_touch_are_thinned_and_keep_zero() -> None:
    from tunesmith.reporting.charts.intervals import spaced

    crowded = Axis(-0.7, 0.0, 0.1).ticks
    assert [tick.text for tick in spaced(crowded)] == ["−0.6", "−0.4", "−0.2", "0.0"]
    few = Axis(0.0, 1.0, 0.2).ticks
    assert spaced(few) == few
