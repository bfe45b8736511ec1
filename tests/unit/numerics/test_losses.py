"""Losses against sums written out by hand in float64, and against PyTorch's own mean.

Tolerance 2e-6 relative: the loss is computed in float32 (24 bits, 6e-8) over a few dozen terms.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tunesmith.numerics.losses import cross_entropy, squared_error

RELATIVE = 2e-6
Array = NDArray[np.float64]

CASES = [
    pytest.param(0.0, None, id="plain"),
    pytest.param(0.1, None, id="smoothed"),
    pytest.param(0.0, [0.5, 2.0, 1.0, 0.0], id="weighted"),
    pytest.param(0.3, [0.5, 2.0, 1.0, 3.0], id="smoothed-and-weighted"),
]


def by_hand(logits_BC: Array, target_B: list[int], smoothing: float, weights: list[float]) -> tuple[float, float]:
    """The summed loss and its weight: for each row ``-sum_c q_c w_c log p_c`` with q the smoothed target."""
    total = 0.0
    for logits_C, target in zip(logits_BC, target_B, strict=True):
        log_sum = math.log(sum(math.exp(one) for one in logits_C))
        for label, logit in enumerate(logits_C):
            share = (1 - smoothing) * (label == target) + smoothing / len(logits_C)
            total -= share * weights[label] * (logit - log_sum)
    return total, sum(weights[target] for target in target_B)


@pytest.mark.parametrize(("smoothing", "weights"), CASES)
def test_cross_entropy_by_hand(smoothing: float, weights: list[float] | None) -> None:
    rng = np.random.default_rng(0)
    logits_BC, target_B = rng.normal(size=(7, 4)) * 3, [0, 1, 2, 3, 1, 1, 0]
    expected, expected_weight = by_hand(logits_BC, target_B, smoothing, weights or [1.0] * 4)
    class_weight_C = None if weights is None else torch.tensor(weights)
    logits, target = torch.tensor(logits_BC), torch.tensor(target_B)

    total, weight = cross_entropy(logits, target, label_smoothing=smoothing, class_weight_C=class_weight_C)

    assert float(total) == pytest.approx(expected, rel=RELATIVE)
    assert float(weight) == pytest.approx(expected_weight, rel=RELATIVE)
    mean = torch.nn.CrossEntropyLoss(weight=class_weight_C, label_smoothing=smoothing)(logits.float(), target)
    assert float(total / weight) == pytest.approx(float(mean), rel=RELATIVE)


@pytest.mark.parametrize(("smoothing", "weights"), CASES)
def test_cross_entropy_pulls_towards_the_target(smoothing: float, weights: list[float] | None) -> None:
    """The gradient by hand: ``p_c sum_k q_k w_k - q_c w_c``; unsmoothed it is negative at the target alone."""
    weights_C = np.asarray(weights or [1.0] * 4)
    logits_BC = torch.tensor([[0.3, -1.0, 2.0, 0.1], [1.0, 1.0, -2.0, 0.0]], requires_grad=True)
    target_B = [1, 0]
    class_weight_C = None if weights is None else torch.tensor(weights)
    total, _ = cross_entropy(
        logits_BC, torch.tensor(target_B), label_smoothing=smoothing, class_weight_C=class_weight_C
    )
    total.backward()
    assert logits_BC.grad is not None
    for row, target in enumerate(target_B):
        logits_C = logits_BC[row].detach().double().numpy()
        p_C = np.exp(logits_C) / np.exp(logits_C).sum()
        qw_C = ((1 - smoothing) * np.eye(4)[target] + smoothing / 4) * weights_C
        expected_C = p_C * qw_C.sum() - qw_C
        assert logits_BC.grad[row].numpy() == pytest.approx(expected_C, rel=1e-5, abs=1e-6)
        if smoothing == 0.0:
            assert [one < 0 for one in expected_C] == [label == target for label in range(4)]


def test_cross_entropy_adds_up_over_any_cut() -> None:
    generator = torch.Generator().manual_seed(0)
    logits_BC, target_B = torch.randn(9, 3, generator=generator), torch.arange(9) % 3
    weights_C = torch.tensor([1.0, 0.2, 5.0])
    total, weight = cross_entropy(logits_BC, target_B, label_smoothing=0.1, class_weight_C=weights_C)
    parts = [
        cross_entropy(logits_BC[part], target_B[part], label_smoothing=0.1, class_weight_C=weights_C)
        for part in (slice(0, 1), slice(1, 6), slice(6, 9))
    ]
    assert sum(float(one) for one, _ in parts) == pytest.approx(float(total), rel=RELATIVE)
    assert sum(float(one) for _, one in parts) == pytest.approx(float(weight), rel=RELATIVE)


def test_cross_entropy_computes_in_float32_under_bfloat16() -> None:
    logits_BC = torch.tensor([[8.0, -8.0]], dtype=torch.bfloat16)
    total, _ = cross_entropy(logits_BC, torch.tensor([0]))
    # In bfloat16 1 + exp(-16) is 1 and the loss would be 0.
    assert float(total) == pytest.approx(math.log1p(math.exp(-16)), rel=0.1)
    assert total.dtype == torch.float32


def test_squared_error_by_hand() -> None:
    predicted_B = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
    total, weight = squared_error(predicted_B, torch.tensor([0.0, 1.0, 0.5]))
    total.backward()
    assert (total.item(), weight.item()) == (1.0 + 9.0, 3.0)
    assert predicted_B.grad is not None
    assert predicted_B.grad.tolist() == [2.0, -6.0, 0.0]
