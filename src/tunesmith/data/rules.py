"""Declarative rules: which rows are valid, in words and as expressions."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tunesmith.core.errors import RecipeError
from tunesmith.data.clean import is_missing
from tunesmith.data.prepare_config import Rule
from tunesmith.data.sift import Sifted

MAX_SHOWN_VALUES = 8


@dataclass(frozen=True)
class Check:
    """One condition of a rule: its words, and where it is broken."""

    words: str
    broken: pl.Expr


def quarantine(sifted: Sifted, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Put the rows that break a rule in quarantine; return for each rule how many rows it checked and found broken.

    Every rule sees the same rows: what one rule finds does not hide what another would.
    Raises: RecipeError when a rule names a column that no source has.
    """
    validity = []
    reasons: list[pl.Series] = []
    for rule in rules:
        _check_columns(rule, sifted.kept.columns)
        applies = _applies(rule)
        why = pl.coalesce(
            pl.when(applies & check.broken).then(pl.lit(_reason(rule, check))) for check in checks(rule, applies)
        )
        found = sifted.kept.select(why.alias("why"), applies.alias("applies"))
        reasons.append(found["why"])
        broken = found.height - found["why"].null_count()
        validity.append({"rule": words(rule), "checked": int(found["applies"].sum()), "broken": broken})
    if reasons:
        names = [f"_broken_{i}" for i in range(len(reasons))]
        kept = sifted.kept
        sifted.kept = kept.with_columns(reason.alias(name) for name, reason in zip(names, reasons, strict=True))
        first = pl.coalesce(names)
        every = pl.concat_str(names, separator="; ", ignore_nulls=True)
        sifted.take_out("quarantined", first.is_not_null(), first, reason=every)
        sifted.kept = sifted.kept.drop(names)
    return validity


def words(rule: Rule) -> str:
    """The rule as people read it."""
    described = " and ".join(check.words for check in checks(rule, pl.lit(True)))
    if rule.when is not None:
        described += f" where `{rule.when.column}` is {_listed(rule.when.one_of)}"
    return f"{rule.name}: {described}" if rule.name else described


def checks(rule: Rule, applies: pl.Expr) -> list[Check]:
    """The conditions of a rule, in the order of its fields."""
    name, value, is_there = f"`{rule.column}`", pl.col(rule.column), ~is_missing(rule.column)
    text = value.cast(pl.String)
    made = []
    if rule.not_missing:
        made.append(Check(f"{name} must be there", ~is_there))
    if rule.min_chars is not None:
        short = is_there & (text.str.len_chars() < rule.min_chars)
        made.append(Check(f"{name} needs at least {rule.min_chars} characters", short))
    if rule.max_chars is not None:
        long = is_there & (text.str.len_chars() > rule.max_chars)
        made.append(Check(f"{name} may have at most {rule.max_chars} characters", long))
    if rule.pattern is not None:
        made.append(Check(f"{name} must match {rule.pattern}", is_there & ~text.str.contains(rule.pattern)))
    if rule.one_of is not None:
        stranger = is_there & ~text.is_in(list(rule.one_of))
        made.append(Check(f"{name} must be {_listed(rule.one_of)}", stranger))
    made.extend(_bounds(rule, name, value, is_there))
    if rule.unique:
        repeated = is_there & ~pl.when(applies & is_there).then(text).is_first_distinct()
        made.append(Check(f"{name} must not repeat", repeated))
    for other, is_same in ((rule.equals_column, True), (rule.differs_from, False)):
        if other is not None:
            compared = pl.col(other).cast(pl.String)
            clash = text != compared if is_same else text == compared
            verb = "equal" if is_same else "differ from"
            made.append(Check(f"{name} must {verb} `{other}`", is_there & ~is_missing(other) & clash))
    return made


def _bounds(rule: Rule, name: str, value: pl.Expr, is_there: pl.Expr) -> list[Check]:
    number = value.cast(pl.Float64, strict=False)
    no_number = number.is_null() | number.is_nan()
    made = []
    if rule.minimum is not None:
        made.append(
            Check(f"{name} must be at least {rule.minimum:g}", is_there & (no_number | (number < rule.minimum)))
        )
    if rule.maximum is not None:
        made.append(Check(f"{name} must be at most {rule.maximum:g}", is_there & (no_number | (number > rule.maximum))))
    return made


def _reason(rule: Rule, check: Check) -> str:
    return f"rule {rule.name}: {check.words}" if rule.name else f"rule: {check.words}"


def _applies(rule: Rule) -> pl.Expr:
    if rule.when is None:
        # A bare literal would be one value, not one a row.
        return pl.col(rule.column).is_null() | True
    return pl.col(rule.when.column).cast(pl.String).is_in(list(rule.when.one_of)).fill_null(False)


def _listed(values: Sequence[str]) -> str:
    shown = " or ".join(values[:MAX_SHOWN_VALUES])
    return f"{shown} or {len(values) - MAX_SHOWN_VALUES} others" if len(values) > MAX_SHOWN_VALUES else shown


def _check_columns(rule: Rule, columns: Sequence[str]) -> None:
    known = [column for column in columns if not column.startswith("_")]
    for column in (rule.column, rule.when and rule.when.column, rule.equals_column, rule.differs_from):
        if column and column not in known:
            near = difflib.get_close_matches(column, known, n=1)
            raise RecipeError(
                f"a rule names the column `{column}`, which no source has",
                seen=column,
                allowed=", ".join(known),
                next=f"did you mean `{near[0]}`?" if near else "map it under the source's `columns`",
            )
