"""The stage ``without_suspects``: the splits and activations without the training rows whose label is likely wrong."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any, ClassVar

import polars as pl

from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.labels.config import WithoutSuspectsConfig
from tunesmith.data.labels.errors import SUSPECTS

WHY = "label is likely wrong"


class WithoutSuspects:
    """Removes likely label errors from the training rows, the least likely first, up to a share."""

    makes: ClassVar[Mapping[str, str]] = {"splits": "splits", "activations": "activations"}

    def __init__(self, config: WithoutSuspectsConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the new splits and activations; every removed row is in ``removed.parquet`` with the reason.

        Raises: DataError where a label would lose all its rows.
        """
        splits = given["splits"]
        train = pl.read_parquet(splits.path / "train.parquet")
        listed = pl.read_parquet(given["label_errors"].path / SUSPECTS).filter(pl.col("split") == "train")
        going = listed.head(int(self.config.most * train.height))
        leaves = train["row_id"].is_in(going["row_id"].to_list())
        kept = train.filter(~leaves)
        if lost := sorted(set(train["label"]) - set(kept["label"])):
            raise DataError(
                "every training row of a label looks wrong, and removing them would leave none",
                seen=", ".join(lost),
                next="write `data.label_errors: {action: report}` and look at these rows in the report",
            )
        folder = context.out / "splits"
        shutil.copytree(splits.path, folder, dirs_exist_ok=True)
        kept.write_parquet(folder / "train.parquet")
        removed = pl.read_parquet(folder / "removed.parquet")
        pl.concat([removed, _removed(train, going, removed.schema)]).write_parquet(folder / "removed.parquet")
        facts = _facts(splits.facts, kept, train.filter(leaves), listed.height)
        return {"splits": facts, "activations": _activations(given, (~leaves).to_list(), context)}


def _removed(train: pl.DataFrame, going: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The rows that leave, as ``removed.parquet`` has them."""
    reason = pl.format(
        WHY + ": `{}` has a probability of {}, `{}` one of {}",
        "label",
        pl.col("label_probability").round(3),
        "suggested",
        pl.col("suggested_probability").round(3),
    )
    why = going.select("row_id", reason.alias("reason"))
    rows = train.join(why, on="row_id", how="inner", maintain_order="left")
    return rows.select(*LINEAGE, "text", "label", "reason", pl.lit(None, pl.String).alias("because_of")).cast(
        dict(schema)  # type: ignore[arg-type]
    )


def _facts(before: Mapping[str, Any], kept: pl.DataFrame, gone: pl.DataFrame, num_listed: int) -> Facts:
    """The splits' facts with every count that the removal changes."""
    by_source = {name: dict(counts) for name, counts in before["by_source"].items()}
    for source, number in gone["source_id"].value_counts().iter_rows():
        by_source[source]["kept"] -= number
        by_source[source]["removed"] += number
    rows = dict(before["rows"])
    rows["kept"] -= gone.height
    rows["removed"] += gone.height
    counts = kept["label"].alias("value").value_counts(name="n").sort("n", "value", descending=[True, False])
    notes = list(before["notes"])
    if num_listed > gone.height:
        notes.append(
            f"{num_listed - gone.height} more training rows have a label that is likely wrong: "
            "`data.label_errors.most` kept them"
        )
    return {
        **before,
        "rows": rows,
        "by_source": by_source,
        "removed": {**before["removed"], **({WHY: gone.height} if gone.height else {})},
        "splits": {**before["splits"], "train": kept.height},
        "label_counts": {**before["label_counts"], "train": dict(counts.iter_rows())},
        "notes": notes,
    }


def _activations(given: Given, is_kept: list[bool], context: StepContext) -> Facts:
    """The activations of the rows that stay, as the stage ``features`` writes them."""
    from safetensors.numpy import load_file, save_file

    activations = given["activations"]
    tensors = dict(load_file(activations.path / "features.safetensors"))
    before = tensors["train_cut"]
    for name in ("train", "train_cut"):
        tensors[name] = tensors[name][is_kept].copy()
    folder = context.out / "activations"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "features.safetensors")
    after = tensors["train_cut"]
    facts = dict(activations.facts)
    facts["rows"] = {**facts["rows"], "train": len(after)}
    facts["num_truncated_tokens"] -= int(before.sum()) - int(after.sum())
    facts["truncated_rows"] = {**facts["truncated_rows"], "train": int((after > 0).sum())}
    return facts
