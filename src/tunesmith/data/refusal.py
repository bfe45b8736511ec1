"""Rows that a step refuses before they are sifted: marked with the reason, taken out when all steps are done."""

from __future__ import annotations

import polars as pl

WHY, SEEN = "_refused_why", "_refused_seen"


def refuse(frame: pl.DataFrame, why: pl.Expr, seen: pl.Expr | None = None) -> pl.DataFrame:
    """The frame with the rows marked where a reason is given; a row's first reason counts, all are shown."""
    seen = why if seen is None else seen
    if WHY not in frame.columns:
        return frame.with_columns(why.alias(WHY), seen.alias(SEEN))
    return frame.with_columns(
        pl.coalesce(WHY, why).alias(WHY),
        pl.concat_str(pl.col(SEEN), seen, separator="; ", ignore_nulls=True).replace("", None).alias(SEEN),
    )
