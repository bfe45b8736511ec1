"""The learning-rate range test: its rule on curves by hand, and what it leaves behind."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny

from tunesmith.training import range_test
from tunesmith.training.range_test import chosen

torch.set_num_threads(1)


def points(smoothed: list[float]) -> list[dict[str, float]]:
    factors = [10 ** (-2 + place * 0.5) for place in range(len(smoothed))]
    return [
        {"factor": factor, "lr": factor, "loss": s, "smoothed": s} for factor, s in zip(factors, smoothed, strict=True)
    ]


@pytest.mark.parametrize(
    ("smoothed", "factor"),
    [
        ([2.0, 2.0, 2.0, 2.0, 2.0, 1.5, 1.0, 3.0], 10 ** (-2 + 6 * 0.5) / 10),  # lowest at the 7th rate
        ([2.0, 1.0, 2.0, 2.0, 2.0, 1.9, 2.5, 3.0], 10 ** (-2 + 5 * 0.5) / 10),  # the first steps say nothing
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.1, 1.2, 1.3], None),  # never falls
        ([1.0, 1.0], None),
    ],
)
def test_the_rule(smoothed: list[float], factor: float | None) -> None:
    found = chosen(points(smoothed))
    assert found is factor if factor is None else found == pytest.approx(max(range_test.LOWEST, factor))


def run(tmp_path: Path, **changes: Any) -> tuple[Any, tiny.Trained, tiny.FakeContext]:
    config = tiny.train_config(**({"optimizer": {"kind": "adamw", "lr": "auto"}, "head_lr": None} | changes))
    context = tiny.FakeContext(tmp_path / "run")
    given = {"base": tiny.base(), "splits": tiny.labelled(tmp_path / "splits")}
    return config, tiny.train(config, given, context), context


def test_rates_keep_their_ratio_and_the_run_uses_them(tmp_path: Path) -> None:
    config, trained, _ = run(tmp_path)
    found = trained.facts["range_test"]
    assert found["lr"] / config.lr == pytest.approx(found["head_lr"] / config.head_lr)
    peak = max(line["lr"] for line in trained.history if "loss" in line)
    assert peak == pytest.approx(found["lr"], rel=0.5), "warm-up and decay leave the few steps near the peak"
    drawn = [line["range_test"] for line in trained.history if "range_test" in line]
    assert len(drawn) == found["steps"] == 100
    assert drawn[0]["factor"] == pytest.approx(1e-2) and drawn[-1]["factor"] == pytest.approx(1e2)
    share = 0.9
    running = 0.0
    for step, point in enumerate(drawn, 1):
        running = share * running + (1 - share) * point["loss"]
        assert point["smoothed"] == pytest.approx(running / (1 - share**step))
    assert found["lr"] == pytest.approx(config.lr * chosen(drawn))


def test_the_test_leaves_no_trace_in_the_weights(tmp_path: Path) -> None:
    """A run with the found rates written out is the same run."""
    _, tested, _ = run(tmp_path / "a")
    found = tested.facts["range_test"]
    written = {"optimizer": {"kind": "adamw", "lr": found["lr"]}, "head_lr": found["head_lr"]}
    _, plain, _ = run(tmp_path / "b", **written)
    assert tested.losses == plain.losses
    assert tested.files["model/head.safetensors"] == plain.files["model/head.safetensors"]


def test_a_loss_that_never_falls_takes_the_vetted_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_test, "_one_step", lambda *given: 1.0)
    config, trained, context = run(tmp_path)
    assert trained.facts["range_test"]["lr"] == config.lr
    assert any("no rate at which the loss falls" in warning for warning in context.warnings)


def test_it_ends_where_the_loss_runs_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([2.0] * 20 + [1.0] * 20 + [math.exp(n) for n in range(80)])
    monkeypatch.setattr(range_test, "_one_step", lambda *given: next(losses))
    _, trained, _ = run(tmp_path)
    assert trained.facts["range_test"]["steps"] < 60
    assert "times its lowest" in trained.facts["range_test"]["ended"]
