"""The train stage: what it keeps, when it stops, what it refuses, and that nothing is lost uncounted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests import tiny

from tunesmith.core.engine import Request
from tunesmith.core.errors import DataError, RecipeError, StepError
from tunesmith.core.stage import Given
from tunesmith.engines.transformers import TransformersEngine
from tunesmith.models.folder import open_model
from tunesmith.training import loop
from tunesmith.training.features import Features


@pytest.fixture
def given(tmp_path: Path) -> Given:
    return {"base": tiny.base(), "splits": tiny.labelled(tmp_path / "splits")}


def run(given: Given, folder: Path, **changes: Any) -> tuple[tiny.Trained, tiny.FakeContext]:
    context = tiny.FakeContext(folder)
    return tiny.train(tiny.train_config(**changes), given, context), context


def predicted(trained: tiny.Trained, texts: list[str], base: Path | None = None) -> list[tuple[float, ...]]:
    answers = {
        one.index: one.values for one in TransformersEngine.open(trained.path, base).submit(Request("predict", texts))
    }
    return [answers[place] for place in range(len(texts))]


def with_features(given: Given, config: Any, folder: Path) -> tuple[Given, dict[str, torch.Tensor]]:
    """The inputs with the ACTIVATIONS that a head needs, and their tensors."""
    context = tiny.FakeContext(folder)
    facts = Features(config.features()).run(given, context)["activations"]
    path = context.out / "activations"
    return {**given, "activations": tiny.artifact("activations", "activations", path, facts)}, load_file(
        path / "features.safetensors"
    )


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_it_learns_the_labels_of_its_rows(family: tiny.Family, tmp_path: Path) -> None:
    """With the labels in the order of the manifest: a wrong order would predict the wrong names."""
    texts, labels = tiny.sentences(24)
    given = {"base": tiny.base(family), "splits": tiny.labelled(tmp_path / "splits")}
    trained, _ = run(given, tmp_path, epochs=12, optimizer={"kind": "adamw", "lr": 5e-3})
    order = trained.facts["labels"]
    assert order == sorted(tiny.LABELS)
    answers = [order[max(range(3), key=row.__getitem__)] for row in predicted(trained, texts)]
    assert sum(a == b for a, b in zip(answers, labels, strict=True)) >= 22
    assert trained.losses[-1] < 0.5 * trained.losses[0]


def test_the_facts_tell_what_was_done(given: Given, tmp_path: Path) -> None:
    trained, context = run(given, tmp_path, epochs=3)
    weights = load_file(trained.path / "encoder" / "model.safetensors") | load_file(trained.path / "head.safetensors")
    known = {name: trained.facts[name] for name in ("steps", "epochs", "rows", "stopped", "precision", "watched")}
    assert known == {
        "steps": 9,
        "epochs": 3.0,
        "rows": 24,
        "stopped": "after the last step",
        "precision": "float32",
        "watched": "f1_macro",
    }
    assert trained.facts["num_trained_parameters"] == sum(one.numel() for one in weights.values())
    assert (trained.facts["truncated_rows"], trained.facts["num_truncated_tokens"]) == (0, 0)
    assert [line["step"] for line in trained.history if "loss" in line] == list(range(1, 10))
    assert [line["step"] for line in trained.history if "validation" in line] == [3, 6, 9]
    assert context.warnings == []


def test_the_best_weights_are_kept(given: Given, tmp_path: Path) -> None:
    """Rows that contradict what is learned: the first look is the best, and its weights are what a shorter run has."""
    texts, labels = tiny.sentences(9, seed=1)
    rows = {"train": tiny.sentences(24), "validation": (texts, [*labels[1:], labels[0]])}
    given = {**given, "splits": tiny.splits(tmp_path / "contrary", rows)}
    more: dict[str, Any] = {"optimizer": {"kind": "adamw", "lr": 1e-2}, "schedule": {"kind": "constant", "warmup": 0}}
    watch = {"early_stopping": {"patience": 2, "metric": "loss"}}
    stopped, _ = run(given, tmp_path / "stopped", epochs=9, **more, **watch)
    losses = [line["validation"]["loss"] for line in stopped.history if "validation" in line]
    assert losses.index(min(losses)) == 0
    assert len(losses) == 3, "patience 2: two worse looks after the best one"
    facts = {name: stopped.facts[name] for name in ("steps", "best_step", "best", "watched", "stopped")}
    assert facts == {
        "steps": 9,
        "best_step": 3,
        "best": losses[0],
        "watched": "loss",
        "stopped": "early: validation got no better",
    }
    short, _ = run(given, tmp_path / "short", epochs=1, **more)
    for name, data in short.files.items():
        if name.endswith(".safetensors"):
            assert stopped.files[name] == data, name


def test_max_steps(given: Given, tmp_path: Path) -> None:
    trained, _ = run(given, tmp_path, epochs=9, max_steps=4)
    assert (trained.facts["steps"], len(trained.losses)) == (4, 4)
    rates = [line["lr"] for line in trained.history if "loss" in line]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3 * 2 / 3, 1e-3 / 3]), "the schedule ends where training does"


def test_without_validation_rows_the_last_weights_are_kept(tmp_path: Path) -> None:
    given = {"base": tiny.base(), "splits": tiny.splits(tmp_path / "s", {"train": tiny.sentences(16)})}
    trained, _ = run(given, tmp_path)
    assert (trained.facts["best_step"], trained.facts["best"], trained.facts["steps"]) == (0, None, 4)


def test_an_unknown_metric_to_watch_is_named(given: Given, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not measured") as caught:
        run(given, tmp_path, early_stopping={"metric": "f2"})
    assert "f1_macro" in str(caught.value.allowed)


LONG = "please " * 40


def long_splits(folder: Path) -> tuple[Given, int]:
    """Rows of which two are too long for 16 tokens, and the tokens that are too many."""
    texts, labels = tiny.sentences(10)
    texts = [text[:30].rsplit(" ", 1)[0] for text in texts]
    rows = {
        "train": ([*texts, LONG, LONG + "card"], [*labels, "card", "card"]),
        "validation": tiny.sentences(6, seed=1),
    }
    return {"base": tiny.base(), "splits": tiny.splits(folder, rows)}, (42 - 16) + (43 - 16)


@pytest.mark.parametrize("trainable", ["full", "head"])
@pytest.mark.parametrize("policy", ["truncate_right", "truncate_left"])
def test_cut_rows_are_counted(policy: str, trainable: str, tmp_path: Path) -> None:
    given, lost = long_splits(tmp_path / "splits")
    settings = {"max_tokens": 16, "length_policy": policy, "trainable": trainable}
    if trainable == "head":
        given, _ = with_features(given, tiny.train_config(**settings), tmp_path / "features")
    trained, context = run(given, tmp_path, **settings)
    counts = {name: trained.facts[name] for name in ("rows", "truncated_rows", "num_truncated_tokens", "dropped_rows")}
    assert counts == {"rows": 12, "truncated_rows": 2, "num_truncated_tokens": lost, "dropped_rows": 0}
    assert context.warnings == [f"2 training rows are longer than 16 tokens: {lost} tokens were cut off"]


@pytest.mark.parametrize("trainable", ["full", "head"])
def test_dropped_rows_are_counted(trainable: str, tmp_path: Path) -> None:
    given, _ = long_splits(tmp_path / "splits")
    settings = {"max_tokens": 16, "length_policy": "drop", "trainable": trainable}
    if trainable == "head":
        given, _ = with_features(given, tiny.train_config(**settings), tmp_path / "features")
    trained, context = run(given, tmp_path, **settings)
    counts = {name: trained.facts[name] for name in ("rows", "truncated_rows", "num_truncated_tokens", "dropped_rows")}
    assert counts == {"rows": 10, "truncated_rows": 0, "num_truncated_tokens": 0, "dropped_rows": 2}
    assert context.warnings == ["2 training rows are longer than 16 tokens and were dropped"]


def test_long_rows_can_be_refused(tmp_path: Path) -> None:
    given, lost = long_splits(tmp_path / "splits")
    with pytest.raises(DataError, match="refuse") as caught:
        run(given, tmp_path, max_tokens=16, length_policy="refuse")
    assert caught.value.seen == f"2 of 12 rows, {lost} tokens too many"
    assert not (tmp_path / "out" / "model").exists()


def test_nothing_left_after_dropping_is_refused(tmp_path: Path) -> None:
    splits = tiny.splits(tmp_path / "splits", {"train": ([LONG, LONG], ["a", "b"])})
    with pytest.raises(DataError, match="every training text is too long"):
        run({"base": tiny.base(), "splits": splits}, tmp_path, max_tokens=16, length_policy="drop")


def test_more_tokens_than_the_model_reads_are_refused(given: Given, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more than the model can read") as caught:
        run(given, tmp_path, max_tokens=64)
    assert caught.value.allowed == "at most 32"


@pytest.mark.parametrize("is_normalized", [False, True])
def test_a_head_trained_on_features_answers_as_a_network(is_normalized: bool, given: Given, tmp_path: Path) -> None:
    """Features computed once are the engine's own vectors, and the head over them is the model that predicts."""
    base = tiny.artifact("base", "base", given["base"].path, {**given["base"].facts, "is_normalized": is_normalized})
    given, tensors = with_features({**given, "base": base}, tiny.train_config(trainable="head"), tmp_path / "features")
    trained, _ = run(given, tmp_path, trainable="head", epochs=20)
    assert not (trained.path / "encoder").exists()
    texts, _ = tiny.sentences(24)
    engine = TransformersEngine.open(trained.path, base.path)
    vectors = {one.index: one.values for one in engine.submit(Request("embed", texts))}
    ours = torch.nn.functional.normalize(tensors["train"], dim=-1)
    assert ours.numpy() == pytest.approx(torch.tensor([vectors[row] for row in range(24)]).numpy(), abs=1e-5)

    _, network, _ = open_model(trained.path, base.path)
    with torch.inference_mode():
        expected_BC = network.head(tensors["train"]).double().softmax(-1)
    seen_BC = torch.tensor(predicted(trained, texts, base.path), dtype=torch.float64)
    assert seen_BC.numpy() == pytest.approx(expected_BC.numpy(), abs=1e-5)
    assert trained.losses[-1] < trained.losses[0]


