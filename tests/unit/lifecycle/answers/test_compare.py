"""Two models on the test rows they share, through a real ledger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tunesmith.core.artifact import MadeBy
from tunesmith.core.errors import DataError, RecipeError, StoreError
from tunesmith.lifecycle.compare import compare
from tunesmith.lifecycle.reports import learned_texts, released, run_of
from tunesmith.lifecycle.session import Session
from tunesmith.store.artifacts import ArtifactStore


def evaluated(
    session: Session,
    run_id: str,
    predicted: dict[str, Any],
    labels: dict[str, Any],
    task: str,
    more: dict[str, Any] | None = None,
    columns: Mapping[str, Any] | None = None,
) -> str:
    """A run with a report of these predictions, and ``more`` facts and ``columns``; its model's digest."""
    session.ledger.start_run(run_id, "intents", task, "0" * 64)
    primary = "mse" if task == "regress" else "f1_macro"
    store = ArtifactStore(session.workspace, session.ledger)
    score = {"value": 0.5, "low": 0.25, "high": 0.75}
    facts = {"task": task, "primary": primary, "metrics": {"test": {primary: score}}, **(more or {})}
    made_by = MadeBy(f"{run_id}-evaluate", "evaluate", 0)
    out = session.workspace.step_folder(f"{run_id}-evaluate") / "out"
    for name in ("report", "model"):
        (out / name).mkdir()
    rows = list(predicted)
    frame = {"row_id": rows, "label": [labels[row] for row in rows], "predicted": list(predicted.values())}
    pl.DataFrame({**frame, **(columns or {})}).write_parquet(out / "report" / "predictions.parquet")
    (out / "model" / "model.json").write_text(run_id)
    outputs: Any = {"report": ("report", facts), "model": ("model", {"task": task})}
    saved = store.save_step(made_by.step_key, f"content-{run_id}", "evaluate", out, outputs, made_by, ())
    session.ledger.set_run_step(run_id, 0, "evaluate", made_by.step_key, "done")
    return saved["model"].digest


LABELS = {f"row {at}": "ab"[at % 2] for at in range(40)}
HALF = {row: label if int(row[4:]) < 20 else "ba"["ab".index(label)] for row, label in LABELS.items()}


def test_a_perfect_model_is_better_than_half_right(session: Session) -> None:
    digest = evaluated(session, "first", LABELS, LABELS, "classify")
    evaluated(session, "second", HALF, LABELS, "classify")
    session.ledger.register_version("intents", digest, "first", "better")
    told = compare(session, "intents@1", "run:second", num_samples=400)
    assert told.verdict == "better"
    accuracy = told.metrics["accuracy"]
    assert accuracy["difference"] == 0.5
    assert accuracy["a"]["value"] == 1.0
    assert accuracy["p_value"] == pytest.approx(2 * 0.5**20)
    assert told.rows == {"a": 40, "b": 40, "shared": 40}
    assert compare(session, "run:second", "intents@1", num_samples=400).verdict == "worse"
    assert compare(session, "run:second", "run:second", num_samples=400).verdict == "not shown"


def test_only_shared_rows_count(session: Session) -> None:
    evaluated(session, "first", LABELS, LABELS, "classify")
    part = {row: label for row, label in HALF.items() if int(row[4:]) >= 10}
    evaluated(session, "second", part | {"another": "a"}, LABELS | {"another": "a"}, "classify")
    told = compare(session, "run:first", "run:second", num_samples=200)
    assert told.rows == {"a": 40, "b": 31, "shared": 30}
    assert told.metrics["accuracy"]["b"]["value"] == pytest.approx(10 / 30)


def test_models_that_cannot_be_compared(session: Session) -> None:
    evaluated(session, "first", LABELS, LABELS, "classify")
    evaluated(session, "other-rows", {"x": "a"}, {"x": "a"}, "classify")
    evaluated(session, "other-labels", LABELS, dict.fromkeys(LABELS, "a"), "classify")
    evaluated(session, "numbers", {"row 1": 1.0}, {"row 1": 1.0}, "regress")
    session.ledger.start_run("unfinished", "intents", "classify", "0" * 64)
    with pytest.raises(DataError, match="same test rows") as caught:
        compare(session, "run:first", "run:other-rows")
    assert "0 shared" in str(caught.value.seen)
    with pytest.raises(DataError, match="labels") as caught:
        compare(session, "run:first", "run:other-labels")
    assert str(caught.value.seen).startswith("20 of 40")
    with pytest.raises(RecipeError, match="different questions"):
        compare(session, "run:first", "run:numbers")
    with pytest.raises(StoreError, match="not evaluated") as unfinished:
        compare(session, "run:first", "run:unfinished")
    assert unfinished.value.next == "tunesmith resume unfinished"
    with pytest.raises(StoreError, match="no model `intens`"):
        compare(session, "run:first", "intens")


def test_released_models_carry_their_main_figure(session: Session) -> None:
    digest = evaluated(session, "first", LABELS, LABELS, "classify")
    session.ledger.register_version("intents", digest, "first", "better")
    session.ledger.set_alias("intents", "production", 1)
    (one,) = released(session)
    assert (one.reference, one.metric, one.value, one.low, one.high) == (
        "intents@production", "f1_macro", 0.5, 0.25, 0.75,
    )  # fmt: skip
    assert run_of(session, "intents") == run_of(session, "intents@production") == "first"


def test_the_training_texts_of_a_model_are_found_again(session: Session, tmp_path: Path) -> None:
    digest = evaluated(session, "first", LABELS, LABELS, "classify")
    session.ledger.register_version("intents", digest, "first", "better")
    assert learned_texts(session, "intents") == frozenset()
    out = session.workspace.step_folder("prepare-key") / "out"
    (out / "splits").mkdir()
    for name in ("train", "validation", "test"):
        pl.DataFrame({"text": [f"The {name}\n ROW"]}).write_parquet(out / "splits" / f"{name}.parquet")
    made_by = MadeBy("prepare-key", "prepare", 0)
    store = ArtifactStore(session.workspace, session.ledger)
    store.save_step("prepare-key", "prepare-content", "prepare", out, {"splits": ("splits", {})}, made_by, ())
    session.ledger.set_run_step("first", 1, "prepare", "prepare-key", "cached")
    assert learned_texts(session, "intents") == {"the train row", "the validation row"}
