"""The texts of divided rows: what a pre-training may read of them, and of texts that nobody labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
from tests.unit.data.context import FakeContext

from tunesmith.core.artifact import Artifact
from tunesmith.data.config import IngestConfig, LabelledTextsConfig
from tunesmith.data.dataset import scan
from tunesmith.data.ingest import Ingest
from tunesmith.data.labelled_texts import LabelledTexts
from tunesmith.data.prepare import Prepare
from tunesmith.recipe.load import load
from tunesmith.recipe.recipe import Recipe

SAID = "the {} of order number {} has not come to {} and nobody at the desk knows why it is late"
ROWS = [
    (SAID.format(what, 7919 * n, place), label)
    for n, (what, label, place) in enumerate(
        (what, label, place)
        for what, label in (("parcel", "delivery"), ("money", "refund"), ("weather", "other"))
        for place in ("Berlin", "Vienna", "Graz", "Linz", "Ulm", "Bern", "Basel", "Bonn", "Kiel", "Trier")
    )
]


def recipe(folder: Path, **data: Any) -> Recipe:
    sources = [
        {"kind": "csv", "name": "rows", "path": str(folder / "rows.csv"), "columns": {"text": "t", "label": "l"}},
        {"kind": "csv", "name": "log", "path": str(folder / "log.csv"), "columns": {"text": "t"}},
    ]
    train = [{"method": "continued_pretraining", "sources": ["log"]}, {}]
    decision = {"reject": {"label": "other"}}
    given = {"task": "classify", "data": {"sources": sources, **data}, "train": train, "decision": decision}
    found = load(given)
    assert isinstance(found, Recipe)
    return found


def made(stage: Any, given: dict[str, Artifact], folder: Path, output: str, kind: str) -> Artifact:
    context = FakeContext(folder)
    return context.artifact(output, kind, stage.run(given, context)[output])


def prepared(folder: Path, log: list[str]) -> tuple[Artifact, Artifact, Artifact]:
    """The divided rows, their texts, and all texts as they are pre-trained on."""
    folder.mkdir(exist_ok=True)
    pl.DataFrame(ROWS, schema=["t", "l"], orient="row").write_csv(folder / "rows.csv")
    pl.DataFrame({"t": log}).write_csv(folder / "log.csv")
    found = recipe(folder)
    rows, texts = (
        made(Ingest(IngestConfig(source=source)), {}, folder / source.name, "dataset", "dataset")  # type: ignore[arg-type]
        for source in found.data.sources
    )
    splits = made(Prepare(found.for_prepare()), {"rows": rows}, folder / "prepare", "splits", "splits")
    stage = LabelledTexts(LabelledTextsConfig(source="rows"))
    labelled = made(stage, {"splits": splits}, folder / "texts", "dataset", "dataset")
    both = made(Prepare(found.for_texts()), {"rows": labelled, "log": texts}, folder / "all", "splits", "splits")
    return splits, labelled, both


def texts_of(splits: Artifact, name: str) -> set[str]:
    return set(pl.read_parquet(splits.path / f"{name}.parquet")["text"])


def test_every_kept_row_comes_with_its_split_and_without_its_label(tmp_path: Path) -> None:
    splits, labelled, _ = prepared(tmp_path, ["one more thing that somebody wrote to the desk"])
    frame = scan(labelled).collect()
    assert "label" not in frame.columns
    for name in ("train", "validation"):
        assert set(frame.filter(pl.col("split") == name)["text"]) == texts_of(splits, name)
    outside = texts_of(splits, "outside")
    assert len(outside) == 10
    # Rows out of scope are never trained on, so not by guessing their words either.
    assert set(frame.filter(pl.col("split") == "test")["text"]) == texts_of(splits, "test") | outside
    assert labelled.facts["by_split"] == dict(frame["split"].value_counts().iter_rows())
    assert labelled.facts["rows"] == labelled.facts["rows_read"] == frame.height == len(ROWS)


def test_no_text_that_repeats_or_holds_a_row_that_proves_is_read(tmp_path: Path) -> None:
    splits, _, _ = prepared(tmp_path / "first", ["something else"])
    proving = sorted(texts_of(splits, "test") | texts_of(splits, "outside"))
    own = sorted(texts_of(splits, "train"))[0]
    log = [
        proving[0].upper(),
        proving[1].replace(" ", "  ") + "!",
        f"Good morning, {proving[2]}. Kind regards, a customer",
        own,
        "  a text that\tnobody&amp;labelled  ",
        "another text that has nothing to do with any of them",
    ]
    again, _, both = prepared(tmp_path / "second", log)
    assert texts_of(again, "test") == texts_of(splits, "test")
    train = pl.read_parquet(both.path / "train.parquet")
    assert set(train.filter(pl.col("source_id") == "log")["text"]) == {"a text that nobody&labelled", log[-1]}
    assert set(train.filter(pl.col("source_id") == "rows")["text"]) == texts_of(again, "train")
    assert texts_of(both, "validation") == texts_of(again, "validation")
    assert both.facts["by_source"]["log"] == {"read": 6, "kept": 2, "removed": 4, "quarantined": 0}
    assert both.facts["removed"] == {
        "exact duplicate": 1,
        "same text as a test row": 1,
        "nearly the same text as a test row": 1,
        "holds the text of a test row": 1,
    }
