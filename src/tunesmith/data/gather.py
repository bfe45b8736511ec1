"""Several datasets joined to one frame, columns by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError, StepError
from tunesmith.data import dataset
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.sift import bounded
from tunesmith.data.sources.config import LABEL_COLUMN


@dataclass(frozen=True)
class Gathered:
    """The rows of all sources, the records that ingest refused, and how many records each source had."""

    rows: pl.DataFrame
    refused: pl.DataFrame
    read: dict[str, int]
    mapped: tuple[str, ...]
    notes: tuple[str, ...]


def gather(
    given: Mapping[str, Artifact], made: Collection[str] = (), roles: Sequence[str] = ("text", "label")
) -> Gathered:
    """The rows and refused records of every dataset, in the order given; `made` are columns that later steps add, and
    `roles` those that must be there.

    Raises: DataError when no source has a text or a label; StepError when a dataset lacks rows it says it has.
    """
    if not given:
        raise DataError("there is nothing to prepare", seen="no source", next="name a source under `data.sources`")
    frames: dict[str, pl.DataFrame] = {}
    refused: list[pl.DataFrame] = []
    read: dict[str, int] = {}
    for name, artifact in given.items():
        frame = dataset.scan(artifact).collect()
        frames[name] = frame.with_columns(pl.lit(name).alias("source_id"))
        refused.append(_refused(name, artifact))
        read[name] = int(artifact.facts["rows_read"])
        if frame.height + refused[-1].height != read[name]:
            raise StepError(
                f"the dataset `{name}` does not hold what its facts say",
                seen=f"{frame.height} rows and {refused[-1].height} refused records, {read[name]} read",
                next="run `tunesmith run` again; if it stays, remove this dataset from the workspace",
            )
    mapped = _mapped(frames, made, roles)
    rows, notes = _join(frames, mapped)
    return Gathered(rows, pl.concat(refused), read, mapped, tuple(notes))


def _mapped(frames: Mapping[str, pl.DataFrame], made: Collection[str], roles: Sequence[str]) -> tuple[str, ...]:
    seen = dict.fromkeys(column for frame in frames.values() for column in frame.columns if column not in LINEAGE)
    for role in roles:
        if (
            role not in seen
            and role not in made
            and not (role == "label" and any(name.startswith(LABEL_COLUMN) for name in seen))
        ):
            raise DataError(
                f"no source has a column for `{role}`",
                seen=", ".join(seen) or "no columns",
                next=f"map it in the source: `columns: {{{role}: its name in the source}}`",
            )
    first = tuple(role for role in ("text", "label") if role in seen)
    return (*first, *(column for column in seen if column not in first))


def _refused(name: str, artifact: Artifact) -> pl.DataFrame:
    reason = pl.col("reason").cast(pl.String)
    return dataset.read_refused(artifact).select(
        pl.lit(name).alias("source_id"),
        pl.col("position").cast(pl.Int64),
        pl.lit(None, pl.String).alias("row_id"),
        bounded(pl.col("record").cast(pl.String)),
        reason,
        reason.alias("_why"),
    )


def _join(frames: Mapping[str, pl.DataFrame], mapped: tuple[str, ...]) -> tuple[pl.DataFrame, list[str]]:
    types, notes = _types(frames, mapped)
    parts = []
    for name, frame in frames.items():
        absent = [column for column in mapped if column not in frame.columns]
        # Sources that are no split as a whole have no such column: that is no gap in the data.
        gaps = [f"`{column}`" for column in absent if column != "split"]
        if gaps and not frame.is_empty():
            notes.append(f"source `{name}` has no column {', '.join(gaps)}")
        parts.append(
            frame.select(
                pl.col("row_id", "source_id", "subject").cast(pl.String),
                pl.col("parents").cast(pl.List(pl.String)),
                *(pl.lit(None, types[column]).alias(column) for column in absent),
                *(pl.col(column).cast(types[column]) for column in mapped if column not in absent),
            ).select(*LINEAGE, *mapped)
        )
    return pl.concat(parts), notes


def _types(frames: Mapping[str, pl.DataFrame], mapped: tuple[str, ...]) -> tuple[dict[str, pl.DataType], list[str]]:
    """One type per column: that of its sources where they agree, a float for mixed numbers, else a string."""
    found: dict[str, dict[pl.DataType, str]] = defaultdict(dict)
    for name, frame in frames.items():
        for column, dtype in frame.schema.items():
            if dtype != pl.Null:
                found[column].setdefault(dtype, name)
    types: dict[str, pl.DataType] = {}
    notes = []
    for column in mapped:
        seen = list(found[column])
        if column in ("text", "label") or not seen:
            types[column] = pl.String()
        elif len(seen) == 1:
            types[column] = seen[0]
        elif all(dtype.is_numeric() for dtype in seen):
            types[column] = pl.Float64()
        else:
            types[column] = pl.String()
            words = ", ".join(f"{dtype} in `{source}`" for dtype, source in found[column].items())
            notes.append(f"`{column}` differs in type ({words}): compared as text")
    return types, notes