def test_features_change_nothing_by_their_batches(
    given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.training import features

    config = tiny.train_config(trainable="head")
    _, whole = with_features(given, config, tmp_path / "whole")
    monkeypatch.setattr(features, "BUDGET_TOKENS", 1)
    _, single = with_features(given, config, tmp_path / "single")
    for name in whole:
        assert single[name].numpy() == pytest.approx(whole[name].numpy(), abs=1e-6)


def test_regression_learns_in_the_units_of_its_target(tmp_path: Path) -> None:
    texts, labels = tiny.sentences(24)
    values = [1000.0 + 500.0 * tiny.LABELS.index(label) for label in labels]
    rows = {"train": (texts, values), "validation": (texts[:6], values[:6])}
    given = {"base": tiny.base(), "splits": tiny.splits(tmp_path / "splits", rows, task="regress")}
    config = tiny.train_config("regress", epochs=20, optimizer={"kind": "adamw", "lr": 5e-3}, dropout=0.0)
    trained = tiny.train(config, given, tiny.FakeContext(tmp_path))
    assert trained.facts["target"] == {"mean": 1500.0, "std": pytest.approx(500.0 * (2 / 3) ** 0.5)}
    answers = [value for (value,) in predicted(trained, texts)]
    assert sum(abs(a - b) for a, b in zip(answers, values, strict=True)) / 24 < 200
    last = [line["validation"] for line in trained.history if "validation" in line][-1]
    assert last["mae"] < 200 and last["rmse"] == pytest.approx(last["mse"] ** 0.5), "measured in target units"
    assert last["loss"] == pytest.approx(last["mse"] / trained.facts["target"]["std"] ** 2, rel=1e-4)


def test_a_constant_target_is_refused(tmp_path: Path) -> None:
    splits = tiny.splits(tmp_path / "splits", {"train": (["a", "b"], [2.0, 2.0])}, task="regress")
    with pytest.raises(DataError, match="same target"):
        tiny.train(tiny.train_config("regress"), {"base": tiny.base(), "splits": splits}, tiny.FakeContext(tmp_path))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_before_it_is_learned(
    bad: float, given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At step 2; the weights and the optimizer are those after step 1."""
    from tunesmith.training.methods.classify import Classify

    seen: list[loop.Loop] = []
    real_fit, real_loss = loop.Loop.fit, Classify._loss
    calls = 0

    def fit(self: loop.Loop) -> Any:
        seen.append(self)
        return real_fit(self)

    def loss(self: Classify, forward: Any, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            before.update({name: one.clone() for name, one in seen[0]._weights().items()})
        found = real_loss(self, forward, batch)
        return type(found)(found.total * bad, found.weight) if calls == 3 else found

    before: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(loop.Loop, "fit", fit)
    monkeypatch.setattr(Classify, "_loss", loss)
    with pytest.raises(StepError, match=r"optimizer step 2: .*not a finite number") as caught:
        run(given, tmp_path, epochs=9)
    assert "lr" in str(caught.value.next)
    assert before and all(torch.equal(before[name], one) for name, one in seen[0]._weights().items())
    assert not (tmp_path / "out" / "model").exists()


def test_unknown_class_weights_are_named(given: Given, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="class_weights") as caught:
        run(given, tmp_path, method={"kind": "classify", "class_weights": {"crad": 2.0}})
    assert caught.value.seen == "crad"


def test_balanced_class_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    from tunesmith.training.methods.classify import Classify
    from tunesmith.training.methods.config import ClassifyConfig
    from tunesmith.training.targets import Labels

    labels = ["a"] * 7 + ["b"] * 2 + ["c"]
    method = Classify(ClassifyConfig(class_weights="balanced"), Labels.of(["a", "b", "c", "never"], labels))
    expected = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=labels)
    assert method.class_weight_C is not None
    assert method.class_weight_C.tolist() == pytest.approx([*expected, 0.0])
