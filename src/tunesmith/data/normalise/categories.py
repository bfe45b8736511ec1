"""Names of categories, each written in one way."""

from __future__ import annotations

import polars as pl

from tunesmith.data.normalise.config import CategoryConfig
from tunesmith.data.normalise.reading import Reading, plain
from tunesmith.texts.repair import single_spaced


def read(values: pl.Series, config: CategoryConfig) -> Reading:
    """The column's categories by their names."""
    text = plain(values)
    tidy = single_spaced(pl.col("text"))
    folded = tidy.str.to_lowercase()
    names = {name.strip().lower(): name for name in config.values or ()}
    known = names | {written.strip().lower(): name for written, name in config.synonyms.items()}
    cased = {"keep": tidy, "lower": folded, "upper": tidy.str.to_uppercase()}[config.case]
    found = folded.replace_strict(known, default=None, return_dtype=pl.String) if known else pl.lit(None, pl.String)
    # A synonym's name counts as one of the values when it is listed there.
    after = found if config.values is not None else pl.coalesce(found, cased)
    if config.values is not None:
        after = pl.when(after.is_in(list(config.values))).then(after)
    frame = text.to_frame("text").select(
        after.alias("after"),
        pl.when(pl.col("text").is_not_null() & after.is_null()).then(pl.lit("not a known name")).alias("why"),
    )
    return Reading(frame["after"], frame["why"])
