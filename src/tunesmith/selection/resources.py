"""Forecasts of time and memory before anything heavy runs, from counts alone. Loads no torch."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tunesmith.core import machine
from tunesmith.models.architectures import cut_of

RUNTIME_BYTES = 600_000_000
"""Resident memory of Python, PyTorch and transformers before a weight is loaded; measured 0.55-0.65 GB."""
UTILISATION = {"full": 0.38, "forward": 0.30}
"""Share of the measured matrix peak that a small encoder reaches; measured on MiniLM (docs/log.md)."""
BFLOAT16_GAIN = 2.2
"""bfloat16 over float32 matrix products on processors with avx512_bf16; measured."""
LORA_OPERATIONS = 4.6
"""Operations per frozen parameter and token where adapters learn: four, and the adapters' own at ranks near 16."""
LORA_SHARE = 0.03
"""Parameters of adapters of rank 16 beside all linear layers, as a share of a small encoder's."""
START_S = 6.0
"""Seconds a heavy step needs to start."""
TYPICAL_TOKENS = 1500
"""Padded tokens of one microbatch of short texts."""
BYTES_PER_TOKEN_LAYER_HIDDEN = 68
"""Activations kept for the backward pass. Source: Korthikanti et al. 2022, equation 1, in bytes of two."""


@dataclass(frozen=True)
class Forecast:
    """What a step is expected to take. An estimate: the machine's other work is not in it."""

    seconds: float
    peak_bytes: int
    basis: str
    """Where the numbers come from, in words."""

    def to_dict(self) -> dict[str, Any]:
        """The forecast as JSON values."""
        return {"seconds": round(self.seconds, 1), "peak_bytes": self.peak_bytes, "basis": self.basis}


@dataclass(frozen=True)
class Machine:
    """What this machine can do, measured for a moment."""

    flops: float
    """Floating-point operations a second in matrix products of the format that training will use."""


@functools.cache
def measure_machine(precision: Literal["auto", "float32", "bfloat16"]) -> Machine:
    """This machine's matrix speed: measured in float32 by NumPy, scaled where the processor has bfloat16."""
    is_fast = machine.has_bfloat16() and precision != "float32"
    return Machine(matrix_peak() * (BFLOAT16_GAIN if is_fast else 1.0))


def matrix_peak(size: int = 768, seconds: float = 0.15) -> float:
    """This machine's float32 matrix products in floating-point operations a second, measured for a moment."""
    a, b = (np.random.default_rng(0).random((size, size), dtype=np.float32) for _ in range(2))
    a @ b
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ b
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def body_parameters(base: Mapping[str, Any]) -> int:
    """The parameters that take part in every token's arithmetic: all but the embedding tables."""
    return max(1, int(base["num_parameters"]) - int(base["hidden"]) * (int(base["vocabulary"]) + 512))


def forecast_train(
    base: Mapping[str, Any],
    num_tokens: int,
    epochs: float,
    trainable: str,
    speed: Machine,
    *,
    layers: int | None = None,
    passes: int = 1,
) -> Forecast:
    """The forecast of training on so many tokens an epoch; ``layers`` are those of ``top_layers``.

    Six operations per parameter and token forward and backward (Kaplan et al. 2020, section 2.1): two forward, two for
    the gradient of what comes in, two for the weights' own, which frozen weights beside adapters do without. Optimizer
    state and the kept checkpoint are six float32 values a parameter that learns.
    """
    if trainable == "head":
        return Forecast(START_S + 0.3 * epochs, RUNTIME_BYTES + 200_000_000, "only the head learns, on cached features")
    body, whole, num_layers = body_parameters(base), int(base["num_parameters"]), int(base["num_layers"])
    depth = num_layers if layers is None else min(layers, num_layers)
    operations = (LORA_OPERATIONS if trainable == "lora" else 6.0) * body * depth / num_layers
    work = num_tokens * epochs * passes
    learning = {"lora": LORA_SHARE * whole, "top_layers": body * depth / num_layers}.get(trainable, whole)
    activations = BYTES_PER_TOKEN_LAYER_HIDDEN * int(base["hidden"]) * depth * TYPICAL_TOKENS
    seconds = START_S + operations * work / (speed.flops * UTILISATION["full"])
    peak_bytes = int(RUNTIME_BYTES + 4 * (whole - learning) + 24 * learning + activations)
    return Forecast(seconds, peak_bytes, f"{work:,.0f} tokens at {speed.flops / 1e9:.0f} GFLOP/s")


def forecast_layers(base: Mapping[str, Any], num_tokens: int, layers: int, precision: str, speed: Machine) -> Forecast:
    """The forecast of running the layers below the ``layers`` top ones once, and of what they give on disk."""
    below = cut_of(base, layers) / int(base["num_layers"])
    whole = forecast_forward(base, num_tokens, speed)
    width = 2 if machine.has_bfloat16() and precision != "float32" else 4
    on_disk = num_tokens * int(base["hidden"]) * width
    seconds = START_S + (whole.seconds - START_S) * below
    return Forecast(seconds, whole.peak_bytes, f"{num_tokens:,} tokens; {on_disk / 1e6:,.0f} MB on disk")


def forecast_forward(base: Mapping[str, Any], num_tokens: int, speed: Machine) -> Forecast:
    """The forecast of running the base once over so many tokens."""
    seconds = START_S + 2.0 * body_parameters(base) * num_tokens / (speed.flops * UTILISATION["forward"])
    return Forecast(seconds, RUNTIME_BYTES + 4 * int(base["num_parameters"]) + 200_000_000, f"{num_tokens:,} tokens")


def forecast_baselines(num_rows: int, num_labels: int) -> Forecast:
    """The forecast of fitting the baselines: TF-IDF with logistic regression is all of it."""
    return Forecast(3.0 + num_rows * max(2, num_labels) * 3e-5, RUNTIME_BYTES // 2, f"{num_rows:,} rows")


def quantiles(lengths: Sequence[int]) -> dict[str, int]:
    """Lengths at the shares a plan shows."""
    if not lengths:
        return {}
    shares = {"min": 0.0, "median": 0.5, "p95": 0.95, "max": 1.0}
    return {name: int(np.quantile(lengths, share)) for name, share in shares.items()}
