"""Several labels, several numbers and rejected texts: answered in files, measured on files, compared between runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.lifecycle.answers.test_compare import evaluated

from tunesmith.core.engine import Answer, Request
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.lifecycle.compare import compare
from tunesmith.lifecycle.measure import measure
from tunesmith.lifecycle.model import Model
from tunesmith.lifecycle.predict_file import predict_file
from tunesmith.lifecycle.session import Session
from tunesmith.models.manifest import (
    BaseReference,
    Decision,
    LengthPolicy,
    ModelManifest,
    NetworkShape,
    Rejection,
    Standardization,
)


class TableEngine:
    """Answers what a table says of a text's first word."""

    capabilities = frozenset({"predict"})

    def __init__(self, table: Mapping[str, tuple[float, ...]], scores: Mapping[str, float]) -> None:
        self.table, self.scores = table, scores

    def submit(self, request: Request) -> list[Answer]:
        firsts = [text.split()[0] for text in request.texts]
        return [Answer(row, self.table[first], 1, 0, self.scores.get(first)) for row, first in enumerate(firsts)]

    def close(self) -> None:
        """Nothing to free."""


def model(table: Mapping[str, tuple[float, ...]], scores: Mapping[str, float] | None = None, **more: Any) -> Model:
    manifest = ModelManifest(
        base=BaseReference(name="table", digest="0" * 64),
        trainable="head",
        network=NetworkShape(pooling="mean", hidden=1),
        length=LengthPolicy(max_tokens=10),
        **more,
    )
    return Model("table@1", manifest, TableEngine(table, scores or {}))  # type: ignore[arg-type]


@pytest.fixture
def tagger() -> Model:
    table = {"cold": (0.9, 0.1), "both": (0.5, 0.6), "none": (0.4, 0.2)}
    return model(table, task="tag", labels=("food", "staff"), decision=Decision(thresholds=(0.5, 0.6)))


@pytest.fixture
def scorer() -> Model:
    scales = {"V": Standardization(mean=3.0, std=0.5), "A": Standardization(mean=100.0, std=10.0)}
    return model({"good": (4.0, 90.0), "bad": (2.0, 120.0)}, task="regress", targets=scales)


