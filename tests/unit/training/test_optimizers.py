"""Optimizer steps against the papers' updates, written out in NumPy float64.

Tolerance 1e-12 relative over 12 steps: PyTorch's fused kernels run in float64 here, so only the order of operations
differs; the same run in float32 is held to 2e-5, a few hundred roundings of 6e-8.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tunesmith.core import wiring
from tunesmith.core.errors import RecipeError
from tunesmith.training.optimizer_config import AdamW8bitConfig, MuonConfig
from tunesmith.training.optimizers import adamw_8bit, groups, is_hidden_matrix, muon

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


def rmsprop_by_hand(w: Array, lr: float, decay: float, alpha: float, momentum: float) -> Array:
    """Tieleman and Hinton 2012, slide 29, with momentum on the scaled gradient as PyTorch has it."""
    square, velocity = np.zeros_like(w), np.zeros_like(w)
    for t in range(1, NUM_STEPS + 1):
        g = gradient(w, t) + decay * w
        square = alpha * square + (1 - alpha) * g**2
        velocity = momentum * velocity + g / (np.sqrt(square) + 1e-8)
        w = w - lr * velocity
    return w


def adafactor_by_hand(w: Array, lr: float, decay: float, power: float, clip: float, smallest: float) -> Array:
    """Shazeer and Stern 2018, algorithm 4 (matrices) and 5 (vectors), step size min(lr, 1/sqrt(t)), decoupled decay."""
    rms = lambda x: np.sqrt(np.mean(x**2))  # noqa: E731
    row, column, square = np.zeros(w.shape[0]), np.zeros(w.shape[-1]), np.zeros_like(w)
    for t in range(1, NUM_STEPS + 1):
        g = gradient(w, t)
        beta = 1 - t**-power
        size = max(smallest, rms(w)) * min(lr, 1 / np.sqrt(t))
        w = w - lr * decay * w
        if w.ndim == 2:
            row = beta * row + (1 - beta) * (g**2).mean(1)
            column = beta * column + (1 - beta) * (g**2).mean(0)
            square = np.outer(row, column) / row.mean()
        else:
            square = beta * square + (1 - beta) * g**2
        update = g / np.sqrt(square)
        w = w - size * update / max(1, rms(update) / clip)
    return w


def lion_by_hand(w: Array, lr: float, decay: float, betas: tuple[float, float]) -> Array:
    """Chen et al. 2023, algorithm 2."""
    m = np.zeros_like(w)
    for t in range(1, NUM_STEPS + 1):
        g = gradient(w, t)
        w = w - lr * (np.sign(betas[0] * m + (1 - betas[0]) * g) + decay * w)
        m = betas[1] * m + (1 - betas[1]) * g
    return w


def by_hand(kind: str, start: Array, lr: float, decay: float, more: dict[str, Any]) -> Array:
    if kind == "sgd":
        return sgd_by_hand(start, lr, decay, more.get("momentum", 0.9), more.get("nesterov", False))
    if kind == "rmsprop":
        return rmsprop_by_hand(start, lr, decay, more.get("alpha", 0.99), more.get("momentum", 0.0))
    if kind == "adafactor":
        return adafactor_by_hand(
            start,
            lr,
            decay,
            more.get("decay_power", 0.8),
            more.get("clip_update", 1.0),
            more.get("smallest_scale", 1e-3),
        )
    if kind == "lion":
        return lion_by_hand(start, lr, decay, more.get("betas", (0.9, 0.99)))
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
    pytest.param("rmsprop", 0.0, {}, id="rmsprop"),
    pytest.param("rmsprop", 0.1, {"alpha": 0.9, "momentum": 0.5}, id="rmsprop-momentum-decay"),
    pytest.param("adafactor", 0.0, {}, id="adafactor"),
    pytest.param("adafactor", 0.1, {"decay_power": 0.5, "clip_update": 1.5}, id="adafactor-decay"),
    pytest.param("lion", 0.0, {}, id="lion"),
    pytest.param("lion", 0.1, {"betas": (0.8, 0.95)}, id="lion-decay"),
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


def test_muon_is_the_papers_update() -> None:
    """Jordan et al. 2024 by hand: momentum, Nesterov, five Newton-Schulz steps in bfloat16, AdamW's root mean square.

    Newton-Schulz runs in bfloat16 in PyTorch, so the comparison with float64 is held to its 8 bits: 2 %.
    """
    rng = np.random.default_rng(0)
    start = rng.normal(size=(6, 4))
    hidden = torch.nn.Parameter(torch.tensor(start, dtype=torch.float32))
    table = torch.nn.Parameter(torch.tensor(start, dtype=torch.float32))
    bias = torch.nn.Parameter(torch.zeros(4))
    named = [("model.layers.0.weight", hidden), ("model.embed.weight", table), ("model.layers.0.bias", bias)]
    config = MuonConfig(lr=0.01, weight_decay=0.1)
    optimizer = muon(groups(named, lr=0.01, head_lr=0.01, weight_decay=0.1), config)
    w, momentum = start.copy(), np.zeros_like(start)
    plain = torch.nn.Parameter(torch.tensor(start, dtype=torch.float32))
    adamw = torch.optim.AdamW([plain], lr=0.01, weight_decay=0.1, betas=(0.9, 0.95), eps=1e-8)
    for _ in range(3):
        gradient = rng.normal(size=(6, 4))
        for parameter in (hidden, table, plain):
            parameter.grad = torch.tensor(gradient, dtype=torch.float32)
        bias.grad = torch.ones(4)
        optimizer.step()
        adamw.step()
        momentum = 0.95 * momentum + 0.05 * gradient
        w = w * (1 - 0.01 * 0.1) - 0.01 * 0.2 * np.sqrt(6) * newton_schulz(0.05 * gradient + 0.95 * momentum)
    moved = np.abs(w - start).max()
    assert np.abs(hidden.detach().numpy() - w).max() < 0.02 * moved
    assert torch.equal(table, plain), "an embedding learns by AdamW"
    assert bias.detach().abs().max() > 0


def newton_schulz(g: Array) -> Array:
    """Jordan et al. 2024: five steps of the quintic iteration, on the matrix with fewer rows than columns."""
    x = g.T / np.linalg.norm(g)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return np.asarray(x.T)


@pytest.mark.parametrize(
    ("name", "shape", "is_hidden"),
    [
        ("model.model.layers.0.self_attn.q_proj.weight", (4, 4), True),
        ("base_model.model.model.layers.1.mlp.up_proj.lora_A.default.weight", (2, 4), True),
        ("model.transformer.h.0.attn.c_attn.weight", (4, 12), True),
        ("model.model.layers.0.input_layernorm.weight", (4,), False),
        ("model.model.embed_tokens.weight", (9, 4), False),
        ("model.lm_head.weight", (9, 4), False),
        ("head.layers.0.weight", (4, 4), False),
        ("model.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", (32, 4), False),
    ],
)
def test_what_muon_takes(name: str, shape: tuple[int, ...], is_hidden: bool) -> None:
    assert is_hidden_matrix(name, torch.nn.Parameter(torch.zeros(shape))) == is_hidden


def test_8_bit_adamw_is_bitsandbytes_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its groups and settings; without the package it says what to install."""
    seen: dict[str, Any] = {}

    class AdamW8bit(torch.optim.SGD):
        def __init__(self, parameters: Any, **settings: Any) -> None:
            seen.update(settings)
            super().__init__(parameters, lr=1.0)

    fake = SimpleNamespace(optim=SimpleNamespace(AdamW8bit=AdamW8bit))
    parameters = groups([("a", torch.nn.Parameter(torch.zeros(2, 2)))], lr=0.1, head_lr=0.1, weight_decay=0.01)
    with pytest.raises(RecipeError, match="needs a GPU"):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        adamw_8bit(parameters, AdamW8bitConfig(lr=0.1))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(RecipeError, match="pip install bitsandbytes"):
        adamw_8bit(parameters, AdamW8bitConfig(lr=0.1))
    monkeypatch.setitem(sys.modules, "bitsandbytes", fake)
    optimizer = adamw_8bit(parameters, AdamW8bitConfig(lr=0.1))
    assert seen == {"betas": (0.9, 0.999), "eps": 1e-8}
    assert optimizer.param_groups[0]["lr"] == 0.1 and optimizer.param_groups[0]["weight_decay"] == 0.01
