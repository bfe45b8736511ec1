"""The functions of expressions: one row each, with the form shown in errors and in the documentation."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from tunesmith.core.errors import RecipeError
from tunesmith.data.expressions.parse import Value, same_kind
from tunesmith.data.normalise.dates import iso_moment
from tunesmith.data.normalise.numbers import number_text

if TYPE_CHECKING:
    from tunesmith.data.expressions.parse import _Translation

MANY = 50


class Arguments:
    """The values a function is called with, each asked for as what it must be."""

    def __init__(self, translation: _Translation, node: ast.Call) -> None:
        self._translation, self._node = translation, node

    def __len__(self) -> int:
        return len(self._node.args)

    def text(self, place: int = 0) -> pl.Expr:
        """A text."""
        return self._translation.text(self._node.args[place])

    def number(self, place: int = 0) -> pl.Expr:
        """A number."""
        return self._translation.number(self._node.args[place])

    def moment(self, place: int = 0) -> pl.Expr:
        """A date or time, from a text in ISO form; another one is missing."""
        return iso_moment(self.text(place))

    def any(self, place: int = 0) -> Value:
        """A value of any kind."""
        return self._translation.value(self._node.args[place])

    def all(self) -> list[Value]:
        """Every value."""
        return [self.any(place) for place in range(len(self))]

    def written(self, place: int) -> str:
        """A text that stands in the expression itself.

        Raises: RecipeError when it is computed.
        """
        value = self.any(place)
        if not value.is_literal or not isinstance(value.literal, str):
            raise self._wrong("a text in quotation marks", place)
        return value.literal

    def whole(self, place: int, default: int, least: int) -> int:
        """A whole number that stands in the expression itself.

        Raises: RecipeError when it is computed, or too small.
        """
        if place >= len(self):
            return default
        value = self.any(place)
        if not value.is_literal or type(value.literal) is not int or value.literal < least:
            raise self._wrong(f"a whole number from {least} on", place)
        return value.literal

    def pattern(self, place: int) -> str:
        """A regular expression that stands in the expression itself.

        Raises: RecipeError when the engine that will run it does not take it.
        """
        pattern = self.written(place)
        try:
            pl.Series([""]).str.contains(pattern, strict=True)
        except pl.exceptions.ComputeError as error:
            raise RecipeError(
                "not a usable regular expression (Rust syntax: no look-around, no back-references)",
                seen=f"{pattern}: {error}",
            ) from None
        return pattern

    def column(self) -> Value:
        """The column whose name is given as a text."""
        return self._translation.column(self.written(0))

    def same_kind(self) -> Value:
        """The first value that is not missing."""
        values = self.all()
        kind = same_kind(values, ast.unparse(self._node))
        return Value(kind, pl.coalesce(value.expr for value in values))

    def _wrong(self, needed: str, place: int) -> RecipeError:
        return RecipeError(f"`{ast.unparse(self._node.args[place])}` must be {needed}", seen=ast.unparse(self._node))


@dataclass(frozen=True)
class Function:
    """A function: its form in words, how many values it takes, and what it makes of them."""

    form: str
    least: int
    most: int
    make: Callable[[Arguments], Value]


def as_text(value: Value) -> pl.Expr:
    """A value written as text: whole numbers without a point, truths as `true` and `false`."""
    if value.kind != "number":
        return value.expr.cast(pl.String)
    return number_text(value.expr)


def _concat(given: Arguments) -> Value:
    return Value("text", pl.concat_str([as_text(value).fill_null("") for value in given.all()]))


def _join(given: Arguments) -> Value:
    parts = [as_text(value) for value in given.all()[1:]]
    there = [pl.when(part.str.strip_chars() != "").then(part) for part in parts]
    joined = pl.concat_str(there, separator=given.written(0), ignore_nulls=True)
    return Value("text", pl.when(pl.any_horizontal(part.is_not_null() for part in there)).then(joined))


def _is_missing(given: Arguments) -> Value:
    value = given.any()
    missing = value.expr.is_null()
    return Value("truth", missing | (value.expr.str.strip_chars() == "") if value.kind == "text" else missing)


def _number(given: Arguments) -> Value:
    value = given.any()
    if value.kind == "text":
        return Value("number", _finite(value.expr.str.strip_chars().cast(pl.Float64, strict=False)))
    return Value("number", value.expr.cast(pl.Float64))


def _finite(number: pl.Expr) -> pl.Expr:
    return pl.when(number.is_finite()).then(number)


def _extract(given: Arguments) -> Value:
    pattern, group = given.pattern(1), given.whole(2, 1, 0)
    groups = pl.Series([""]).str.extract_groups(pattern).struct.fields
    if group > len(groups):
        raise RecipeError(
            f"`extract` finds no group {group} in the pattern",
            seen=pattern,
            next="put parentheses around the part to extract, or write 0 for the whole match",
        )
    return Value("text", given.text().str.extract(pattern, group))


def _text(make: Callable[[Arguments], pl.Expr]) -> Callable[[Arguments], Value]:
    return lambda given: Value("text", make(given))


def _counted(make: Callable[[Arguments], pl.Expr]) -> Callable[[Arguments], Value]:
    # Signed: `len(a) - len(b)` may be below zero.
    return lambda given: Value("number", make(given).cast(pl.Int64))


def _real(make: Callable[[Arguments], pl.Expr]) -> Callable[[Arguments], Value]:
    return lambda given: Value("number", make(given))


def _true(make: Callable[[Arguments], pl.Expr]) -> Callable[[Arguments], Value]:
    return lambda given: Value("truth", make(given))


def _numbers(given: Arguments) -> list[pl.Expr]:
    return [given.number(place) for place in range(len(given))]


FUNCTIONS: dict[str, Function] = {
    "col": Function("col('column name')", 1, 1, lambda given: given.column()),
    "coalesce": Function(
        "coalesce(first, second, ..): the first that is there", 1, MANY, lambda given: given.same_kind()
    ),
    "is_missing": Function("is_missing(value): null or blank", 1, 1, _is_missing),
    "text": Function("text(value): written as text", 1, 1, lambda given: Value("text", as_text(given.any()))),
    "number": Function("number(text): missing where it is none", 1, 1, _number),
    "concat": Function("concat(a, b, ..): missing ones are empty", 1, MANY, _concat),
    "join": Function("join(separator, a, b, ..): missing and blank ones are left out", 2, MANY, _join),
    "len": Function("len(text): characters", 1, 1, _counted(lambda given: given.text().str.len_chars())),
    "word_count": Function("word_count(text)", 1, 1, _counted(lambda given: given.text().str.count_matches(r"\S+"))),
    "lower": Function("lower(text)", 1, 1, _text(lambda given: given.text().str.to_lowercase())),
    "upper": Function("upper(text)", 1, 1, _text(lambda given: given.text().str.to_uppercase())),
    "trim": Function("trim(text)", 1, 1, _text(lambda given: given.text().str.strip_chars())),
    "slice": Function(
        "slice(text, start from 0, characters)",
        3,
        3,
        _text(lambda given: given.text().str.slice(given.whole(1, 0, 0), given.whole(2, 1, 1))),
    ),
    "replace": Function(
        "replace(text, old, new)",
        3,
        3,
        _text(lambda given: given.text().str.replace_all(given.written(1), given.written(2), literal=True)),
    ),
    "replace_pattern": Function(
        "replace_pattern(text, pattern, new)",
        3,
        3,
        _text(lambda given: given.text().str.replace_all(given.pattern(1), given.written(2))),
    ),
    "extract": Function("extract(text, pattern, group = 1): missing where nothing is found", 2, 3, _extract),
    "contains": Function(
        "contains(text, part)", 2, 2, _true(lambda given: given.text().str.contains(given.text(1), literal=True))
    ),
    "matches": Function(
        "matches(text, pattern)", 2, 2, _true(lambda given: given.text().str.contains(given.pattern(1)))
    ),
    "starts_with": Function(
        "starts_with(text, part)", 2, 2, _true(lambda given: given.text().str.starts_with(given.text(1)))
    ),
    "ends_with": Function(
        "ends_with(text, part)", 2, 2, _true(lambda given: given.text().str.ends_with(given.text(1)))
    ),
    "round": Function(
        "round(number, digits = 0)",
        1,
        2,
        _real(lambda given: given.number().cast(pl.Float64).round(given.whole(1, 0, 0))),
    ),
    "floor": Function("floor(number)", 1, 1, _real(lambda given: given.number().cast(pl.Float64).floor())),
    "ceil": Function("ceil(number)", 1, 1, _real(lambda given: given.number().cast(pl.Float64).ceil())),
    "abs": Function("abs(number)", 1, 1, _real(lambda given: given.number().abs())),
    "log": Function("log(number): natural; missing up to 0", 1, 1, _real(lambda given: _finite(given.number().log()))),
    "sqrt": Function("sqrt(number): missing below 0", 1, 1, _real(lambda given: _finite(given.number().sqrt()))),
    "min": Function(
        "min(a, b, ..): missing ones aside", 2, MANY, _real(lambda given: pl.min_horizontal(_numbers(given)))
    ),
    "max": Function(
        "max(a, b, ..): missing ones aside", 2, MANY, _real(lambda given: pl.max_horizontal(_numbers(given)))
    ),
    "year": Function("year(date)", 1, 1, _counted(lambda given: given.moment().dt.year())),
    "month": Function("month(date)", 1, 1, _counted(lambda given: given.moment().dt.month())),
    "day": Function("day(date)", 1, 1, _counted(lambda given: given.moment().dt.day())),
    "weekday": Function(
        "weekday(date): Monday 1 to Sunday 7", 1, 1, _counted(lambda given: given.moment().dt.weekday())
    ),
    "hour": Function("hour(date and time)", 1, 1, _counted(lambda given: given.moment().dt.hour())),
    "days_between": Function(
        "days_between(earlier date, later date)",
        2,
        2,
        _counted(lambda given: (given.moment(1) - given.moment(0)).dt.total_days()),
    ),
}
