"""Several labels and targets: losses by hand in float64, training, calibration, and the saved model's answers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tests import tiny

from tunesmith.core.engine import Request
from tunesmith.core.errors import DataError
from tunesmith.engines.transformers import TransformersEngine
from tunesmith.metrics.thresholds import NEVER
from tunesmith.models.manifest import ModelManifest
from tunesmith.numerics.losses import binary_cross_entropy
from tunesmith.numerics.scope import rejection_score
from tunesmith.training.calibration import classify_decision, tag_decision
from tunesmith.training.decision_config import DecisionConfig
from tunesmith.training.methods.config import RegressConfig, TagConfig
from tunesmith.training.methods.regress import Regress
from tunesmith.training.methods.tag import Tag
from tunesmith.training.targets import LabelSets, Scale, Scales

SETS = [["card"], ["card", "refund"], [], ["transfer"], ["refund", "transfer"]]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _splits(folder: Path, task: str) -> Any:
    """Texts whose words say which of three labels they have, or how much of each."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"train": 40, "validation": 24, "test": 10}
    for seed, (name, size) in enumerate(sizes.items()):
        texts, _ = tiny.sentences(size, seed)
        sets = [[label for label in tiny.LABELS if set(tiny.WORDS[label]) & set(text.split())] for text in texts]
        sets = [labels if row % 5 else [] for row, labels in enumerate(sets)]
        numbers = [[float(len(text)), float(len(labels)) - 3.0] for text, labels in zip(texts, sets, strict=True)]
        labels = (
            pl.Series("label", sets, dtype=pl.List(pl.String))
            if task == "tag"
            else pl.Series("label", numbers, dtype=pl.List(pl.Float64))
        )
        frame = pl.DataFrame({"row_id": [f"{name}-{row}" for row in range(size)], "text": texts}).with_columns(labels)
        frame.write_parquet(folder / f"{name}.parquet")
    facts: dict[str, Any] = {"task": task, "labels": list(tiny.LABELS) if task == "tag" else [], "splits": sizes}
    if task == "regress":
        facts |= {"targets": ["length", "labels"], "scale": {}}
    return tiny.artifact("splits", "splits", folder, facts)


def test_binary_cross_entropy_by_hand() -> None:
    logits, target = [[0.5, -1.0], [2.0, 0.0]], [[1, 0], [0, 1]]
    weight = [3.0, 1.0]

    def loss(logit: float, wanted: float, times: float) -> float:
        p = 1 / (1 + math.exp(-logit))
        return -(times * wanted * math.log(p) + (1 - wanted) * math.log(1 - p))

    for smoothing in (0.0, 0.2):
        by_hand = math.fsum(
            loss(logits[row][label], target[row][label] * (1 - smoothing) + smoothing / 2, weight[label])
            for row in range(2)
            for label in range(2)
        )
        total, num = binary_cross_entropy(
            torch.tensor(logits),
            torch.tensor(target),
            label_smoothing=smoothing,
            positive_weight_C=torch.tensor(weight),
        )
        assert float(total) == pytest.approx(by_hand, rel=1e-6) and float(num) == 2


def test_a_label_that_a_row_has_is_pulled_up_and_one_it_has_not_down() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    binary_cross_entropy(logits, torch.tensor([[1, 0]]))[0].backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None and logits.grad.tolist() == [[-0.5, 0.5]]


def test_label_sets_are_encoded_counted_and_weighed() -> None:
    target = LabelSets.of(tiny.LABELS, SETS)
    assert target.counts == (2, 2, 2) and target.encoded(["transfer", "strange"]).tolist() == [0, 0, 1]
    assert Tag(TagConfig(class_weights="balanced"), target).weight_C.tolist() == [1.5] * 3  # type: ignore[union-attr]
    rows = [Tag(TagConfig(), target).rows({"text": "x", "label": labels}, lambda text: {}) for labels in SETS]
    outputs = np.array([row["target"] for row in rows]) * 2.0 - 1.0
    assert Tag(TagConfig(), target).scores(outputs, rows)["f1_samples"] == 1.0


