"""Numbers in the ways people write them."""

from __future__ import annotations

from typing import Literal

import polars as pl

from tunesmith.data.normalise.config import NumberConfig
from tunesmith.data.normalise.reading import Reading, first_reason, plain

SCALES = {"k": 1e3, "m": 1e6, "mn": 1e6, "bn": 1e9, "b": 1e9}
_PARTS = r"(?i)^(\()?\s*([+-])?\s*([\d.,]+)(e[+-]?\d{1,3})?\s*(%|k|mn|m|bn|b)?\s*(\))?$"
_SPACES = r"(\d)[\s'’\u{00A0}\u{2009}\u{202F}](\d{3})"
_POINT = r"^(\d{1,3}(,\d{3})+|\d+)?(\.\d+)?$|^\d+\.$"
_COMMA = r"^(\d{1,3}(\.\d{3})+|\d+)?(,\d+)?$|^\d+,$"
EXACT_INTEGER = 2.0**53

Decimal = Literal["auto", "point", "comma"]


def read(values: pl.Series, config: NumberConfig) -> Reading:
    """The column's numbers as text in one form."""
    text = plain(values)
    stripped = text.to_frame("text").lazy()
    for ignored in config.ignore:
        stripped = stripped.with_columns(pl.col("text").str.replace_all(ignored, "", literal=True).str.strip_chars())
    found = numbers(stripped.collect()["text"], config.decimal)
    frame = found.with_columns(first_reason(pl.col("why"), *_out_of_range(config)).alias("why"))
    after = frame.select(pl.when(pl.col("why").is_null()).then(number_text(pl.col("number")))).to_series()
    return Reading(after, frame["why"], {found["style"][0]: frame["ambiguous"]} if frame["ambiguous"].any() else {})


def numbers(text: pl.Series, decimal: Decimal) -> pl.DataFrame:
    """For each text its ``number``, or ``why`` it has none; whether it was ``ambiguous``, and how such were read
    (``style``, the same in all rows)."""
    parts = text.to_frame("text").select(
        pl.col("text"),
        # Twice: neighbouring groups share a digit.
        pl.col("text").str.replace_all("−", "-").str.replace_all(_SPACES, "$1$2").str.replace_all(_SPACES, "$1$2")
        .str.extract_groups(_PARTS).alias("parts"),
    ).unnest("parts")  # fmt: skip
    body = pl.col("3")
    parts = parts.with_columns(
        (body.str.contains(_POINT) & body.str.contains(r"\d")).alias("point"),
        (body.str.contains(_COMMA) & body.str.contains(r"\d")).alias("comma"),
        body.str.replace_all(",", "").cast(pl.Float64, strict=False).alias("as_point"),
        body.str.replace_all(r"\.", "").str.replace(",", ".").cast(pl.Float64, strict=False).alias("as_comma"),
        (pl.col("1").is_null() == pl.col("6").is_null()).alias("is_closed"),
    )
    both = pl.col("point") & pl.col("comma") & (pl.col("as_point") != pl.col("as_comma"))
    style = decimal if decimal != "auto" else _style(parts)
    reads = {"point": pl.lit(True), "comma": pl.lit(False), "mixed": pl.lit(None, pl.Boolean)}[style]
    is_stated = decimal != "auto"
    use_point = pl.when(both).then(reads).otherwise(reads if is_stated else pl.col("point"))
    value = pl.when(use_point & pl.col("point")).then("as_point").when(~use_point & pl.col("comma")).then("as_comma")
    negative = (pl.col("2") == "-").fill_null(False) != pl.col("1").is_not_null()
    factor = pl.col("5").str.to_lowercase().replace_strict({**SCALES, "%": 0.01}, default=1.0, return_dtype=pl.Float64)
    exponent = pl.lit(10.0).pow(pl.col("4").str.slice(1).cast(pl.Float64, strict=False).fill_null(0.0))
    scaled = value * factor * exponent * pl.when(negative).then(-1.0).otherwise(1.0)
    # 57 % is 57 × 0.01 = 0.5700000000000001 in binary: fifteen digits are what a double holds.
    number = pl.when(pl.col("is_closed") & scaled.is_finite()).then(scaled.round_sig_figs(15) + 0.0)
    why = (
        pl.when(pl.col("text").is_null() | number.is_not_null())
        .then(pl.lit(None, pl.String))
        .when(both & pl.lit(style == "mixed"))
        .then(pl.lit("point or comma: ambiguous"))
        .otherwise(pl.lit("not a number"))
    )
    return parts.select(
        number.alias("number"),
        why.alias("why"),
        (both & number.is_not_null() & (not is_stated)).fill_null(False).alias("ambiguous"),
        pl.lit(f"ambiguous, read with a decimal {style}").alias("style"),
    )


def number_text(number: pl.Expr) -> pl.Expr:
    """A number as text: whole ones without a point, others as short as they read back."""
    real = number.cast(pl.Float64)
    whole = (real == real.round(0)) & (real.abs() < EXACT_INTEGER)
    return pl.when(whole).then(real.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(real.cast(pl.String))


def _out_of_range(config: NumberConfig) -> list[pl.Expr]:
    reasons: list[pl.Expr] = []
    if config.minimum is not None:
        reasons.append(pl.when(pl.col("number") < config.minimum).then(pl.lit(f"below {config.minimum:g}")))
    if config.maximum is not None:
        reasons.append(pl.when(pl.col("number") > config.maximum).then(pl.lit(f"above {config.maximum:g}")))
    return reasons


def _style(parts: pl.DataFrame) -> Literal["point", "comma", "mixed"]:
    """How ambiguous values of a column are read: by those that can be read in one way only."""
    only_point, only_comma = parts.select(
        (pl.col("point") & ~pl.col("comma")).any(), (pl.col("comma") & ~pl.col("point")).any()
    ).row(0)
    return "mixed" if only_point and only_comma else "comma" if only_comma else "point"
