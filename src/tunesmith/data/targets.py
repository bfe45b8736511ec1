"""What a row's label says: one name, several names, a number or several numbers; and why a cell says none of these.

While rows are sifted, ``label`` is a text in which equal answers are equal texts; what is learned of rows with several
names or numbers lies beside it in ``ANSWER`` and takes its place when the splits are written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from tunesmith.core.errors import DataError
from tunesmith.core.tasks import is_language
from tunesmith.data import clean
from tunesmith.data.gather import Gathered
from tunesmith.data.prepare_config import PrepareConfig
from tunesmith.data.quality import named, rows
from tunesmith.data.sift import Sifted
from tunesmith.data.sources.config import LABEL_COLUMN
from tunesmith.data.targets_config import LabelsConfig

ANSWER = "_answer"
"""The column of lists: names, sorted, or numbers in the order of the targets."""
BETWEEN = "|"
YES = ("1", "1.0", "true", "yes", "y", "x")
NO = ("", "0", "0.0", "false", "no", "n")


def joined(gathered: Gathered, config: PrepareConfig) -> Gathered:
    """The rows with one ``label`` where the recipe maps several columns to it; a cell that cannot be read makes the
    label a sentence that says so, which ``read`` puts in quarantine."""
    if is_language(config.task):
        # Nothing is told apart by a label: rows with the same text are the same row.
        return replace(gathered, rows=gathered.rows.with_columns(pl.lit("").alias("label")))
    parts = [name for name in gathered.mapped if name.startswith(LABEL_COLUMN)]
    if not parts:
        return gathered
    frame = gathered.rows
    own = [pl.col("label")] if "label" in gathered.mapped else []
    label = _flags(parts) if config.task == "tag" else _numbers([LABEL_COLUMN + name for name in config.targets])
    mapped = ("text", "label", *(name for name in gathered.mapped if name not in ("text", "label", *parts)))
    return replace(
        gathered, rows=frame.with_columns(pl.coalesce(*own, label).alias("label")).drop(parts), mapped=mapped
    )


def read(sifted: Sifted, config: PrepareConfig) -> None:
    """Read the label of every row; rows whose label says nothing are put in quarantine with the reason."""
    if config.task == "tag":
        _read_tags(sifted, config.labels)
        return
    if is_language(config.task):
        return
    sifted.take_out("quarantined", clean.is_missing("label"), "label is missing")
    if config.task == "regress":
        if len(config.targets) > 1:
            _read_numbers(sifted, config.targets)
        else:
            _read_number(sifted)


def names_of(cell: Any, separator: str) -> list[str]:
    """The names in a cell, sorted, each once: a JSON array, or names with the separator between them.

    Raises: ValueError saying what is wrong with the cell.
    """
    if cell is None:
        return []
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = json.loads(cell)
        except ValueError:
            raise ValueError("starts like a JSON array and is none") from None
    if isinstance(cell, str):
        cell = cell.split(separator)
    if not isinstance(cell, list):
        cell = [cell]
    if any(isinstance(one, list | dict) for one in cell):
        raise ValueError("is an array of arrays or objects, not of names")
    names = {str(one).strip() for one in cell if one is not None}
    return sorted(names - {""})


def joined_names(names: Sequence[str], separator: str = "|") -> str:
    """Names as one cell that ``names_of`` reads back: with the separator between them, or else a JSON array."""
    if any(separator in name or name.startswith("[") for name in names):
        return json.dumps(list(names), ensure_ascii=False)
    return separator.join(names)


def flag_of(cell: Any) -> bool:
    """Whether a cell of a label's own column says that a row has it.

    Raises: ValueError where it says neither yes nor no.
    """
    written = "" if cell is None else str(cell).strip().lower()
    if written in YES:
        return True
    if written in NO:
        return False
    raise ValueError(f"neither yes ({', '.join(YES)}) nor no ({', '.join(NO[1:])}, empty)")


def drop_rare(sifted: Sifted, config: LabelsConfig, notes: list[str]) -> None:
    """Take labels of too few rows off their rows.

    Raises: DataError where the recipe refuses them.
    """
    counts = sifted.kept[ANSWER].explode().drop_nulls().value_counts(name="n")
    rare = counts.filter(pl.col("n") < config.min_rows).sort(ANSWER)[ANSWER].to_list()
    if not rare:
        return
    if config.rare == "refuse":
        raise DataError(
            f"labels with fewer than {config.min_rows} rows: {named(rare)}",
            seen=f"{len(rare)} of {counts.height} labels",
            next="add rows, lower `data.labels.min_rows`, or write `data: {labels: {rare: drop}}`",
        )
    touched = int(sifted.kept[ANSWER].list.set_intersection(rare).list.len().gt(0).sum())
    notes.append(f"labels with fewer than {config.min_rows} rows were taken off {rows(touched)}: {named(rare)}")
    left = pl.col(ANSWER).list.set_difference(pl.lit(rare, pl.List(pl.String))).list.sort()
    sifted.kept = sifted.kept.with_columns(left.alias(ANSWER)).with_columns(_text_of(pl.col(ANSWER)).alias("label"))


def label_names(frame: pl.DataFrame, task: str) -> pl.Series:
    """Every label of every row, a row with several as often as it has some; none for numbers and answers in text."""
    if task == "regress" or is_language(task):
        return pl.Series("label", [], pl.String)
    return written(frame)["label"].explode().drop_nulls() if task == "tag" else frame["label"]


def written(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows with what is learned of them as their ``label``."""
    return frame.with_columns(pl.col(ANSWER).alias("label")) if ANSWER in frame.columns else frame