def test_several_targets_are_each_standardised_and_the_loss_is_their_mean() -> None:
    values = [[1.0, -100.0], [3.0, 100.0], [5.0, 300.0]]
    method = Regress(RegressConfig(), Scales.of(["a", "b"], values))
    rows = [method.rows({"text": "x", "label": one}, lambda text: {}) for one in values]
    std_a, std_b = math.sqrt(8 / 3), math.sqrt(80000 / 3)
    np.testing.assert_allclose(rows[0]["target"], [(1 - 3) / std_a, (-100 - 100) / std_b], rtol=1e-6)
    target_BK = torch.tensor(np.stack([row["target"] for row in rows]))
    loss = method.objectives()[0].loss(lambda role, batch: torch.zeros(3, 2), {"target": target_BK})
    # Each target has mean square 1, so a network that says 0 has loss 1 whatever the units.
    assert float(loss.total / loss.weight) == pytest.approx(1.0, rel=1e-6)
    assert method.scores(np.zeros((3, 2)), rows)["mse"] == pytest.approx(1.0, rel=1e-6)
    with pytest.raises(DataError, match="the same `b`"):
        Scales.of(["a", "b"], [[1.0, 2.0], [2.0, 2.0]])


def test_one_target_alone_or_in_a_list_is_the_same_loss() -> None:
    one, listed = (
        Regress(RegressConfig(), Scale(2.0, 4.0)),
        Regress(RegressConfig(), Scales(("a",), (Scale(2.0, 4.0),))),
    )
    outputs = torch.tensor([[0.3], [-0.7]])
    losses = []
    for method, label in ((one, lambda x: x), (listed, lambda x: [x])):
        rows = [method.rows({"text": "x", "label": label(x)}, lambda text: {}) for x in (1.0, 9.0)]
        target = torch.tensor(np.array([row["target"] for row in rows]), dtype=torch.float32)
        loss = method.objectives()[0].loss(lambda role, batch: outputs, {"target": target})
        losses.append(float(loss.total / loss.weight))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("trainable", ["full"])
def test_tags_are_learned_calibrated_and_answered(tmp_path: Path, trainable: str) -> None:
    given = {"base": tiny.base(), "splits": _splits(tmp_path / "splits", "tag")}
    config = tiny.train_config("tag", trainable=trainable, epochs=30)
    trained = tiny.train(config, given, tiny.FakeContext(tmp_path / "run"))
    assert trained.losses[-1] < trained.losses[0] / 2
    assert trained.facts["watched"] == "average_precision"
    manifest = ModelManifest.read(trained.path)
    assert manifest.labels == tiny.LABELS and len(manifest.decision.thresholds) == 3
    told = trained.facts["calibration"]
    assert told["loss_after"] <= told["loss_before"] and set(told["labels"]) == set(tiny.LABELS)
    engine = TransformersEngine.open(trained.path, given["base"].path)
    test = pl.read_parquet(given["splits"].path / "test.parquet")
    texts = test["text"].to_list()
    values = {one.index: one.values for one in engine.submit(Request("predict", texts))}
    logits = {one.index: one.values for one in engine.submit(Request("logits", texts))}
    for place in range(len(texts)):
        wanted = [1 / (1 + math.exp(-one / manifest.decision.temperature)) for one in logits[place]]
        assert values[place] == pytest.approx(wanted, abs=1e-9)


def test_several_targets_are_answered_in_their_own_units(tmp_path: Path) -> None:
    given = {"base": tiny.base(), "splits": _splits(tmp_path / "splits", "regress")}
    trained = tiny.train(tiny.train_config("regress", epochs=2), given, tiny.FakeContext(tmp_path / "run"))
    manifest = ModelManifest.read(trained.path)
    assert list(manifest.targets) == ["length", "labels"] and manifest.num_outputs == 2 and manifest.target is None
    engine = TransformersEngine.open(trained.path, given["base"].path)
    (answer,) = engine.submit(Request("predict", ["card"]))
    (raw,) = engine.submit(Request("logits", ["card"]))
    wanted = [one * scale.std + scale.mean for one, scale in zip(raw.values, manifest.scales, strict=True)]
    assert answer.values == pytest.approx(wanted, rel=1e-12)


