"""Heads of several layers: their shape, their answer by hand, and that they are saved and opened whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from tests import tiny

from tunesmith.models.folder import open_model
from tunesmith.models.head_shape import HeadShape
from tunesmith.models.heads import Head

torch.set_num_threads(1)


def test_the_default_head_is_one_linear_layer() -> None:
    assert set(Head(8, 3, 0.1, True).state_dict()) == {"linear.weight", "linear.bias"}


def test_a_deeper_head_by_hand() -> None:
    head = Head(4, 2, 0.0, False, HeadShape(layers=(6, 5), activation="tanh", norm=True)).double().eval()
    x = torch.randn(3, 4).double()
    weights = dict(head.state_dict())
    expected = x
    for place in (0, 4):
        expected = expected @ weights[f"layers.{place}.weight"].T + weights[f"layers.{place}.bias"]
        mean, variance = expected.mean(-1, keepdim=True), expected.var(-1, keepdim=True, unbiased=False)
        expected = torch.tanh((expected - mean) / torch.sqrt(variance + 1e-5))
    expected = expected @ weights["linear.weight"].T + weights["linear.bias"]
    found = head.linear(head.layers(x))
    assert torch.allclose(found, expected, atol=1e-12)
    assert head.linear.in_features == 5


@pytest.mark.parametrize("activation", ["gelu", "relu", "tanh", "silu"])
def test_without_norm_a_layer_is_three_modules(activation: str) -> None:
    head = Head(4, 2, 0.0, False, HeadShape.model_validate({"layers": [6], "activation": activation, "norm": False}))
    assert len(head.layers) == 3


def test_widths_are_whole_numbers_above_zero() -> None:
    for layers in ([0], [2.5], ["a"]):
        with pytest.raises(ValidationError):
            HeadShape.model_validate({"layers": layers})


@pytest.mark.parametrize("trainable", ["full", "lora"])
def test_it_is_trained_saved_and_opened(trainable: str, tmp_path: Path) -> None:
    given = {"base": tiny.base(), "splits": tiny.labelled(tmp_path / "splits")}
    config = tiny.train_config(trainable=trainable, head={"layers": [16], "activation": "relu"}, max_steps=3)
    run = tiny.train(config, given, tiny.FakeContext(tmp_path / "run"))
    manifest, network, _ = open_model(run.path, given["base"].path)
    assert manifest.network.head == HeadShape(layers=(16,), activation="relu")
    assert run.facts["network"]["head"]["layers"] == [16]
    assert network.head.linear.in_features == 16