def scales(frame: pl.DataFrame, targets: Sequence[str]) -> Mapping[str, pl.Series]:
    """The numbers of each of several targets."""
    numbers = written(frame)["label"]
    return {name: numbers.list.get(place) for place, name in enumerate(targets)}


def _flags(parts: Sequence[str]) -> pl.Expr:
    """The names of the columns that say yes, as a JSON array; a column that says neither yes nor no as a sentence."""
    cells = {name: pl.col(name).cast(pl.String).str.strip_chars().str.to_lowercase().fill_null("") for name in parts}
    strange = [
        pl.when(~cell.is_in([*YES, *NO])).then(
            pl.concat_str(pl.lit(f"`{_plain(name)}` is "), pl.col(name).cast(pl.String).str.slice(0, 100))
        )
        for name, cell in cells.items()
    ]
    given = pl.concat_list(
        pl.when(cells[name].is_in(YES)).then(pl.lit(json.dumps(_plain(name), ensure_ascii=False)))
        for name in sorted(parts, key=_plain)
    )
    array = pl.concat_str(pl.lit("["), given.list.drop_nulls().list.join(", "), pl.lit("]"))
    return pl.coalesce(pl.concat_str(pl.lit("[?"), pl.coalesce(strange)), array)


def _numbers(parts: Sequence[str]) -> pl.Expr:
    """The cells of the targets' columns with a character between them that no number has."""
    cells = [pl.col(name).cast(pl.String).fill_null("") for name in parts]
    return pl.concat_str([cell.str.replace_all(BETWEEN, "/", literal=True) for cell in cells], separator=BETWEEN)


def _plain(column: str) -> str:
    return column.removeprefix(LABEL_COLUMN)


def _read_tags(sifted: Sifted, config: LabelsConfig) -> None:
    cells = sifted.kept["label"].unique(maintain_order=True).to_list()
    names: list[list[str] | None] = []
    reasons: list[str | None] = []
    for cell in cells:
        try:
            # What `joined` could not read stands behind a mark that no JSON array has.
            if cell is not None and cell.startswith("[?"):
                raise ValueError(cell[2:])
            names.append(names_of(cell, config.separator))
            reasons.append(None)
        except ValueError as error:
            names.append(None)
            reasons.append(str(error))
    table = pl.DataFrame(
        {"label": cells, ANSWER: names, "_bad": reasons},
        schema={"label": pl.String, ANSWER: pl.List(pl.String), "_bad": pl.String},
    )
    sifted.kept = sifted.kept.join(table, on="label", how="left", nulls_equal=True, maintain_order="left")
    why = "label cannot be read"
    sifted.take_out("quarantined", pl.col("_bad").is_not_null(), why, reason=pl.lit(f"{why}: ") + pl.col("_bad"))
    sifted.kept = sifted.kept.drop("_bad").with_columns(_text_of(pl.col(ANSWER)).alias("label"))
    if config.none == "quarantine":
        sifted.take_out("quarantined", pl.col(ANSWER).list.len() == 0, "row has no label")


def _text_of(names: pl.Expr) -> pl.Expr:
    quoted = names.list.eval(
        pl.lit('"')
        + pl.element().str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
        + pl.lit('"')
    )
    return pl.concat_str(pl.lit("["), quoted.list.join(", "), pl.lit("]"))


def _read_number(sifted: Sifted) -> None:
    number = pl.col("label").cast(pl.Float64, strict=False)
    sifted.kept = sifted.kept.with_columns(number.alias("_number"))
    why = "label is not a number"
    reason = pl.concat_str(pl.lit(f"{why}: "), pl.col("label").str.slice(0, 100))
    sifted.take_out("quarantined", ~pl.col("_number").is_finite().fill_null(False), why, reason=reason)
    # -0.0 and 0.0 are one target: adding zero makes them one value.
    sifted.kept = sifted.kept.with_columns((pl.col("_number") + 0.0).alias("label")).drop("_number")


def _read_numbers(sifted: Sifted, targets: Sequence[str]) -> None:
    cells = pl.col("label").str.split(BETWEEN)
    sifted.kept = sifted.kept.with_columns(
        (cells.list.get(place, null_on_oob=True).str.strip_chars().cast(pl.Float64, strict=False) + 0.0).alias(
            f"_number{place}"
        )
        for place in range(len(targets))
    )
    for place, name in enumerate(targets):
        cell = cells.list.get(place, null_on_oob=True).str.slice(0, 100)
        sifted.take_out("quarantined", cell.str.strip_chars().fill_null("") == "", f"target `{name}` is missing")
        why = f"target `{name}` is not a number"
        is_number = pl.col(f"_number{place}").is_finite().fill_null(False)
        sifted.take_out("quarantined", ~is_number, why, reason=pl.concat_str(pl.lit(f"{why}: "), cell))
    numbers = [f"_number{place}" for place in range(len(targets))]
    text = pl.concat_str([pl.col(name).cast(pl.String) for name in numbers], separator=", ")
    sifted.kept = sifted.kept.with_columns(
        pl.concat_list(numbers).alias(ANSWER), pl.concat_str(pl.lit("["), text, pl.lit("]")).alias("label")
    ).drop(numbers)
