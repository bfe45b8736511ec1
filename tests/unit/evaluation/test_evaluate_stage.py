"""The evaluate stage on hand-made splits and a fake engine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.evaluation.evaluation_fakes import FakeContext, artifact, write_splits

from tunesmith.core.engine import Answer, Request
from tunesmith.core.errors import DataError, RecipeError, StepError
from tunesmith.core.stage import Given
from tunesmith.evaluation.config import EvaluateStageConfig, GateRule
from tunesmith.evaluation.stage import Evaluate

TEST = [(f"{label} {at}", label) for at in range(30) for label in ("card", "loan")]


class FakeStream:
    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.answers)

    def cancel(self) -> None:
        self.answers = []


class FakeEngine:
    """Answers each text from a table, last text first; texts of over three words lose the rest."""

    def __init__(self, labels: Sequence[str], answers: dict[str, tuple[float, ...]]) -> None:
        self.labels, self.answers, self.is_closed = list(labels), answers, False

    def open(self, model: Path, base: Path) -> FakeEngine:
        self.opened = (model, base)
        return self

    def submit(self, request: Request) -> FakeStream:
        assert request.capability == "predict"
        texts = list(enumerate(request.texts))[::-1]
        return FakeStream(
            [
                Answer(at, self.answers[text], len(text.split()), max(0, len(text.split()) - 3))
                for at, text in texts
                if text in self.answers
            ]
        )

    def close(self) -> None:
        self.is_closed = True


def given(folder: Path, test: list[tuple[str, Any]], baselines: dict[str, list[Any]], **more: Any) -> Given:
    """The stage's inputs."""
    splits = write_splits(folder / "splits", test=test)
    (folder / "baselines").mkdir()
    lines = {"split": ["validation"] + ["test"] * len(test)}
    lines["row_id"] = ["validation-0", *more.get("row_ids", [f"test-{at}" for at in range(len(test))])]
    columns = {name: ([column[0], *column])[: 1 + len(test)] for name, column in baselines.items()}
    pl.DataFrame({**lines, **columns}).write_parquet(folder / "baselines" / "predictions.parquet")
    return {
        "splits": splits,
        "baselines": artifact("baselines", folder / "baselines"),
        "model": artifact("model", folder / "model"),
        "base": artifact("base", folder / "base"),
    }


def engine_right_but_for(*wrong: str) -> FakeEngine:
    """An engine sure of the right label, but for some texts."""
    answers = {text: (0.9, 0.1) if (label == "card") != (text in wrong) else (0.2, 0.8) for text, label in TEST}
    return FakeEngine(["card", "loan"], answers)


def test_the_report_of_a_classifier(tmp_path: Path, context: FakeContext) -> None:
    engine = engine_right_but_for("loan 0", "loan 1", "card 7")
    inputs = given(tmp_path, TEST, {"majority": ["card"] * 60, "tfidf": ["loan"] * 45 + ["card"] * 15})
    facts = Evaluate(EvaluateStageConfig(task="classify"), engine.open).run(inputs, context)["report"]

    assert engine.opened == (tmp_path / "model", tmp_path / "base") and engine.is_closed
    assert json.loads((context.out / "report" / "metrics.json").read_text()) == facts
    assert (facts["task"], facts["num_rows"], facts["primary"]) == ("classify", 60, "f1_macro")
    accuracy = facts["metrics"]["test"]["accuracy"]
    assert accuracy["value"] == pytest.approx(57 / 60) and accuracy["low"] < 0.95 < accuracy["high"] <= 1
    assert facts["per_class"]["loan"] == pytest.approx(
        {"precision": 28 / 29, "recall": 28 / 30, "f1": 56 / 59, "support": 30}
    )
    assert facts["confusion"] == {"labels": ["card", "loan"], "counts": [[29, 1], [2, 28]]}
    assert facts["baselines"]["majority"]["accuracy"]["value"] == 0.5
    assert [(one["metric"], one["against"], one["verdict"]) for one in facts["comparisons"]] == [
        ("f1_macro", "majority", "better"),
        ("f1_macro", "tfidf", "better"),
    ]
    assert facts["gate"]["passed"] is True and facts["gate"]["verdict"] == "better"
    assert facts["not_measured"] == {}
    assert context.told[-1] == (60, 60, "rows")

    frame = pl.read_parquet(context.out / "report" / "predictions.parquet")
    assert frame.columns == [
        "row_id", "source_id", "text", "label", "predicted", "probability", "baseline_majority", "baseline_tfidf",
    ]  # fmt: skip
    assert frame["text"].to_list() == [text for text, _ in TEST]
    assert frame.row(0)[3:6] == ("card", "card", 0.9) and frame.row(1)[3:6] == ("loan", "card", 0.9)


