"""Several labels, several targets and rejection through baselines, the evaluate stage and significance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file
from tests.unit.evaluation.evaluation_fakes import FakeContext, artifact
from tests.unit.evaluation.test_evaluate_stage import FakeEngine, FakeStream

from tunesmith.core.engine import Answer, Request
from tunesmith.evaluation.baselines.stage import Baselines
from tunesmith.evaluation.config import BaselinesConfig, EvaluateStageConfig
from tunesmith.evaluation.predictions import decided
from tunesmith.evaluation.rejection import rejection_facts
from tunesmith.evaluation.significance import Resamples, randomization
from tunesmith.evaluation.stage import Evaluate
from tunesmith.evaluation.truth import truth_of
from tunesmith.metrics import table
from tunesmith.models.manifest import Decision, Rejection

SPLITS = ("train", "validation", "test")
WORDS = {"cold": "the food was cold", "rude": "staff were rude to me", "late": "we waited for hours"}
NAMES = sorted(WORDS)


def _tagged(num: int, seed: int) -> tuple[list[str], list[list[str]]]:
    rng = np.random.default_rng(seed)
    sets = [[name for name in NAMES if rng.random() < 0.4] for _ in range(num)]
    texts = [f"visit {row} " + " and ".join(WORDS[name] for name in labels) for row, labels in enumerate(sets)]
    return texts, sets


def _inputs(folder: Path, task: str, rows: Mapping[str, tuple[list[str], list[Any]]], **facts: Any) -> dict[str, Any]:
    (folder / "splits").mkdir(parents=True)
    (folder / "activations").mkdir()
    rng = np.random.default_rng(0)
    features = {}
    for name, (texts, labels) in rows.items():
        dtype = pl.List(pl.String) if task == "tag" else pl.List(pl.Float64) if task == "regress" else pl.String
        frame = {"row_id": [f"{name}-{row}" for row in range(len(texts))], "source_id": ["rows"] * len(texts)}
        pl.DataFrame({**frame, "text": texts, "label": pl.Series(labels, dtype=dtype)}).write_parquet(
            folder / "splits" / f"{name}.parquet"
        )
        seen = np.array([[word in text for word in ("cold", "rude", "waited")] for text in texts], float).reshape(-1, 3)
        features[name] = (seen + rng.normal(scale=0.1, size=seen.shape)).astype(np.float32)
    save_file(features, folder / "activations" / "features.safetensors")
    splits = replace(artifact("splits", folder / "splits"), facts={"task": task, **facts})
    return {"splits": splits, "activations": artifact("activations", folder / "activations")}


def _evaluated(
    folder: Path, given: dict[str, Any], engine: FakeEngine, task: str, decision: Decision, names: list[str]
) -> tuple[dict[str, Any], Path]:
    context = FakeContext(folder / "baselines")
    Baselines(BaselinesConfig(task=task, names=names)).run(given, context)  # type: ignore[arg-type]
    given |= {
        "baselines": artifact("baselines", context.out / "baselines"),
        "model": replace(artifact("model", folder / "model"), facts={"decision": decision.model_dump(mode="json")}),
        "base": artifact("base", folder / "base"),
    }
    out = FakeContext(folder / "evaluate")
    config = EvaluateStageConfig(task=task, bootstrap_samples=200)  # type: ignore[arg-type]
    facts = Evaluate(config, engine.open).run(given, out)["report"]
    return facts, out.out / "report"


def test_tags_from_baselines_to_the_report(tmp_path: Path) -> None:
    rows = {name: _tagged(60, seed) for seed, name in enumerate(SPLITS)}
    given = _inputs(tmp_path, "tag", rows, labels=NAMES)
    texts, sets = rows["test"]
    # The model is sure of what it says, but never says `rude` from its high threshold on.
    answers = {
        text: tuple(0.8 if name in labels else 0.1 for name in NAMES) for text, labels in zip(texts, sets, strict=True)
    }
    decision = Decision(thresholds=(0.5, 0.5, 0.9))
    facts, folder = _evaluated(
        tmp_path, given, FakeEngine(NAMES, answers), "tag", decision, ["majority", "base_logistic", "tfidf"]
    )
    assert NAMES[2] == "rude" and facts["primary"] == "f1_macro"
    assert facts["metrics"]["test"]["f1_macro"]["value"] == pytest.approx(2 / 3)
    assert facts["metrics"]["test"]["average_precision"]["value"] == 1.0
    assert facts["per_class"]["rude"]["recall"] == 0.0 and facts["per_class"]["rude"]["threshold"] == 0.9
    for name in ("base_logistic", "tfidf"):
        assert facts["baselines"][name]["f1_macro"]["value"] > 0.95
    assert facts["gate"]["verdict"] == "worse" and not facts["gate"]["passed"]
    frame = pl.read_parquet(folder / "predictions.parquet")
    assert frame["label"].to_list() == sets
    assert frame["predicted"].to_list() == [[name for name in labels if name != "rude"] for labels in sets]
    assert frame["baseline_majority"][0].to_list() and frame["probabilities"][0].len() == 3


def test_a_label_that_only_test_rows_have_counts_as_missed(tmp_path: Path) -> None:
    rows = {name: _tagged(40, seed) for seed, name in enumerate(SPLITS)}
    texts, sets = rows["test"]
    sets[0] = sorted([*sets[0], "strange"])
    given = _inputs(tmp_path, "tag", rows, labels=NAMES)
    answers = {text: tuple(float(name in one) for name in NAMES) for text, one in zip(texts, sets, strict=True)}
    facts, _ = _evaluated(tmp_path, given, FakeEngine(NAMES, answers), "tag", Decision(), ["majority"])
    assert facts["metrics"]["test"]["f1_macro"]["value"] == pytest.approx(3 / 4)
    assert facts["not_measured"]["label strange"].endswith("its 1 test rows count as errors")


def test_several_targets_from_baselines_to_the_report(tmp_path: Path) -> None:
    def numbers(texts: list[str]) -> list[list[float]]:
        return [[float("cold" in text), 1000.0 * ("rude" in text) + 500 * ("waited" in text)] for text in texts]

    rows = {}
    for seed, name in enumerate(SPLITS):
        seen, _ = _tagged(60, seed)
        rows[name] = (seen, numbers(seen))
    train = np.array(rows["train"][1])
    scale = {
        n: {"mean": float(c.mean()), "std": float(c.std())} for n, c in zip(("small", "large"), train.T, strict=True)
    }
    given = _inputs(tmp_path, "regress", rows, labels=[], targets=["small", "large"], scale=scale)
    texts, wanted = rows["test"]
    answers = {text: (one[0], one[1] + 100) for text, one in zip(texts, wanted, strict=True)}
    facts, folder = _evaluated(
        tmp_path, given, FakeEngine([], answers), "regress", Decision(), ["mean", "base_ridge", "tfidf"]
    )
    # The first target is met, the second is 100 off in units of its own deviation.
    assert facts["metrics"]["test"]["mse"]["value"] == pytest.approx((100 / scale["large"]["std"]) ** 2 / 2)
    assert facts["per_target"]["large"]["metrics"]["mae"]["value"] == pytest.approx(100)
    assert facts["per_target"]["small"]["metrics"]["rmse"]["value"] == pytest.approx(0, abs=1e-12)
    assert facts["baselines"]["mean"]["mse"]["value"] == pytest.approx(1, abs=0.3)
    assert facts["baselines"]["base_ridge"]["mse"]["value"] < 0.2
    assert set(facts["per_target"]["large"]["baselines"]) == {"mean", "base_ridge", "tfidf"}
    frame = pl.read_parquet(folder / "predictions.parquet")
    assert frame["predicted"].to_list() == [list(answers[text]) for text in texts]


class ScoringEngine(FakeEngine):
    """Knows texts with `visit`, and half of the others."""

    def submit(self, request: Request) -> FakeStream:
        scores = [5.0 if "visit" in text else 2.0 if row % 2 else 6.0 for row, text in enumerate(request.texts)]
        return FakeStream([Answer(row, (0.7, 0.3), 1, 0, score) for row, score in enumerate(scores)])


def test_rows_out_of_scope_prove_the_rejection(tmp_path: Path) -> None:
    rows = {name: ([f"visit {row}" for row in range(20)], ["a", "b"] * 10) for name in SPLITS}
    given = _inputs(tmp_path, "classify", rows, labels=["a", "b"])
    outside = {"row_id": ["o1", "o2", "o3", "o4", "o5"], "source_id": ["rows"] * 5, "label": ["elsewhere"] * 5}
    outside |= {"text": [f"other {row}" for row in range(5)], "split": ["test"] * 4 + ["validation"]}
    pl.DataFrame(outside).write_parquet(tmp_path / "splits" / "outside.parquet")
    decision = Decision(reject=Rejection(score="max_logit", threshold=4.0, label="elsewhere", keep=0.95))
    facts, folder = _evaluated(tmp_path, given, ScoringEngine(["a", "b"], {}), "classify", decision, ["majority"])
    told = facts["rejection"]
    assert (told["num_inside"], told["num_outside"]) == (20, 4)
    assert told["coverage"]["value"] == 1.0 and told["rejected"]["value"] == 0.5
    assert told["auroc"]["value"] == 0.5 and told["accuracy_of_all"]["value"] == pytest.approx(12 / 24)
    assert facts["num_rows"] == 20 and facts["metrics"]["test"]["accuracy"]["value"] == 0.5
    assert pl.read_parquet(folder / "outside.parquet")["is_rejected"].to_list() == [False, True, False, True]
    assert not pl.read_parquet(folder / "predictions.parquet")["is_rejected"].any()


def test_the_interval_of_an_auroc_holds_the_true_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.evaluation.rejection.NUM_RESAMPLES", 120)
    reject = Rejection(score="energy", threshold=0.0, keep=0.95)
    held = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        inside, outside = rng.normal(1.0, 1.0, 150), rng.normal(0.0, 1.0, 60)
        facts = rejection_facts(reject, inside, inside > 0, inside, (outside, outside), confidence=0.95, seed=seed)
        held.append(facts["auroc"]["low"] <= 0.7602 <= facts["auroc"]["high"])
        assert facts["difference"]["auroc"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    # Φ(1/√2) = 0.7602; of 30 intervals of 93 % or more, fewer than 24 hold it once in 1,000 times.
    assert sum(held) >= 24


def test_of_two_equally_good_taggers_neither_is_often_called_better() -> None:
    called = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        has_NC = rng.random((80, 4)) < [0.5, 0.3, 0.2, 0.1]
        columns = {name: has_NC * 1.0 - 0.5 + rng.normal(scale=0.6, size=has_NC.shape) for name in "ab"}
        scores = Resamples("tag", has_NC, columns, num_samples=200, seed=seed)
        called += scores.compare("f1_macro", "a", "b", 0.95).verdict != "not shown"
    assert called <= 6


def test_a_difference_between_taggers_is_seen_and_swapping_rows_whole_is_exact() -> None:
    rng = np.random.default_rng(0)
    has_NC = rng.random((200, 3)) < 0.4
    good, bad = has_NC - 0.5, np.where(rng.random(has_NC.shape) < 0.3, 0.5 - has_NC, has_NC - 0.5)
    scores = Resamples("tag", has_NC, {"good": good, "bad": bad}, num_samples=400, seed=0)
    seen = scores.compare("f1_micro", "good", "bad", 0.95)
    assert seen.verdict == "better" and seen.low > 0 and seen.smallest_detectable is not None
    metric = table.find("f1_micro", "tag")
    # Two rows and one difference: half of the four swaps are as large, so p is near 1.
    assert randomization(metric, has_NC[:2], good[:2], bad[:2], 200, rng) > 0.2


def test_margins_follow_thresholds_and_unknown_labels_are_never_given() -> None:
    values = np.array([[0.6, 0.2], [0.4, 0.3]])
    answers = decided("tag", ("a", "b"), Decision(thresholds=(0.6, 0.25)), values, [0, 3])
    assert (answers.predicted_N >= 0).tolist() == [[True, False], [False, True]]
    assert (answers.truncated_rows, answers.num_truncated_tokens) == (1, 3)
    truth = truth_of("tag", [["b"], ["c"]], ("a", "b"), None)
    assert truth.labels == ("a", "b", "c") and truth.targets_N.tolist() == [[False, True, False], [False, False, True]]
    assert (truth.comparable(answers.predicted_N)[:, 2] < 0).all()
