"""Forecasts follow their formulas: by hand on round numbers."""

from __future__ import annotations

import json

import pytest

from tunesmith.core.errors import ModelError
from tunesmith.selection import resources
from tunesmith.selection.resources import START_S, UTILISATION, Machine

BASE = {"num_parameters": 11_000_000, "hidden": 100, "vocabulary": 9_488, "num_layers": 4}
SPEED = Machine(flops=1e11)


def test_the_body_leaves_out_the_embedding_tables() -> None:
    assert resources.body_parameters(BASE) == 11_000_000 - 100 * 10_000


def test_training_costs_six_operations_a_parameter_and_token() -> None:
    found = resources.forecast_train(BASE, 50_000, 2.0, "full", SPEED)
    assert found.seconds == pytest.approx(START_S + 6 * 1e7 * 50_000 * 2 / (1e11 * UTILISATION["full"]))
    assert found.peak_bytes > 24 * BASE["num_parameters"]
    head = resources.forecast_train(BASE, 50_000, 2.0, "head", SPEED)
    assert head.seconds < found.seconds and head.peak_bytes < found.peak_bytes


def test_top_layers_cost_their_share_and_the_layers_below_theirs() -> None:
    whole = resources.forecast_train(BASE, 50_000, 2.0, "full", SPEED)
    top = resources.forecast_train(BASE, 50_000, 2.0, "top_layers", SPEED, layers=1)
    assert top.seconds - START_S == pytest.approx((whole.seconds - START_S) / 4)
    assert top.peak_bytes < whole.peak_bytes
    bert = {**BASE, "model_type": "bert", "name": "b"}
    below = resources.forecast_layers(bert, 50_000, 1, "float32", SPEED)
    forward = resources.forecast_forward(bert, 50_000, SPEED)
    assert below.seconds - START_S == pytest.approx((forward.seconds - START_S) * 3 / 4)
    assert below.basis == "50,000 tokens; 20 MB on disk"  # 50,000 x 100 x 4 bytes
    with pytest.raises(ModelError, match="more than the model has"):
        resources.forecast_layers(bert, 50_000, 5, "float32", SPEED)


def test_adapters_need_no_gradient_of_frozen_weights_and_two_passes_cost_twice() -> None:
    whole = resources.forecast_train(BASE, 50_000, 2.0, "full", SPEED)
    lora = resources.forecast_train(BASE, 50_000, 2.0, "lora", SPEED)
    assert lora.seconds - START_S == pytest.approx((whole.seconds - START_S) * resources.LORA_OPERATIONS / 6)
    assert whole.peak_bytes - lora.peak_bytes == pytest.approx(20 * (1 - resources.LORA_SHARE) * 11_000_000, abs=2)
    twice = resources.forecast_train(BASE, 50_000, 2.0, "full", SPEED, passes=2)
    assert twice.seconds - START_S == pytest.approx(2 * (whole.seconds - START_S))


def test_a_forward_pass_costs_two() -> None:
    found = resources.forecast_forward(BASE, 50_000, SPEED)
    assert found.seconds == pytest.approx(START_S + 2 * 1e7 * 50_000 / (1e11 * UTILISATION["forward"]))
    assert json.loads(json.dumps(found.to_dict()))["basis"] == "50,000 tokens"


def test_quantiles_of_lengths() -> None:
    assert resources.quantiles([5, 1, 3]) == {"min": 1, "median": 3, "p95": 4, "max": 5}
    assert resources.quantiles([]) == {}


def test_the_machine_is_measured() -> None:
    assert resources.matrix_peak(size=64, seconds=0.01) > 1e6