def test_the_temperature_is_the_one_that_made_the_logits_too_large() -> None:
    rng = np.random.default_rng(0)
    logits_NC = rng.normal(size=(4000, 5))
    probability_NC = np.exp(logits_NC) / np.exp(logits_NC).sum(1, keepdims=True)
    target_N = np.array([rng.choice(5, p=row) for row in probability_NC])
    decision, facts = classify_decision(DecisionConfig(), logits_NC * 3, target_N, None, lambda words: None)
    assert decision.temperature == pytest.approx(3.0, rel=0.1) and facts["loss_after"] < facts["loss_before"]
    has_NC = rng.random((4000, 5)) < 1 / (1 + np.exp(-logits_NC))
    decision, _ = tag_decision(DecisionConfig(), tuple("abcde"), logits_NC * 2, has_NC, lambda words: None)
    assert decision.temperature == pytest.approx(2.0, rel=0.1)


def test_the_rejecting_threshold_keeps_what_was_asked_and_the_score_is_chosen() -> None:
    rng = np.random.default_rng(1)
    target_N = rng.integers(4, size=400)
    logits_NC = rng.normal(size=(400, 4)) + 6 * np.eye(4)[target_N]
    # Unknown texts: one logit stands out as it does for known ones, but all are low.
    outside_MC = rng.normal(size=(100, 4)) - 8 + 6 * np.eye(4)[rng.integers(4, size=100)]
    config = DecisionConfig.model_validate({"reject": {"label": "elsewhere", "keep": 0.9}})
    decision, facts = classify_decision(config, logits_NC, target_N, outside_MC, lambda words: None)
    assert decision.reject is not None and decision.reject.score in ("max_logit", "energy")
    assert (
        facts["reject"]["scores"]["max_probability"]["auroc"]
        < 0.7
        < 0.99
        < facts["reject"]["scores"]["energy"]["auroc"]
    )
    assert facts["reject"]["kept"] == pytest.approx(0.9, abs=0.003) and facts["reject"]["rejected"] > 0.99
    said: list[str] = []
    classify_decision(config, logits_NC[:5], target_N[:5], None, said.append)
    assert said == ["the rejecting threshold rests on 5 validation rows only: it may be far off"]
    with pytest.raises(DataError, match="there are none"):
        classify_decision(config, logits_NC[:0], target_N[:0], None, said.append)


def test_rejection_scores_by_hand() -> None:
    logits = torch.tensor([[1.0, 3.0]], dtype=torch.double)
    assert float(rejection_score(logits, "max_logit")) == 3.0
    assert float(rejection_score(logits, "energy")) == pytest.approx(math.log(math.e + math.e**3))
    assert float(rejection_score(logits, "max_probability", 2.0)) == pytest.approx(1 / (1 + math.exp(-1)))


def test_a_precision_that_cannot_be_met_is_said_with_what_can() -> None:
    rng = np.random.default_rng(2)
    has_NC = np.stack([np.arange(60) % 2 == 0, rng.random(60) < 0.3], axis=1)
    logits_NC = np.stack([np.where(has_NC[:, 0], 3.0, -3.0), np.zeros(60)], axis=1)
    config = DecisionConfig.model_validate({"thresholds": {"at_least_precision": 0.9}})
    said: list[str] = []
    decision, _ = tag_decision(config, ("good", "bad"), logits_NC, has_NC, said.append)
    assert decision.thresholds[1] == NEVER and decision.thresholds[0] < 1
    best = has_NC[:, 1].mean()
    assert f"`bad` {best:.2f}" in said[0] and "1 of 2 labels" in said[0]
    with pytest.raises(DataError, match=r"no label reaches a precision of 0\.9") as caught:
        tag_decision(config, ("bad",), logits_NC[:, 1:], has_NC[:, 1:], said.append)
    assert f"{best:.2f}" in str(caught.value.next)


def test_validation_labels_that_training_lacks_choose_nothing(tmp_path: Path) -> None:
    texts, labels = tiny.sentences(24)
    rows = {"train": (texts, labels), "validation": ([*texts[:6], "my new thing"], [*labels[:6], "strange"])}
    splits = tiny.splits(tmp_path / "splits", rows)
    splits.facts["labels"].remove("strange")  # type: ignore[attr-defined]
    context = tiny.FakeContext(tmp_path / "run")
    trained = tiny.train(tiny.train_config(), {"base": tiny.base(), "splits": splits}, context)
    assert trained.facts["calibration"]["num_rows"] == 6
    assert "1 validation rows have a label that no training row has: they choose no checkpoint" in context.warnings