@pytest.fixture
def rejecter() -> Model:
    reject = Rejection(score="energy", threshold=3.0, label="elsewhere", keep=0.95)
    table = {"card": (0.9, 0.1), "loan": (0.2, 0.8), "pizza": (0.6, 0.4)}
    scores = {"card": 5.0, "loan": 3.0, "pizza": 1.0}
    return model(table, scores, task="classify", labels=("card", "loan"), decision=Decision(reject=reject))


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_a_file_with_several_labels(session: Session, tagger: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", "text,labels\nboth of it,x\nnone,y\n,z\ncold,w\n")
    told = predict_file(session, tagger, path, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "text,labels,predicted_labels,probability_food,probability_staff",
        "both of it,x,food|staff,0.5,0.6",
        "none,y,,0.4,0.2",
        ",z,,,",
        "cold,w,food,0.9,0.1",
    ]
    assert told.labels == {"food": 2, "staff": 1} and told.rows["predicted"] == 3
    lines = write(tmp_path / "in.jsonl", '{"text": "both"}\n')
    predict_file(session, tagger, lines, tmp_path / "out.jsonl")
    assert '"labels": "food|staff"' in (tmp_path / "out.jsonl").read_text()


def test_it_is_told_from_where_labels_are_given_and_texts_answered(
    session: Session, tagger: Model, rejecter: Model, scorer: Model, tmp_path: Path
) -> None:
    assert tagger.thresholds == {"food": 0.5, "staff": 0.6}
    assert model({}, task="tag", labels=("a", "b")).thresholds == {"a": 0.5, "b": 0.5}
    assert (rejecter.thresholds, scorer.thresholds, scorer.rejection, tagger.rejection) == ({}, {}, None, None)
    assert rejecter.rejection is not None and rejecter.rejection.threshold == 3.0
    path = write(tmp_path / "in.csv", "text\nboth\n")
    told = predict_file(session, tagger, path, tmp_path / "tagged.csv")
    assert (told.thresholds, told.rejected_below) == ({"food": 0.5, "staff": 0.6}, None)
    told = predict_file(session, rejecter, write(tmp_path / "two.csv", "text\npizza\n"), tmp_path / "kept.csv")
    assert (told.thresholds, told.rejected_below) == ({}, 3.0)


def test_the_screen_says_how_far_an_answer_is_from_its_threshold(tagger: Model, rejecter: Model) -> None:
    from tunesmith.cli.predict import answered

    def shown(model: Model, text: str) -> str:
        [answer] = model.predict([text])
        return answered(text, answer, model).plain

    assert shown(tagger, "both") == "food 0.50 (from 0.50) · staff 0.60 (from 0.60)  ← both"
    assert shown(tagger, "none") == "no label  nearest is food 0.40 (from 0.50)  ← none"
    rare = model({"x": (0.004, 0.2)}, task="tag", labels=("a", "b"), decision=Decision(thresholds=(0.0013, 1.5)))
    assert shown(rare, "x") == "a 0.004 (from 0.0013)  ← x", "a threshold of 0.00 says nothing"
    assert shown(rejecter, "pizza") == (
        "elsewhere  not known (score 1.000, from 3.000 on it is); nearest is card 0.60  ← pizza"
    )
    assert shown(rejecter, "card") == "card  0.90  ← card"


def test_a_file_with_several_numbers(session: Session, scorer: Model, tmp_path: Path) -> None:
    predict_file(session, scorer, write(tmp_path / "in.csv", "text\ngood day\nbad day\n"), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == ("text,predicted_V,predicted_A\ngood day,4,90\nbad day,2,120\n")
    (told,) = scorer.predict(["good"])
    assert told.values == {"V": 4.0, "A": 90.0} and told.value is None and told.label is None


def test_a_file_with_rejected_rows(session: Session, rejecter: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", "text\ncard lost\npizza please\nloan\n")
    told = predict_file(session, rejecter, path, tmp_path / "out.csv", is_all=True)
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "text,label,probability,is_rejected,probability_card,probability_loan",
        "card lost,card,0.9,false,0.9,0.1",
        "pizza please,elsewhere,0.6,true,0.6,0.4",
        "loan,loan,0.8,false,0.2,0.8",
    ]
    assert told.num_rejected == 1 and told.labels == {"card": 1, "elsewhere": 1, "loan": 1}


@pytest.mark.parametrize(
    ("header", "cells"),
    [("text,food,staff", ["1,x", ",no", "1,maybe", "0,0"]), ("text,label", ["staff|food", "", "[oops", "[]"])],
)
def test_labels_in_columns_and_in_one_cell_measure_alike(
    session: Session, tagger: Model, tmp_path: Path, header: str, cells: list[str]
) -> None:
    words = ["both", "cold", "none", "none"]
    lines = [f"{word},{cell}" for word, cell in zip(words, cells, strict=True)]
    path = write(tmp_path / "in.csv", "\n".join([header, *lines]) + "\n")
    told = measure(session, tagger, path, None, labels_were=["food", "staff"], num_samples=200)
    assert told.rows == {"read": 4, "measured": 3, "label cannot be read": 1}
    assert told.metrics["subset_accuracy"]["value"] == pytest.approx(2 / 3)
    assert told.metrics["f1_micro"]["value"] == pytest.approx(2 * 2 / (2 + 3))
    assert told.per_class["food"]["threshold"] == 0.5 and told.per_class["staff"]["recall"] == 1.0


def test_several_numbers_are_measured_target_by_target(session: Session, scorer: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", "text,V,A\ngood,4.0,100\nbad,2.5,120\nbad,2,\ngood,x,1\n")
    told = measure(session, scorer, path, None, num_samples=200)
    assert told.rows == {"read": 4, "measured": 2, "label is empty": 1, "label is no number": 1}
    assert told.per_target["V"]["mse"]["value"] == pytest.approx(0.25 / 2)
    assert told.per_target["A"]["mae"]["value"] == pytest.approx(5)
    # In deviations of the training rows: V is 1 off once, A is 1 off once.
    assert told.metrics["mse"]["value"] == pytest.approx((1 / 2 + 1 / 2) / 2)
    with pytest.raises(RecipeError, match="each needs its column"):
        measure(session, scorer, path, "V", num_samples=200)
    assert measure(session, scorer, path, "V, A", num_samples=200).label_column == "V, A"


def test_rows_out_of_scope_are_measured_apart(session: Session, rejecter: Model, tmp_path: Path) -> None:
    lines = ["card,card", "loan,loan", "loan,card", "pizza,elsewhere", "pizza,card"]
    path = write(tmp_path / "in.csv", "\n".join(["text,label", *lines]) + "\n")
    told = measure(session, rejecter, path, "label", num_samples=200)
    assert told.rows == {"read": 5, "measured": 4, "out of scope": 1}
    assert told.metrics["accuracy"]["value"] == 0.75
    assert told.rejection is not None
    assert told.rejection["coverage"]["value"] == 0.75 and told.rejection["rejected"]["value"] == 1.0
    assert told.rejection["accuracy_of_answered"]["value"] == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="every row is out of scope"):
        measure(session, rejecter, write(tmp_path / "b.csv", "text,label\npizza,elsewhere\n"), "label")


def _report(session: Session, run: str, frame: Mapping[str, Any], task: str, facts: Mapping[str, Any]) -> None:
    rows = [f"row {at}" for at in range(len(frame["label"]))]
    labels = dict(zip(rows, frame["label"], strict=True))
    evaluated(session, run, dict(zip(rows, frame["predicted"], strict=True)), labels, task, dict(facts), frame)


def test_taggers_are_compared_by_their_own_thresholds(session: Session) -> None:
    sets = [["a"], ["b"], ["a", "b"], []] * 10
    for run, threshold in (("first", 0.5), ("second", 0.95)):
        sure = [[0.9 if "a" in labels else 0.1, 0.9 if "b" in labels else 0.1] for labels in sets]
        facts = {"per_class": {name: {"threshold": threshold} for name in "ab"}}
        _report(session, run, {"label": sets, "predicted": sets, "probabilities": sure}, "tag", facts)
    told = compare(session, "run:first", "run:second", num_samples=200)
    assert told.verdict == "better" and told.metrics["f1_macro"]["a"]["value"] == 1.0
    assert told.metrics["f1_macro"]["b"]["value"] == 0.0
    assert told.metrics["average_precision"]["difference"] == 0.0


def test_models_of_several_targets_are_compared_in_deviations(session: Session) -> None:
    scale = {"V": {"mean": 0.0, "std": 1.0}, "A": {"mean": 0.0, "std": 100.0}}
    labels = [[float(at), 100.0 * at] for at in range(20)]
    facts = {"targets": ["V", "A"], "scale": scale}
    _report(session, "first", {"label": labels, "predicted": labels}, "regress", facts)
    off = [[one + 1.0 + 0.1 * (at % 3), two] for at, (one, two) in enumerate(labels)]
    _report(session, "second", {"label": labels, "predicted": off}, "regress", facts)
    told = compare(session, "run:first", "run:second", num_samples=200)
    wanted = sum((1.0 + 0.1 * (at % 3)) ** 2 for at in range(20)) / 20 / 2
    assert told.verdict == "better" and told.metrics["mse"]["b"]["value"] == pytest.approx(wanted)
    _report(session, "third", {"label": labels, "predicted": labels}, "regress", {**facts, "targets": ["V", "D"]})
    with pytest.raises(RecipeError, match="other targets"):
        compare(session, "run:first", "run:third", num_samples=200)
