"""Old rows whose label people corrected: the text stays, in the split it had, and what it means is what they said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.stage import Facts
from tunesmith.core.tasks import HeadTask
from tunesmith.data import clean, targets
from tunesmith.data.gather import gather
from tunesmith.data.leakage import SPLIT
from tunesmith.data.prepare_config import PrepareConfig
from tunesmith.data.sift import Sifted
from tunesmith.data.split import SPLITS

CORRECTED = "corrected.parquet"
"""The old rows that got another label: ``row_id``, ``split``, ``was`` and ``label``."""
TEXT, TOLD, SAME = "_text", "_told", "_same"
"""Columns: the comparable text, the label that people gave, and that label as a text that is equal for equal ones."""


@dataclass(frozen=True)
class Corrected:
    """Old rows with what people said of them."""

    rows: pl.DataFrame
    """All of them, in their order."""
    changed: pl.DataFrame
    """``row_id``, ``split``, ``was`` and ``label`` of those that have another label now."""
    counts: Mapping[str, int]
    """What became of each row of corrections; they add up to ``read``."""

    def facts(self) -> Facts:
        """The counts, and how many old rows of each split were corrected."""
        rows = {name: int((self.changed["split"] == name).sum()) for name in SPLITS}
        return {"corrections": dict(self.counts), "corrected": rows}

    def write(self, folder: Path) -> None:
        """Write what was changed, so that nobody has to guess what a label was."""
        self.changed.write_parquet(folder / CORRECTED)


def correct(
    old: pl.DataFrame, is_aside: pl.Expr, said: Artifact, task: HeadTask, names: tuple[str, ...], outside: str | None
) -> Corrected:
    """The old rows with the labels of a dataset of corrections, which go by the text.

    Where people disagree on a text it keeps its label. Rows out of scope (``is_aside``) keep theirs, and no row gets
    their label (``outside``): it would have to leave its split. What augmentation made of a row gets its label.
    """
    counts, answers = _answers(said, task, names)
    is_outside = answers[SAME] == outside if outside is not None else pl.repeat(False, answers.height, eager=True)
    counts["out_of_scope"] = int(answers.filter(is_outside)["rows"].sum())
    answers = answers.filter(~is_outside)
    texts = old.with_columns(clean.comparable(pl.col("text")).alias(TEXT), is_aside.alias("_aside_"))
    told = answers.select(TEXT, pl.col("label").cast(old.schema["label"]).alias(TOLD))
    rows = texts.join(told, on=TEXT, how="left", maintain_order="left")
    rows = rows.with_columns(pl.when(~pl.col("_aside_")).then(TOLD))
    matched = rows.filter(pl.col(TOLD).is_not_null())
    differing = matched.filter(pl.col("label").ne_missing(pl.col(TOLD)))
    there, used = (answers[TEXT].is_in(one[TEXT].unique().implode()) for one in (matched, differing))
    counts |= {
        "unmatched": int(answers.filter(~there)["rows"].sum()),
        "confirming": int(answers.filter(there & ~used)["rows"].sum()),
        "used": int(answers.filter(used)["rows"].sum()),
    }
    rows = _with_made_rows(rows, differing)
    changed = rows.filter(pl.col(TOLD).is_not_null() & pl.col("label").ne_missing(pl.col(TOLD)))
    table = changed.select("row_id", pl.col(SPLIT).alias("split"), pl.col("label").alias("was"), pl.col(TOLD))
    now = rows.with_columns(pl.coalesce(TOLD, "label").alias("label")).select(old.columns)
    return Corrected(now, table.rename({TOLD: "label"}), counts)


def _answers(said: Artifact, task: HeadTask, names: tuple[str, ...]) -> tuple[dict[str, int], pl.DataFrame]:
    """What became of the rows so far, and the label of each text that has one alone: ``TEXT``, ``label``, ``SAME``,
    ``rows``."""
    config = PrepareConfig(task=task, targets=names)
    gathered = targets.joined(gather({str(said.facts["source"]): said}), config)
    sifted = Sifted(gathered.rows, gathered.mapped)
    sifted.take_out("quarantined", clean.is_missing("text"), "text is missing")
    targets.read(sifted, config)
    rows = targets.written(sifted.kept).with_columns(
        clean.comparable(pl.col("text")).alias(TEXT), sifted.kept["label"].cast(pl.String).alias(SAME)
    )
    grouped = rows.group_by(TEXT, maintain_order=True).agg(
        pl.col("label", SAME).first(), pl.col(SAME).n_unique().alias("_answers"), pl.len().alias("rows")
    )
    agreed = grouped.filter(pl.col("_answers") == 1)
    read = sum(gathered.read.values())
    counts = {
        "read": read,
        "unreadable": read - rows.height,
        "conflicting": rows.height - int(agreed["rows"].sum()),
    }
    return counts, agreed.drop("_answers")


def _with_made_rows(rows: pl.DataFrame, differing: pl.DataFrame) -> pl.DataFrame:
    """The rows, those that were made of a corrected one with its label, unless their own text was spoken of."""
    of: Any = pl.col("parents").list.first()
    labels = differing.select(pl.col("row_id").alias("_of"), pl.col(TOLD).alias("_inherited"))
    found = rows.with_columns(of.alias("_of")).join(labels, on="_of", how="left", maintain_order="left")
    return found.with_columns(pl.coalesce(TOLD, "_inherited").alias(TOLD))
