"""An encoder that reads on with texts nobody labelled, before its head learns from few rows (``make journeys``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.journeys.test_proof import csv, run

import tunesmith
from tunesmith.lifecycle.model_card import model_card
from tunesmith.lifecycle.session import open_session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
A_LABEL = 4
"""Labelled rows of each of the 77 intents."""
TEXTS = 700
"""Texts without a label."""


def test_banking_texts_without_labels(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It guesses masked words of customers better than before, reads no test row, and its model stands on it."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    train = pl.read_csv(shared_data / "banking77" / "train.csv").with_row_index("n")
    few = train.filter(pl.int_range(pl.len()).over("category") < A_LABEL)
    test = pl.read_csv(shared_data / "banking77" / "test.csv").gather_every(8)
    # Test rows among the texts, as happens where a product's whole log is exported: none of them may be read.
    leaked = test.head(25)["text"]
    texts = train.filter(~pl.col("n").is_in(few["n"].implode())).sample(TEXTS, seed=0)["text"]
    few.drop("n").write_csv(tmp_path / "few.csv")
    test.write_csv(tmp_path / "test.csv")
    pl.DataFrame({"text": pl.concat([texts, leaked])}).write_csv(tmp_path / "texts.csv")
    given: dict[str, Any] = {
        "name": "banking",
        "task": "classify",
        "data": {
            "sources": [
                csv(tmp_path / "few.csv", text="text", label="category") | {"name": "few"},
                csv(tmp_path / "test.csv", text="text", label="category") | {"name": "test", "split": "test"},
                csv(tmp_path / "texts.csv", text="text") | {"name": "texts"},
            ]
        },
        "train": [{"method": "continued_pretraining", "sources": ["few", "texts"], "epochs": 1}, {"trainable": "head"}],
        "gate": {},
    }
    result = run(given, tmp_path)
    with open_session(tmp_path / "home") as session:
        card = model_card(session, str(result["model"]))
        (adapted,) = card.base["adapted"]
        print(adapted)
    assert adapted["starts_new"] and adapted["best"] < adapted["before"] - 1
    assert 0.9 * TEXTS < adapted["rows"] <= TEXTS + A_LABEL * 77
    model = tunesmith.load(str(result["model"]), home=tmp_path / "home")
    (answer,) = model.predict(["my card was swallowed by the machine"])
    model.close()
    assert answer.label in model.labels
    assert "Pre-training on your texts" in Path(result["report"]).read_text()
