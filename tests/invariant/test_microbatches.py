"""However the rows of a step are cut, however often the run is started: the same training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests import tiny

from tunesmith.core.stage import Given

torch.set_num_threads(1)
METHOD = {"kind": "classify", "label_smoothing": 0.1, "class_weights": "balanced"}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT without dropout: which units it drops does depend on the cut."""
    folder = tmp_path_factory.mktemp("cut") / "bert"
    tiny.write_encoder("bert", folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return folder


@pytest.fixture
def given(bert: Path, tmp_path: Path) -> Given:
    return {"base": tiny.base(folder=bert), "splits": tiny.labelled(tmp_path / "splits", num_train=28)}


def weights(trained: tiny.Trained) -> dict[str, torch.Tensor]:
    return load_file(trained.path / "encoder" / "model.safetensors") | load_file(trained.path / "head.safetensors")


@pytest.mark.parametrize("bucketing", [False, True])
def test_microbatches_change_nothing(bucketing: bool, given: Given, tmp_path: Path) -> None:
    """64 tokens at a time or all at once: losses, gradient norms, validation and weights within 1e-5.

    1e-5: float32 sums in another order, over six steps of AdamW at 1e-3 (which divides by the gradient's size).
    """
    runs = [
        tiny.train(
            tiny.train_config(
                method=METHOD, dropout=0.0, microbatch_tokens=budget, bucketing=bucketing, max_steps=6, batch=12
            ),
            given,
            tiny.FakeContext(tmp_path / str(budget)),
        )
        for budget in (64, 100_000)
    ]
    small, whole = runs
    assert small.losses == pytest.approx(whole.losses, abs=1e-5)
    norms = [[line["grad_norm"] for line in run.history if "loss" in line] for run in runs]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    validations = [[line["validation"]["loss"] for line in run.history if "validation" in line] for run in runs]
    assert validations[0] == pytest.approx(validations[1], abs=1e-5) and validations[0]
    for name, tensor in weights(whole).items():
        assert float((weights(small)[name] - tensor).abs().max()) < 1e-5, name


def test_rows_of_weight_0_change_nothing(given: Given, tmp_path: Path) -> None:
    """The loss is divided by the weight of the rows, not by their number."""
    zero = {"kind": "classify", "class_weights": {"refund": 0.0, "card": 2.0}}
    run = tiny.train(tiny.train_config(method=zero, dropout=0.0, max_steps=3), given, tiny.FakeContext(tmp_path / "a"))
    scaled = {"kind": "classify", "class_weights": {"refund": 0.0, "card": 20.0, "transfer": 10.0}}
    ten = tiny.train(
        tiny.train_config(method=scaled, dropout=0.0, max_steps=3), given, tiny.FakeContext(tmp_path / "b")
    )
    assert run.losses == pytest.approx(ten.losses, abs=1e-5)


CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {"dropout": 0.2},
    "sgd": {"optimizer": {"kind": "sgd", "lr": 0.01}, "dropout": 0.2},
    "adam": {"optimizer": {"kind": "adam", "lr": 0.001}, "schedule": {"kind": "cosine", "warmup": 2}},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(name: str, tmp_path: Path) -> None:
    given = {"base": tiny.base(), "splits": tiny.labelled(tmp_path / "splits")}
    config = tiny.train_config(**CONFIGS[name])
    first, again, other = (
        tiny.train(config, given, tiny.FakeContext(tmp_path / place, seed=seed))
        for place, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert first.files == again.files
    assert first.facts == again.facts
    assert first.files["model/head.safetensors"] != other.files["model/head.safetensors"]
    assert first.files["history/history.jsonl"] != other.files["history/history.jsonl"]


@pytest.mark.parametrize("memory", [2 * 2**30, 512 * 2**30])
def test_auto_cuts_by_the_machine_not_by_what_is_free_just_now(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.core import machine
    from tunesmith.training import memory as budget

    base = {"hidden": 768, "num_layers": 12}
    monkeypatch.setattr(budget, "total_bytes", lambda: memory)
    seen = set()
    for free in (2**28, 2**31, 2**36):
        monkeypatch.setattr(machine, "available_bytes", lambda free=free: free)
        seen.add(budget.budget_tokens("auto", base))
    assert seen == {428 if memory == 2 * 2**30 else budget.MAX_TOKENS}
    assert budget.budget_tokens(64, base) == 64
