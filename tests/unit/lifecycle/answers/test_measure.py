"""A model measured on a file: every row counted, every figure by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.lifecycle.measure import measure
from tunesmith.lifecycle.model import Model
from tunesmith.lifecycle.session import Session


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_scores_by_hand_and_every_row_counted(session: Session, classifier: Model, tmp_path: Path) -> None:
    content = "text,label\nmy money,refund\nhello,greeting\ngive money,greeting\nhi,\n,refund\n1,2,3\nwhy not,thanks\n"
    told = measure(session, classifier, write(tmp_path / "in.csv", content), "label", num_samples=200)
    # Right: money → refund, hello → greeting. Wrong: money → greeting, and thanks, which the model cannot say.
    assert told.metrics["accuracy"]["value"] == 0.5
    assert told.rows == {"read": 7, "measured": 4, "label is empty": 1, "text is empty": 1, "refused": 1}
    assert told.per_class["refund"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1}
    assert "never saw it in training" in told.not_measured["label thanks"]
    assert told.confusion == {"labels": ["greeting", "refund", "thanks"], "counts": [[1, 1, 0], [0, 1, 0], [1, 0, 0]]}


def test_numbers(session: Session, regressor: Model, tmp_path: Path) -> None:
    content = "text,score\nab,-2\nabc,-5\nabcd,-3\nx,high\n"
    told = measure(session, regressor, write(tmp_path / "in.csv", content), "score", num_samples=200)
    assert told.metrics["mse"]["value"] == pytest.approx((0 + 4 + 1) / 3)
    assert told.rows == {"read": 4, "measured": 3, "label is no number": 1}
    assert told.per_class == {}


def test_rows_the_model_learned_from_are_counted(session: Session, classifier: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", "text,label\nMy  money,refund\nhello,greeting\n")
    told = measure(session, classifier, path, "label", num_samples=200, learned={"my money"})
    assert told.num_learned == 1


def test_the_label_column_is_the_one_of_the_training(session: Session, classifier: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", "text,intent\nmoney now,refund\nhello,greeting\n")
    told = measure(session, classifier, path, None, labels_were=["intent"], num_samples=200)
    assert told.label_column == "intent"
    with pytest.raises(RecipeError) as caught:
        measure(session, classifier, path, None, num_samples=200)
    assert caught.value.next == "--label-column intent"


def test_nothing_to_measure(session: Session, classifier: Model, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no row has a text and a label") as caught:
        measure(session, classifier, write(tmp_path / "in.csv", "text,label\nhello,\nmoney,\n"), "label")
    assert caught.value.seen == "2 label is empty"
