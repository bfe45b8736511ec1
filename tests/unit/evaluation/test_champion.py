"""The champion among the baselines, and what its challenger still knows of its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.unit.evaluation.evaluation_fakes import FakeContext, artifact, write_splits
from tests.unit.evaluation.test_evaluate_stage import FakeEngine

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError
from tunesmith.evaluation.champion import Champion
from tunesmith.evaluation.config import BaselinesConfig, EvaluateStageConfig, GateRule, challenging, replacing
from tunesmith.evaluation.limits import Measured
from tunesmith.evaluation.retained import retained
from tunesmith.evaluation.truth import NOT_GIVEN

ROWS: dict[str, list[tuple[str, Any]]] = {
    "train": [("t", "card")],
    "validation": [("v one", "loan"), ("v two", "card")],
    "test": [("one", "card"), ("two", "loan"), ("three", "fee")],
}
TEXTS = ["v one", "v two", "one", "two", "three"]


def champion(
    folder: Path, context: FakeContext, task: Any, engine: FakeEngine, wanted: dict[str, Any], **model: Any
) -> tuple[dict[str, Any], pl.DataFrame]:
    """The facts and predictions that the stage makes of what an engine answers."""
    splits = write_splits(folder / "splits", **ROWS)
    splits = Artifact("splits", "d", splits.path, wanted, splits.made_by)
    (folder / "baselines").mkdir()
    table = pl.DataFrame({"split": ["validation"] * 2 + ["test"] * 3, "row_id": TEXTS, "tfidf": ["card"] * 5})
    table.write_parquet(folder / "baselines" / "predictions.parquet")
    facts = {"names": ["tfidf"], "settings": {"tfidf": {}}}
    given = {
        "splits": splits,
        "baselines": artifact("baselines", folder / "baselines", facts),
        "model": artifact("model", folder / "model", {"decision": {}, **model}),
    }
    made = Champion(BaselinesConfig(task=task, names=["tfidf"]), engine.open).run(given, context)  # type: ignore[arg-type]
    return dict(made["baselines"]), pl.read_parquet(context.out / "baselines" / "predictions.parquet")


def test_it_answers_as_a_baseline_with_the_labels_it_knows(tmp_path: Path, context: FakeContext) -> None:
    engine = FakeEngine(["card", "loan"], dict(zip(TEXTS, [(0.2, 0.8), (0.9, 0.1)] * 2 + [(0.6, 0.4)], strict=True)))
    facts, table = champion(tmp_path, context, "classify", engine, {"labels": ["card", "fee", "loan"]})
    assert table["champion"].to_list() == ["loan", "card", "loan", "card", "card"]
    assert table["tfidf"].to_list() == ["card"] * 5  # the others stay as they were
    assert facts["names"] == ["tfidf", "champion"] and facts["settings"]["champion"]["labels"] == 2
    # Without a base of its own, the model's folder stands for it.
    assert engine.opened == (tmp_path / "model", tmp_path / "model") and engine.is_closed


def test_it_gives_tags_by_its_own_thresholds_and_never_one_it_lacks(tmp_path: Path, context: FakeContext) -> None:
    engine = FakeEngine(["card", "loan"], dict.fromkeys(TEXTS, (0.3, 0.6)))
    decision = {"thresholds": [0.25, 0.7]}
    _, table = champion(tmp_path, context, "tag", engine, {"labels": ["card", "fee", "loan"]}, decision=decision)
    assert table["champion"].to_list()[0] == pytest.approx([0.05, NOT_GIVEN, -0.1])


def test_several_numbers_come_in_the_order_of_the_rows(tmp_path: Path, context: FakeContext) -> None:
    engine = FakeEngine([], dict.fromkeys(TEXTS, (1.0, 2.0)))
    scales = {name: {"mean": 0.0, "std": 1.0} for name in ("joy", "anger")}
    _, table = champion(tmp_path, context, "regress", engine, {"targets": ["anger", "joy"]}, targets=scales)
    assert table["champion"].to_list() == [[2.0, 1.0]] * 5


def test_one_number(tmp_path: Path, context: FakeContext) -> None:
    engine = FakeEngine([], {text: (float(at),) for at, text in enumerate(TEXTS)})
    _, table = champion(tmp_path, context, "regress", engine, {})
    assert table["champion"].to_list() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_other_numbers_than_its_challengers_are_refused(tmp_path: Path, context: FakeContext) -> None:
    engine = FakeEngine([], dict.fromkeys(TEXTS, (1.0,)))
    with pytest.raises(DataError, match="other numbers") as caught:
        champion(tmp_path, context, "regress", engine, {"targets": ["anger", "joy"]})
    assert caught.value.allowed == "one number" and caught.value.seen == "anger, joy"


def told(
    folder: Path, task: Any, targets: list[Any], model: list[Any], before: list[Any], num_new: int
) -> tuple[Any, Measured | str]:
    """What is said of these test rows, the last ``num_new`` of them new."""
    rows = [f"r{at}" for at in range(len(targets))]
    new = pl.DataFrame({"row_id": rows[len(rows) - num_new :], "split": ["test"] * num_new})
    folder.mkdir(parents=True, exist_ok=True)
    new.cast(pl.String).write_parquet(folder / "new.parquet")
    answers = {"model": np.array(model), "champion": np.array(before)}
    config = EvaluateStageConfig(task=task, bootstrap_samples=300)
    return retained(config, folder, pl.DataFrame({"row_id": rows}), np.array(targets), answers, 0)


def test_old_and_new_rows_are_told_apart(tmp_path: Path) -> None:
    truth = ["a", "b"] * 50 + ["c"] * 20
    model = ["a", "b"] * 45 + ["b", "a"] * 5 + ["c"] * 18 + ["a"] * 2
    before = ["a", "b"] * 49 + ["b", "a"] + ["a"] * 20
    facts, lost = told(tmp_path, "classify", truth, model, before, 20)
    assert facts["metric"] == "accuracy"
    assert (facts["old"]["num_rows"], facts["new"]["num_rows"]) == (100, 20)
    for side, model_value, champion_value in (("old", 0.9, 0.98), ("new", 0.9, 0.0)):
        one = facts[side]["model"]
        assert one["value"] == model_value and one["low"] < model_value < one["high"]
        assert facts[side]["champion"]["value"] == champion_value
    assert isinstance(lost, Measured) and lost.value == pytest.approx(0.08)
    assert lost.low is not None and lost.high is not None and 0 < lost.low < 0.08 < lost.high
    assert "accuracy 0.980 before, 0.900 now" in lost.words and "100 old test rows" in lost.words
    assert facts["new"]["verdict"] == "better" and facts["old"]["verdict"] == "worse"


def test_an_error_that_grew_is_what_was_forgotten(tmp_path: Path) -> None:
    truth = [float(at % 9) for at in range(60)]
    model = [one + (0.5 if at % 2 else -0.5) for at, one in enumerate(truth)]
    before = [one + (0.2 if at % 2 else -0.2) for at, one in enumerate(truth)]
    facts, lost = told(tmp_path, "regress", truth, model, before, 0)
    assert facts["metric"] == "mae" and isinstance(lost, Measured)
    assert lost.value == pytest.approx(0.3) and lost.low == pytest.approx(0.3) == lost.high
    _, gained = told(tmp_path / "other", "regress", truth, before, model, 0)
    assert isinstance(gained, Measured) and gained.value == pytest.approx(-0.3)


def test_with_few_rows_or_no_champion_it_says_why(tmp_path: Path) -> None:
    facts, lost = told(tmp_path, "classify", ["a", "b", "c"], ["a", "b", "c"], ["a", "b", "b"], 2)
    assert lost == "too few test rows: 1" and facts["old"]["not_measured"] == lost
    facts, lost = told(tmp_path / "none", "classify", ["a", "b", "a"], ["a", "b", "a"], ["a", "b", "b"], 0)
    assert facts["new"] == {"num_rows": 0, "not_measured": "too few test rows: 0"} and isinstance(lost, Measured)
    config = EvaluateStageConfig(task="classify")
    test, truth = pl.DataFrame({"row_id": ["a"]}), np.array(["x"])
    assert retained(config, tmp_path, test, truth, {"model": truth}, 0) == (None, "there is no champion in this run")


def test_the_gate_of_a_challenger() -> None:
    plain = challenging({"f1_macro": GateRule(better_than=("tfidf",))}, "classify")
    assert plain["f1_macro"].better_than == ("tfidf", "champion") and plain["forgetting"].at_most == 0.02
    bare = challenging({}, "classify")
    assert bare["f1_macro"].better_than == ("champion",) and bare["forgetting"].at_most == 0.02
    own = challenging(
        {"accuracy": GateRule(better_than=("champion",)), "forgetting": GateRule(at_most=0.1)}, "classify"
    )
    assert set(own) == {"accuracy", "forgetting"} and own["forgetting"].at_most == 0.1


def test_the_gate_of_what_replaces_a_champion_that_has_to_go() -> None:
    rules = {"f1_macro": GateRule(better_than=("tfidf",))}
    assert replacing(rules) == {**rules, "forgetting": GateRule(at_most=0.02)}
    assert replacing({"forgetting": GateRule(at_most=0.1)}) == {"forgetting": GateRule(at_most=0.1)}