def test_the_report_of_a_regression(tmp_path: Path, context: FakeContext) -> None:
    test = [(f"text {at}", float(at % 7)) for at in range(40)]
    engine = FakeEngine([], {text: (target + 0.5 * (-1) ** at,) for at, (text, target) in enumerate(test)})
    inputs = given(tmp_path, test, {"mean": [3.0] * 40})
    facts = Evaluate(EvaluateStageConfig(task="regress"), engine.open).run(inputs, context)["report"]
    assert facts["primary"] == "mse" and facts["metrics"]["test"]["mse"]["value"] == pytest.approx(0.25)
    assert "confusion" not in facts and "per_class" not in facts
    assert facts["gate"]["verdict"] == "better" and facts["comparisons"][0]["difference"] < 0
    assert facts["not_measured"].keys() == {"pearson of mean", "spearman of mean"}
    frame = pl.read_parquet(context.out / "report" / "predictions.parquet")
    assert frame.columns[-2:] == ["predicted", "baseline_mean"] and frame["predicted"][0] == 0.5


def test_labels_the_model_or_the_test_rows_do_not_know_are_said(tmp_path: Path, context: FakeContext) -> None:
    test = [*TEST, ("pin gone", "pin"), ("pin lost", "pin")]
    answers = {text: (0.6, 0.0, 0.4) if label != "loan" else (0.1, 0.0, 0.9) for text, label in test}
    inputs = given(tmp_path, test, {"majority": ["card"] * 62})
    engine = FakeEngine(["card", "fee", "loan"], answers)
    facts = Evaluate(EvaluateStageConfig(task="classify"), engine.open).run(inputs, context)["report"]
    assert facts["metrics"]["test"]["accuracy"]["value"] == pytest.approx(60 / 62)
    assert facts["per_class"]["pin"] == {"precision": 0, "recall": 0, "f1": 0, "support": 2}
    assert facts["per_class"]["fee"]["support"] == 0
    assert facts["confusion"]["labels"] == ["card", "fee", "loan", "pin"]
    assert facts["confusion"]["counts"][3] == [2, 0, 0, 0]
    assert "its 2 test rows count as errors" in facts["not_measured"]["label pin"]
    assert "no test row has it" in facts["not_measured"]["label fee"]


def test_truncation_is_counted(tmp_path: Path, context: FakeContext) -> None:
    test = [("one two three four five", "card"), ("one two three four", "loan"), ("one", "card")]
    engine = FakeEngine(["card", "loan"], {text: (1.0, 0.0) for text, _ in test})
    inputs = given(tmp_path, test, {"majority": ["card"] * 3})
    facts = Evaluate(EvaluateStageConfig(task="classify"), engine.open).run(inputs, context)["report"]
    assert (facts["truncated_rows"], facts["num_truncated_tokens"]) == (2, 3)


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    inputs = given(tmp_path, TEST, {"majority": ["card"] * 60})
    outs = [FakeContext(tmp_path / name) for name in ("one", "two")]
    for out in outs:
        Evaluate(EvaluateStageConfig(task="classify"), engine_right_but_for("loan 3").open).run(inputs, out)
    for file in ("metrics.json", "predictions.parquet"):
        first, second = ((out.out / "report" / file).read_bytes() for out in outs)
        assert first == second


def test_a_gate_that_names_a_baseline_not_run_is_refused_before_the_model_runs(
    tmp_path: Path, context: FakeContext
) -> None:
    engine = engine_right_but_for()
    config = EvaluateStageConfig(task="classify", gate={"accuracy": GateRule(better_than=("tfidf",))})
    with pytest.raises(RecipeError, match="which is not run"):
        Evaluate(config, engine.open).run(given(tmp_path, TEST, {"majority": ["card"] * 60}), context)
    assert not hasattr(engine, "opened")


def test_what_cannot_be_evaluated_is_refused(tmp_path: Path, context: FakeContext) -> None:
    config = EvaluateStageConfig(task="classify")
    majority = {"majority": ["card"] * 60}
    for name in ("none", "others", "silent", "nan"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="no test row"):
        Evaluate(config, engine_right_but_for().open).run(given(tmp_path / "none", [], {"majority": ["card"]}), context)
    inputs = given(tmp_path / "others", TEST, majority, row_ids=[f"other-{at}" for at in range(60)])
    with pytest.raises(DataError, match="other rows"):
        Evaluate(config, engine_right_but_for().open).run(inputs, context)
    silent = engine_right_but_for()
    del silent.answers["loan 4"]
    with pytest.raises(StepError, match="unanswered"):
        Evaluate(config, silent.open).run(given(tmp_path / "silent", TEST, majority), context)
    broken = engine_right_but_for()
    broken.answers["loan 4"] = (float("nan"), 0.5)
    with pytest.raises(StepError, match="not finite"):
        Evaluate(config, broken.open).run(given(tmp_path / "nan", TEST, majority), context)
    assert silent.is_closed and broken.is_closed and not (context.out / "report").exists()
