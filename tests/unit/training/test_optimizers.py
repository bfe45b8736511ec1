"""Optimizer steps against the papers' updates, written out in NumPy float64.

Tolerance 1e-12 relative over 12 steps: PyTorch's fused kernels run in float64 here, so only the order of operations
differs; the same run in float32 is held to 2e-5, a few hundred roundings of 6e-8.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tunesmith.core import wiring
from tunesmith.training.optimizers import groups

Array = NDArray[np.float64]
NUM_STEPS = 12
CURVATURE_D = np.array([0.5, 2.0, -0.3, 1.0])


def gradient(weights: Array, step: int) -> Array:
    """A gradient that changes with the weights and from step to step."""
    return CURVATURE_D * weights + np.sin(step + np.arange(weights.size)).reshape(weights.shape)


def adamw_by_hand(w: Array, lr: float, decay: float, betas: tuple[float, float], eps: float) -> Array:
    """Loshchilov and Hutter 2019, algorithm 2, with a schedule multiplier of 1."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t in range(1, NUM_STEPS + 1):
        g = gradient(w, t)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        w = w - lr * decay * w - lr * m_hat / (np.sqrt(v_hat) + eps)
    return w


def adam_by_hand(w: Array, lr: float, decay: float, betas: tuple[float, float], eps: float) -> Array:
    """Kingma and Ba 2015, algorithm 1, on the gradient of the loss plus decay / 2 * |w|^2."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t in range(1, NUM_STEPS + 1):
        g = gradient(w, t) + decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        w = w - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return w


def sgd_by_hand(w: Array, lr: float, decay: float, momentum: float, nesterov: bool) -> Array:
    """Polyak's heavy ball, and Nesterov's step as Sutskever et al. 2013 (equation 3) in PyTorch's variables."""
    velocity = np.zeros_like(w)
    for t in range(1, NUM_STEPS + 1):
        g = gradient(w, t) + decay * w
        velocity = momentum * velocity + g
        w = w - lr * (g + momentum * velocity if nesterov else velocity)
    return w


def by_hand(kind: str, start: Array, lr: float, decay: float, more: dict[str, Any]) -> Array:
    if kind == "sgd":
        return sgd_by_hand(start, lr, decay, more.get("momentum", 0.9), more.get("nesterov", False))
    rule = adamw_by_hand if kind == "adamw" else adam_by_hand
    return rule(start, lr, decay, more.get("betas", (0.9, 0.999)), more.get("eps", 1e-8))


class Three(torch.nn.Module):
    """A matrix, a vector, and the matrix of a head."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.matrix = torch.nn.Parameter(torch.tensor(rng.normal(size=(3, 4)), dtype=dtype))
        self.bias = torch.nn.Parameter(torch.tensor(rng.normal(size=4), dtype=dtype))
        self.head = torch.nn.Linear(4, 2, dtype=dtype, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor(rng.normal(size=(2, 4))))


def steps(kind: str, dtype: torch.dtype, decay: float, more: dict[str, Any]) -> tuple[dict[str, Array], ...]:
    """The weights before and after some steps of our optimizer."""
    wire = wiring.wire("optimizer", kind)
    config = wiring.load(wire.config or "").model_validate({"lr": 0.05, "weight_decay": decay, **more})
    network = Three(dtype)
    parts = groups(network.named_parameters(), lr=0.05, head_lr=0.2, weight_decay=decay)
    optimizer = wiring.load(wire.make)(parts, config)
    start = {name: one.detach().double().numpy().copy() for name, one in network.named_parameters()}
    for t in range(1, NUM_STEPS + 1):
        for one in network.parameters():
            one.grad = torch.tensor(gradient(one.detach().double().numpy(), t), dtype=dtype)
        optimizer.step()
    return start, {name: one.detach().double().numpy() for name, one in network.named_parameters()}


CASES = [
    pytest.param("adamw", 0.0, {}, id="adamw"),
    pytest.param("adamw", 0.1, {}, id="adamw-decay"),
    pytest.param("adamw", 0.1, {"betas": (0.8, 0.95), "eps": 1e-3}, id="adamw-betas-eps"),
    pytest.param("adam", 0.0, {}, id="adam"),
    pytest.param("adam", 0.1, {}, id="adam-decay"),
    pytest.param("sgd", 0.0, {"momentum": 0.0}, id="sgd"),
    pytest.param("sgd", 0.1, {}, id="sgd-momentum-decay"),
    pytest.param("sgd", 0.1, {"nesterov": True, "momentum": 0.7}, id="sgd-nesterov"),
]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
@pytest.mark.parametrize(("kind", "decay", "more"), CASES)
def test_steps_by_hand(kind: str, decay: float, more: dict[str, Any], dtype: torch.dtype, tolerance: float) -> None:
    start, end = steps(kind, dtype, decay, more)
    expected = {
        "matrix": by_hand(kind, start["matrix"], 0.05, decay, more),
        "bias": by_hand(kind, start["bias"], 0.05, 0.0, more),  # vectors are never decayed
        "head.weight": by_hand(kind, start["head.weight"], 0.2, decay, more),  # the head has its own rate
    }
    for name, value in expected.items():
        assert end[name] == pytest.approx(value, rel=tolerance, abs=tolerance), name
        assert not np.allclose(end[name], start[name], atol=1e-3), f"{name} has not moved"


def test_groups_keep_decay_off_vectors_and_give_the_head_its_rate() -> None:
    network = Three(torch.float32)
    found = groups(network.named_parameters(), lr=1.0, head_lr=2.0, weight_decay=0.5)
    assert [(one["lr"], one["peak_lr"], one["weight_decay"], len(one["params"])) for one in found] == [
        (1.0, 1.0, 0.0, 1),
        (1.0, 1.0, 0.5, 1),
        (2.0, 2.0, 0.5, 1),
    ]
