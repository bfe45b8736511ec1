"""People correct answers to texts that the model was trained and measured on: the next model learns what they said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests import planted, tiny

from tunesmith import api
from tunesmith.core.subject import subject_hash
from tunesmith.lifecycle.capture import capture_of
from tunesmith.lifecycle.reports import report_of, splits_of
from tunesmith.lifecycle.session import Session, open_session

pytestmark = pytest.mark.slow

SPLITS = ("train", "validation", "test")


def recipe(folder: Path) -> dict[str, Any]:
    columns = {"text": "text", "label": "label", "subject": "who"}
    source = {"kind": "csv", "name": "tickets", "path": str(folder / "tickets.csv"), "columns": columns}
    return {
        "name": "desk",
        "task": "classify",
        "data": {"sources": [source], "clean": {"near_duplicates": None}},
        "model": str(tiny.encoder("bert")),
        "train": {"trainable": "head", "epochs": 2},
        "evaluate": {"baselines": ["majority"]},
        "gate": {},
        "monitor": {"feedback": {"min_rows": 20}},
    }


def rows(session: Session, reference: str) -> pl.DataFrame:
    folder = splits_of(session, reference).path
    parts = [pl.read_parquet(folder / f"{name}.parquet").with_columns(split=pl.lit(name)) for name in SPLITS]
    return pl.concat(parts, how="diagonal")


def test_corrections_are_learned_and_measured_by(tmp_path: Path) -> None:
    home, everybody = tmp_path / "home", planted.people(30)
    planted.write_sources(everybody, tmp_path)
    api.run(recipe(tmp_path), home=home)
    with open_session(home) as session:
        old = rows(session, "desk@1").sort("row_id")
        names = sorted(old["label"].unique())
        # Every fourth text of each split, the first of the train texts among them.
        fixed = pl.concat([old.filter(split=name).gather_every(4) for name in SPLITS])
        truths = [names[(names.index(one) + 1) % len(names)] for one in fixed["label"]]
        seen = capture_of(session, session.ledger.resolve("desk", "production"))
        model = api.load("desk@production", home=home)
        wrote = {text: one for one in everybody for text in one.texts}
        asking = fixed["text"].to_list()
        answers = model.predict(asking)  # type: ignore[union-attr]
        ids = seen.record(asking, answers, 5.0, [wrote[text].id for text in asking])
        seen.flush()
        model.close()
    for id, truth in zip(ids, truths, strict=True):
        api.feedback(str(id), truth, home=home)
    assert fixed.height >= 15

    # No text is new: the corrections alone call for it, and are news enough.
    done = api.retrain("desk", until="evaluate", home=home)
    assert done.result is not None and (done.feedback, done.corrections) == (fixed.height, fixed.height)
    run = f"run:{done.result.run}"
    with open_session(home) as session:
        now = rows(session, run).sort("row_id")
        told = splits_of(session, run).facts["extended"]
        predictions = pl.read_parquet(report_of(session, run).path / "predictions.parquet")
    expected = dict(old.select("row_id", "label").iter_rows()) | dict(zip(fixed["row_id"], truths, strict=True))
    assert dict(now.select("row_id", "label").iter_rows()) == expected
    assert now.select("row_id", "split", "text").equals(old.select("row_id", "split", "text"))
    assert told["corrected"] == {name: fixed.filter(split=name).height for name in SPLITS}
    assert told["corrections"]["used"] == fixed.height == told["corrections"]["read"]
    # Both models are measured by what people said.
    tests = predictions.filter(split="test") if "split" in predictions.columns else predictions
    assert dict(tests.select("row_id", "label").iter_rows()) == {
        id: expected[id] for id in old.filter(split="test")["row_id"]
    }
    accuracy = float((tests["baseline_champion"] == tests["label"]).mean())  # type: ignore[arg-type]
    assert done.result.baselines["champion"]["accuracy"]["value"] == pytest.approx(accuracy)
    page = (home / "runs" / done.result.run / "report.html").read_text("utf-8")
    assert "with the label that people gave" in page and "the truth now, for both models" in page

    # Whose answers were corrected is forgotten as anybody is.
    gone = wrote[asking[0]]
    assert api.erase(gone.id, "request 1", home=home).is_clean
    assert planted.hits(home, list(gone.traces)) == {}
    with open_session(home) as session:
        hashed, left = subject_hash(session.workspace.subject_key(), gone.id), rows(session, run)
    assert left["row_id"].sort().to_list() == old.filter(pl.col("subject") != hashed)["row_id"].to_list()
    assert all(expected[id] == label for id, label in left.select("row_id", "label").iter_rows())
