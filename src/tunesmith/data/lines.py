"""Texts of several lines: lines that a text repeats, and lines that many texts share."""

from __future__ import annotations

import math

import polars as pl

from tunesmith.data.changes import Changes
from tunesmith.data.missing_column import check_column
from tunesmith.data.noise_config import BoilerplateConfig, NoiseConfig
from tunesmith.data.refusal import refuse

MIN_LINES = 3
"""Lines from which on a text is judged by those that it repeats."""
ROW, LINE, KEY = "_row", "_line", "_line_key"


def examined(frame: pl.DataFrame, config: NoiseConfig, changes: Changes) -> pl.DataFrame:
    """The frame with shared lines cut out of its texts and texts that repeat their own lines marked as refused, as far
    as the recipe asks for it; must see the texts before white space is repaired."""
    if config.repeated_lines is not None and "text" in frame.columns:
        repeats = _repeating(frame, config.repeated_lines)
        frame = refuse(frame.with_columns(repeats), pl.col(repeats.name)).drop(repeats.name)
    if config.boilerplate is not None:
        frame = _without_boilerplate(frame, config.boilerplate, changes)
    return frame


def _lines(frame: pl.DataFrame, column: str = "text") -> pl.DataFrame:
    """Every line that is not blank of the cells with several lines, with the number of its row."""
    return (
        frame.select(pl.int_range(pl.len(), dtype=pl.Int64).alias(ROW), pl.col(column).cast(pl.String).alias(LINE))
        .filter(pl.col(LINE).str.contains(r"\n|\r"))
        .with_columns(pl.col(LINE).str.replace_all(r"\r\n?", "\n").str.split("\n"))
        .explode(LINE)
        .with_columns(pl.col(LINE).str.strip_chars().str.to_lowercase().alias(KEY))
        .filter(pl.col(KEY) != "")
    )


def _repeating(frame: pl.DataFrame, most: float) -> pl.Series:
    lines = _lines(frame).with_columns(
        pl.col(KEY).str.len_chars().alias("chars"), pl.struct(ROW, KEY).is_first_distinct().alias("first")
    )
    shares = lines.group_by(ROW).agg(
        (pl.col("chars").filter(~pl.col("first")).sum() / pl.col("chars").sum()).alias("share"), pl.len().alias("lines")
    )
    rows = shares.filter((pl.col("lines") >= MIN_LINES) & (pl.col("share") > most))[ROW]
    place = pl.int_range(frame.height, dtype=pl.Int64, eager=True)
    marked = place.is_in(rows.implode())
    why = f"text repeats its own lines: more than {most:.0%} of it"
    return pl.select(pl.when(marked).then(pl.lit(why)).alias("_repeats")).to_series()


def _without_boilerplate(frame: pl.DataFrame, config: BoilerplateConfig, changes: Changes) -> pl.DataFrame:
    column = config.column
    check_column(frame, column, "`noise.boilerplate`")
    lines = _lines(frame, column)
    num_texts = lines[ROW].n_unique()
    least = max(config.min_rows, math.ceil(config.min_share * num_texts))
    shared = (
        lines.filter(pl.col(KEY).str.count_matches(r"\S+") >= config.min_words)
        .group_by(KEY)
        .agg(pl.col(ROW).n_unique().alias("rows"))
        .filter(pl.col("rows") >= least)[KEY]
    )
    if shared.is_empty():
        return frame
    touched = lines.filter(pl.col(KEY).is_in(shared.implode()))[ROW].unique()
    left = (
        lines.filter(~pl.col(KEY).is_in(shared.implode()))
        .group_by(ROW, maintain_order=True)
        .agg(pl.col(LINE).str.join("\n").alias("_left"))
    )
    place = pl.int_range(frame.height, dtype=pl.Int64, eager=True).alias(ROW)
    cut = frame.with_columns(place, place.is_in(touched.implode()).alias("_touched")).join(
        left, on=ROW, how="left", maintain_order="left"
    )
    is_all = pl.col("_touched") & pl.col("_left").is_null()
    after = cut.select(pl.when(pl.col("_touched") & ~is_all).then("_left").otherwise(column).alias(column)).to_series()
    changes.changed("boilerplate", frame, column, after)
    why = pl.when(is_all).then(pl.lit(f"`{column}` is boilerplate only: every line of it stands in many texts"))
    return refuse(cut, why).with_columns(after).drop(ROW, "_touched", "_left")
