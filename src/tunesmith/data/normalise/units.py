"""Measurements brought to one unit."""

from __future__ import annotations

import polars as pl

from tunesmith.data.normalise.config import SPELLINGS, UNITS, UnitConfig, dimension_of
from tunesmith.data.normalise.numbers import number_text, numbers
from tunesmith.data.normalise.reading import Reading, plain

_PARTS = r"""^([-+−(]?[\d\s.,'’]*\d\)?)\s*([^\d\s.,][^\d]*?)?\.?$"""
SHIFT = {"C": 273.15, "F": 459.67 * 5 / 9, "K": 0.0}
"""Kelvin at the zero of each scale of temperature."""


def read(values: pl.Series, config: UnitConfig) -> Reading:
    """The column's measurements as numbers of one unit."""
    text = plain(values)
    parts = text.str.extract_groups(_PARTS).struct
    number = numbers(parts.field("1"), config.decimal)
    dimension = dimension_of(config.to) or ""
    sizes = UNITS[dimension]
    frame = number.with_columns(
        text.alias("text"),
        pl.when(parts.field("2").is_null())
        .then(pl.lit(config.bare, pl.String))
        .otherwise(
            parts.field("2")
            .str.strip_chars()
            .str.to_lowercase()
            .replace_strict(_spelled(), default="", return_dtype=pl.String)
        )
        .alias("unit"),
        parts.field("2").is_null().alias("is_bare"),
    )  # fmt: skip
    size = pl.col("unit").replace_strict(sizes, default=None, return_dtype=pl.Float64)
    made = pl.col("number") * size / sizes[config.to]
    if dimension == "temperature":
        zero = pl.col("unit").replace_strict(SHIFT, default=None, return_dtype=pl.Float64)
        made = (pl.col("number") * size + zero - SHIFT[config.to]) / sizes[config.to]
    why = (
        pl.when(pl.col("text").is_null() | made.is_not_null())
        .then(pl.lit(None, pl.String))
        .when(pl.col("number").is_null())
        .then(pl.coalesce("why", pl.lit("no number with a unit")))
        .when(pl.col("is_bare"))
        .then(pl.lit("a number without a unit"))
        .otherwise(pl.lit(f"not a unit of {dimension}"))
    )
    # Nine digits: more than any scale shows, and 0.1 + 0.2 reads as 0.3.
    rounded = pl.when(made.abs() < 1e-9).then(0.0).otherwise(made.round_sig_figs(9))
    frame = frame.with_columns(number_text(rounded).alias("after"), why.alias("final"))
    ambiguous = frame["ambiguous"] & frame["final"].is_null()
    notes = {frame["style"][0]: ambiguous} if ambiguous.any() else {}
    return Reading(frame["after"], frame["final"], notes)


def _spelled() -> dict[str, str]:
    spelled = {unit.lower(): unit for units in UNITS.values() for unit in units}
    return spelled | {other.lower(): unit for unit, others in SPELLINGS.items() for other in others}
