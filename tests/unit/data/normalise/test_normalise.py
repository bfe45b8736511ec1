"""Values written in one way: what is read, what is not, and how a column as a whole decides what is ambiguous."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tunesmith.core.errors import RecipeError
from tunesmith.data import changes as changes_of
from tunesmith.data.changes import Changes
from tunesmith.data.normalise.columns import normalised, read
from tunesmith.data.normalise.config import (
    CategoryConfig,
    DateConfig,
    NormalConfig,
    NumberConfig,
    TimeConfig,
    UnitConfig,
)
from tunesmith.data.refusal import WHY


def after(values: list[str | None], config: NormalConfig) -> list[str | None]:
    return read(pl.Series(values, dtype=pl.String), config).after.to_list()


def reasons(values: list[str | None], config: NormalConfig) -> list[str | None]:
    return read(pl.Series(values, dtype=pl.String), config).why.to_list()


def notes(values: list[str | None], config: NormalConfig) -> dict[str, int]:
    return {what: int(rows.sum()) for what, rows in read(pl.Series(values, dtype=pl.String), config).notes.items()}


def test_numbers_with_a_point() -> None:
    written = ["1,234.5", "(12)", "12 %", "57%", "3k", "1.5M", "−3", "1e3", ".5", "1 234 567", "12.", "+7", "2bn"]
    read_as = [
        "1234.5",
        "-12",
        "0.12",
        "0.57",
        "3000",
        "1500000",
        "-3",
        "1000",
        "0.5",
        "1234567",
        "12",
        "7",
        "2000000000",
    ]
    assert after(list(written), NumberConfig()) == read_as


def test_numbers_that_are_none() -> None:
    strange: list[str | None] = ["abc", "$5", "1,23,4", "12x", "(12", "1.2.3", "--1", "5 apples"]
    assert after([*strange, "1.5", None, " "], NumberConfig()) == [None] * len(strange) + ["1.5", None, None]
    assert reasons([*strange, None, " "], NumberConfig()) == ["not a number"] * len(strange) + [None, None]


def test_a_column_decides_what_parts_its_decimals() -> None:
    assert after(["1.234,5", "1.234", "12,5"], NumberConfig()) == ["1234.5", "1234", "12.5"]
    assert notes(["1.234,5", "1.234", "12,5"], NumberConfig()) == {"ambiguous, read with a decimal comma": 1}
    assert after(["1,234.5", "1,234"], NumberConfig()) == ["1234.5", "1234"]
    # Nothing decides: the point, and it is said.
    assert after(["1,234", "5"], NumberConfig()) == ["1234", "5"]
    # Both occur: what can be read in two ways is not guessed.
    assert reasons(["1,5", "1.5", "1,234"], NumberConfig()) == [None, None, "point or comma: ambiguous"]
    assert after(["1.234", "1,234"], NumberConfig(decimal="comma")) == ["1234", "1.234"]
    assert notes(["1.234"], NumberConfig(decimal="comma")) == {}


def test_numbers_out_of_range_and_ignored_texts() -> None:
    config = NumberConfig(ignore=("$", "USD"), minimum=0, maximum=100)
    assert after(["$5", "7 USD", "-1", "101"], config) == ["5", "7", None, None]
    assert reasons(["$5", "7 USD", "-1", "101"], config) == [None, None, "below 0", "above 100"]


@settings(max_examples=200, deadline=None)
@given(st.floats(min_value=-1e12, max_value=1e12).map(lambda number: round(number, 3)))
def test_a_written_number_is_read_back(number: float) -> None:
    for text in (f"{number:,.3f}", f"{number:.3f}", f"({-number:,.3f})" if number < 0 else f"{number:.3f}"):
        assert float(after([text, "0.5"], NumberConfig())[0] or "nan") == pytest.approx(number, abs=1e-9, rel=1e-14)
    german = f"{number:,.3f}".replace(",", "_").replace(".", ",").replace("_", ".")
    assert float(after([german, "0,5"], NumberConfig(decimal="comma"))[0] or "nan") == pytest.approx(number, rel=1e-14)


def test_dates_in_many_forms() -> None:
    written = {
        "2024-03-01": "2024-03-01", "2024/3/1": "2024-03-01", "13/3/2024": "2024-03-13", "1. March 2024": "2024-03-01",
        "Mar 1, 2024 7:10 pm": "2024-03-01T19:10:00", "March 3rd, 2024": "2024-03-03", "20240301": "2024-03-01",
        "31.12.99": "1999-12-31", "31-12-24": "2024-12-31", "Fri, 1 Mar 2024": "2024-03-01",
        "2024-03-01T23:30:00-02:00": "2024-03-02T01:30:00Z", "2024-03-01 10:00Z": "2024-03-01T10:00:00Z",
        "29/2/2024": "2024-02-29", "1 Sept 2024": "2024-09-01",
    }  # fmt: skip
    assert after(list(written), DateConfig()) == list(written.values())


def test_dates_that_are_none() -> None:
    strange: list[str | None] = [
        "2024-02-30",
        "29/2/2023",
        "nonsense",
        "2024-13-01",
        "2024-03-01 25:00",
        "32 March 2024",
    ]
    assert reasons(strange, DateConfig()) == ["not a date"] * len(strange)
    assert reasons([None, ""], DateConfig()) == [None, None]


def test_a_column_decides_whether_the_day_comes_first() -> None:
    assert after(["1/3/2024", "13/3/2024"], DateConfig()) == ["2024-03-01", "2024-03-13"]
    assert notes(["1/3/2024", "13/3/2024"], DateConfig()) == {"ambiguous, read day first": 1}
    assert after(["1/3/2024", "3/13/2024"], DateConfig()) == ["2024-01-03", "2024-03-13"]
    assert after(["3/3/2024"], DateConfig()) == ["2024-03-03"]
    for column in (["1/3/2024"], ["1/3/2024", "13/1/2024", "1/13/2024"]):
        assert reasons(list(column), DateConfig())[0] == "day or month first: ambiguous"
    assert after(["1/3/2024"], DateConfig(day_first=True)) == ["2024-03-01"]
    assert after(["1/3/2024"], DateConfig(day_first=False)) == ["2024-01-03"]
    # Stated, so a date that does not fit is none.
    assert reasons(["1/13/2024"], DateConfig(day_first=True)) == ["not a date"]


def test_dates_out_of_range() -> None:
    config = DateConfig(earliest=dt.date(1990, 1, 1), latest=dt.date(2024, 12, 31))
    assert reasons(["1989-12-31", "1990-01-01", "2024-12-31", "2025-01-01"], config) == [
        "before 1990-01-01", None, None, "after 2024-12-31",
    ]  # fmt: skip


def test_a_written_date_is_read_back() -> None:
    """Every day that two digits of a year can mean."""
    forms = ["%Y-%m-%d", "%d %B %Y", "%B %d, %Y", "%d.%m.%Y", "%d/%m/%y", "%Y%m%d", "%a, %d %b %Y"]
    first, last = dt.date(1970, 1, 1), dt.date(2068, 12, 31)
    days = [first + dt.timedelta(number) for number in range((last - first).days + 1)]
    for form in forms:
        values: list[str | None] = [day.strftime(form) for day in days]
        assert after(values, DateConfig(day_first=True)) == [day.isoformat() for day in days], form


def test_times_of_day() -> None:
    values: list[str | None] = ["7:10 a.m.", "7:10pm", "19:10", "12:00 am", "12:30 P.M.", "25:00", "13:00 pm", "7:60"]
    assert after(values, TimeConfig()) == ["07:10", "19:10", "19:10", "00:00", "12:30", None, None, None]
    longer: list[str | None] = ["12/02/2011 6:55 a.m.", "10:34A 12-01-11", "Thu  22:25", "12:21aDec 2", "8:00 to 9:00"]
    assert after(longer, TimeConfig()) == [None] * 5
    assert after(longer, TimeConfig(search=True)) == ["06:55", "10:34", "22:25", "00:21", None]


def test_units() -> None:
    assert after(["1.5 kg", "500g", "2 lbs", "16 oz"], UnitConfig(to="kg")) == [
        "1.5",
        "0.5",
        "0.90718474",
        "0.45359237",
    ]
    assert after(["6 ft", '12"', "3.5 km", "1 mile"], UnitConfig(to="m")) == ["1.8288", "0.3048", "3500", "1609.344"]
    assert after(["32 F", "100 °C", "300K", "0"], UnitConfig(to="C", bare="C")) == ["0", "100", "26.85", "0"]
    assert after(["212 F", "-40C"], UnitConfig(to="F")) == ["212", "-40"]
    assert after(["90 min", "1.5h", "30 s"], UnitConfig(to="h")) == ["1.5", "1.5", "0.00833333333"]
    assert reasons(["2", "5 m", "abc", "1 kg"], UnitConfig(to="kg")) == [
        "a number without a unit", "not a unit of mass", "no number with a unit", None,
    ]  # fmt: skip


def test_units_that_cannot_be() -> None:
    for what, words in (
        ({"to": "EUR"}, "currency"),
        ({"to": "stone"}, "no unit"),
        ({"to": "kg", "bare": "m"}, "length"),
    ):
        with pytest.raises(ValidationError, match=words):
            UnitConfig(**what)


def test_categories() -> None:
    config = CategoryConfig(synonyms={"u.k.": "UK", "England": "UK"}, case="lower")
    assert after(["  U.K. ", "england", "New   York", None], config) == ["UK", "UK", "new york", None]
    assert after(["YES", " no", "maybe"], CategoryConfig(values=("yes", "no"))) == ["yes", "no", None]


def frame(**columns: list[str | None]) -> pl.DataFrame:
    size = len(next(iter(columns.values())))
    rows = {"row_id": [f"r{i}" for i in range(size)], "source_id": ["a", "b"] * (size // 2) + ["a"] * (size % 2)}
    return pl.DataFrame({**rows, **columns})


@pytest.mark.parametrize(
    ("failed", "values", "refused"),
    [
        ("keep", ["7", "x", None, "1.5"], 0),
        ("missing", ["7", None, None, "1.5"], 0),
        ("quarantine", ["7", "x", None, "1.5"], 1),
    ],
)
def test_what_happens_to_a_value_that_cannot_be_read(
    failed: str, values: list[str | None], refused: int, tmp_path: Path
) -> None:
    changes = Changes(tmp_path)
    config = NumberConfig.model_validate({"failed": failed})
    before = frame(amount=["7.0", "x", None, "1.50"])
    made = normalised(before, {"amount": config}, changes)
    assert made["amount"].to_list() == values
    assert (made[WHY].drop_nulls().to_list() if WHY in made.columns else []) == ["`amount`: not a number"] * refused
    counted = {one["outcome"]: one for one in changes.facts()}
    words = {"keep": "kept as it was", "missing": "made missing", "quarantine": "quarantined"}[failed]
    assert counted[f"not a number: {words}"]["by_source"] == {"b": 1}
    assert changes_of.undone(made, tmp_path)["amount"].to_list() == before["amount"].to_list()


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="`amuont`") as caught:
        normalised(frame(amount=["1"]), {"amuont": NumberConfig()}, Changes(tmp_path))
    assert caught.value.next == "did you mean `amount`?"
