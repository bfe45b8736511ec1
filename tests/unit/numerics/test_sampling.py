"""Drawn tokens follow the distribution they are drawn from, by hand in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tunesmith.numerics.sampling import drawn, likeliest

LOGITS = torch.tensor([[2.0, 0.5, 1.0, -3.0]])


def shares(temperature: float, top_p: float) -> list[float]:
    """The exact probability of each id: the widths of the numbers that draw it."""
    edges = np.arange(100_000) / 100_000
    ids = drawn(LOGITS.expand(len(edges), -1), edges.tolist(), temperature=temperature, top_p=top_p)
    return [float((ids == one).double().mean()) for one in range(4)]


def expected(temperature: float, kept: list[int]) -> list[float]:
    weights = [math.exp(float(one) / temperature) if place in kept else 0.0 for place, one in enumerate(LOGITS[0])]
    return [one / sum(weights) for one in weights]


@pytest.mark.parametrize(
    ("temperature", "top_p", "kept"),
    [
        (1.0, 1.0, [0, 1, 2, 3]),
        (2.0, 1.0, [0, 1, 2, 3]),
        (1.0, 0.8, [0, 2]),  # 0.62, then 0.23 reaches it
        (1.0, 0.5, [0]),
        (1.0, 0.001, [0]),
    ],
)
def test_ids_come_as_often_as_they_should(temperature: float, top_p: float, kept: list[int]) -> None:
    assert shares(temperature, top_p) == pytest.approx(expected(temperature, kept), abs=3e-5)


def test_the_other_rows_change_nothing() -> None:
    logits = torch.randn(50, 20, generator=torch.Generator().manual_seed(0))
    numbers = np.random.default_rng(0).random(50).tolist()
    together = drawn(logits, numbers, temperature=0.7, top_p=0.9)
    alone = torch.cat([drawn(logits[n : n + 1], [numbers[n]], temperature=0.7, top_p=0.9) for n in range(50)])
    assert torch.equal(together, alone)


def test_cold_draws_are_the_likeliest() -> None:
    logits = torch.randn(50, 20, generator=torch.Generator().manual_seed(1))
    assert torch.equal(drawn(logits, [0.999] * 50, temperature=1e-4), likeliest(logits))
    assert int(drawn(LOGITS, [np.nextafter(1.0, 0.0)], temperature=1.0)) == 3
