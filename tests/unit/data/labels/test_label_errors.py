"""Labels that are likely wrong: found by rows that were planted, listed, removed and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file
from tests.unit.data.context import FakeContext

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError
from tunesmith.data.labels.config import LabelErrorsConfig, WithoutSuspectsConfig
from tunesmith.data.labels.errors import LabelErrors
from tunesmith.data.labels.remove import WHY, WithoutSuspects

pytest.importorskip("cleanlab", reason="the extra `labels` is not installed")

NAMES = ("a", "b", "c")


def _context(folder: Path, num_rows: int = 120, flipped: tuple[int, ...] = (5, 40, 77)) -> FakeContext:
    """Splits of three clouds of points, some training labels of which are wrong."""
    context = FakeContext(folder)
    rng = np.random.default_rng(0)
    tensors: dict[str, Any] = {}
    (context.out / "splits").mkdir()
    (context.out / "activations").mkdir()
    frames = {}
    for name, number in (("train", num_rows), ("validation", 12), ("test", 12)):
        codes = np.arange(number) % 3
        tensors[name] = (np.eye(3)[codes] * 4 + rng.normal(0, 0.4, (number, 3))).astype(np.float32)
        tensors[f"{name}_cut"] = (np.arange(number) % 2).astype(np.int32)
        labels = [NAMES[code] for code in codes]
        if name == "train":
            for row in flipped:
                labels[row] = NAMES[(codes[row] + 1) % 3]
        texts = [" ".join(f"word{word}" for word in rng.integers(0, 10_000, 12)) for _ in range(number)]
        frames[name] = pl.DataFrame(
            {
                "row_id": [f"{name}-{row}" for row in range(number)],
                "source_id": ["s"] * number,
                "subject": [None] * number,
                "parents": [[]] * number,
                "text": texts,
                "label": labels,
            },
            schema_overrides={"subject": pl.String, "parents": pl.List(pl.String)},
        )
        frames[name].write_parquet(context.out / "splits" / f"{name}.parquet")
    frames["train"].clear().with_columns(
        pl.lit(None, pl.String).alias("reason"), pl.lit(None, pl.String).alias("because_of")
    ).write_parquet(context.out / "splits" / "removed.parquet")
    pl.DataFrame().write_parquet(context.out / "splits" / "quarantine.parquet")
    save_file(tensors, context.out / "activations" / "features.safetensors")
    return context


def _splits(context: FakeContext, num_rows: int = 120) -> Artifact:
    kept = num_rows + 24
    rows = {"read": kept, "kept": kept, "removed": 0, "quarantined": 0}
    facts = {
        "rows": rows,
        "by_source": {"s": dict(rows)},
        "removed": {},
        "splits": {"train": num_rows, "validation": 12, "test": 12},
        "label_counts": {"train": {}, "validation": {}, "test": {}},
        "notes": [],
    }
    return context.artifact("splits", "splits", facts)


def _activations(context: FakeContext, num_rows: int = 120) -> Artifact:
    facts = {
        "rows": {"train": num_rows},
        "num_truncated_tokens": 72,
        "truncated_rows": {"train": 60, "validation": 6, "test": 6},
    }
    return context.artifact("activations", "activations", facts)


def _found(context: FakeContext, **config: Any) -> Artifact:
    given = {"splits": _splits(context), "activations": _activations(context)}
    facts = LabelErrors(LabelErrorsConfig(**config)).run(given, context)["label_errors"]
    return context.artifact("label_errors", "label_errors", facts)


def test_planted_errors_are_found_and_nothing_else(tmp_path: Path) -> None:
    context = _context(tmp_path)
    found = _found(context)
    suspects = pl.read_parquet(found.path / "suspects.parquet")
    assert set(suspects["row_id"]) == {"train-5", "train-40", "train-77"}
    assert suspects["label_probability"].is_sorted()
    # The likelier label is the one that the point's cloud has.
    right = dict(zip(suspects["row_id"], suspects["suggested"], strict=True))
    assert right == {"train-5": "c", "train-40": "b", "train-77": "c"}
    assert found.facts["suspects"] == {"train": 3, "validation": 0, "test": 0}
    assert found.facts["checked"] == {"train": 120, "validation": 12, "test": 12}


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (_found(_context(tmp_path / name)) for name in ("one", "two"))
    assert first.facts == second.facts
    assert (first.path / "suspects.parquet").read_bytes() == (second.path / "suspects.parquet").read_bytes()


def test_labels_with_few_rows_are_not_judged_but_named(tmp_path: Path) -> None:
    context = _context(tmp_path)
    path = context.out / "splits" / "train.parquet"
    train = pl.read_parquet(path)
    rare = pl.when(pl.col("row_id") == "train-0").then(pl.lit("rare")).otherwise("label").alias("label")
    train.with_columns(rare).write_parquet(path)
    found = _found(context)
    assert found.facts["small_labels"] == {"rare": 1}
    assert found.facts["checked"]["train"] == 119


def test_nearly_equal_texts_with_different_labels_are_listed(tmp_path: Path) -> None:
    context = _context(tmp_path)
    path = context.out / "splits" / "train.parquet"
    text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    cell = pl.when(pl.col("row_id") == "train-0").then(pl.lit(text + " fifteen"))
    cell = cell.when(pl.col("row_id") == "train-1").then(pl.lit(text + " sixteen"))
    # train-3 has the same label as train-0: no conflict.
    cell = cell.when(pl.col("row_id") == "train-3").then(pl.lit(text + " fifteen")).otherwise("text")
    pl.read_parquet(path).with_columns(cell.alias("text")).write_parquet(path)
    conflicts = pl.read_parquet(_found(context).path / "conflicts.parquet")
    pairs = set(zip(conflicts["row_id"], conflicts["other_row_id"], strict=True))
    # One of the two equal-labelled rows is enough to show the conflict; train-3 does not conflict with train-0.
    assert pairs == {("train-1", "train-0"), ("train-3", "train-1")} or pairs == {("train-1", "train-0")}


def _without(context: FakeContext, most: float) -> tuple[dict[str, Any], dict[str, Any]]:
    given = {
        "splits": _splits(context),
        "activations": _activations(context),
        "label_errors": _found(context),
    }
    # The stage writes beside its inputs in this fake: give it a folder of its own.
    own = FakeContext(context.folder / "own")
    made = WithoutSuspects(WithoutSuspectsConfig(most=most)).run(given, own)
    splits = {name: pl.read_parquet(own.out / "splits" / f"{name}.parquet") for name in ("train", "test", "removed")}
    tensors = load_file(own.out / "activations" / "features.safetensors")
    return dict(made), {**splits, "tensors": tensors}


def test_removed_rows_are_recorded_and_every_count_still_adds_up(tmp_path: Path) -> None:
    made, files = _without(_context(tmp_path), most=0.1)
    assert set(files["removed"]["row_id"]) == {"train-5", "train-40", "train-77"}
    assert all(reason.startswith(f"{WHY}: ") for reason in files["removed"]["reason"])
    facts = made["splits"]
    assert facts["rows"] == {"read": 144, "kept": 141, "removed": 3, "quarantined": 0}
    assert facts["by_source"]["s"] == facts["rows"]
    assert facts["removed"] == {WHY: 3}
    assert facts["splits"] == {"train": 117, "validation": 12, "test": 12}
    assert sum(facts["label_counts"]["train"].values()) == 117
    assert files["test"].height == 12


def test_activations_stay_those_of_the_rows(tmp_path: Path) -> None:
    context = _context(tmp_path)
    before = load_file(context.out / "activations" / "features.safetensors")
    made, files = _without(context, most=0.1)
    stays = [row for row in range(120) if row not in (5, 40, 77)]
    assert np.array_equal(files["tensors"]["train"], before["train"][stays])
    assert np.array_equal(files["tensors"]["test"], before["test"])
    assert made["activations"]["rows"]["train"] == 117
    # Rows 5 and 77 were cut by one token each.
    assert made["activations"]["num_truncated_tokens"] == 70
    assert made["activations"]["truncated_rows"]["train"] == 58


def test_no_more_than_the_share_is_removed_and_the_rest_is_said(tmp_path: Path) -> None:
    made, files = _without(_context(tmp_path), most=0.01)
    assert files["removed"].height == 1
    assert any("2 more training rows" in note for note in made["splits"]["notes"])


def test_too_few_labels_are_refused(tmp_path: Path) -> None:
    context = _context(tmp_path)
    path = context.out / "splits" / "train.parquet"
    pl.read_parquet(path).with_columns(pl.lit("a").alias("label")).write_parquet(path)
    with pytest.raises(DataError, match="too few labels"):
        _found(context)
