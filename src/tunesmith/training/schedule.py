"""Learning-rate schedules as a factor on the peak rate."""

from __future__ import annotations

import math
from typing import Literal


def warmup_steps(warmup: float, total_steps: int) -> int:
    """Steps of warm-up: a share of the run below 1, a number of steps from 1 on."""
    return math.ceil(warmup * total_steps) if warmup < 1 else int(warmup)


def factor(
    kind: Literal["linear", "cosine", "constant", "wsd"], step: int, total_steps: int, warmup: int, decay: float = 0.2
) -> float:
    """The factor for optimizer step ``step`` (the first is 0): linear warm-up, then down to 0, or constant.

    ``wsd`` (warm-up, stable, decay) is constant but for the last ``decay`` share of all steps, where it goes down to 0
    as one minus a square root. Source: Hägele et al. 2024, equation 2.
    """
    if step < warmup:
        return (step + 1) / warmup
    if kind == "constant":
        return 1.0
    if kind == "wsd":
        length = max(1, round(decay * total_steps))
        done = max(0, step - (total_steps - length)) / length
        return max(0.0, 1.0 - math.sqrt(done))
    done = (step - warmup) / max(1, total_steps - warmup)
    if kind == "linear":
        return max(0.0, 1.0 - done)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
