"""Learning-rate factors, written out by hand."""

from __future__ import annotations

import math

import pytest

from tunesmith.training.schedule import factor, warmup_steps


def test_warmup_is_a_share_or_a_number() -> None:
    assert [warmup_steps(one, 25) for one in (0, 0.0, 0.1, 0.5, 1, 7)] == [0, 0, 3, 13, 1, 7]


def test_linear() -> None:
    expected = [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    assert [factor("linear", step, 6, 2) for step in range(6)] == pytest.approx(expected)


def test_cosine() -> None:
    expected = [1.0, (1 + math.cos(math.pi / 4)) / 2, 0.5, (1 + math.cos(3 * math.pi / 4)) / 2]
    assert [factor("cosine", step, 4, 0) for step in range(4)] == pytest.approx(expected)


def test_constant() -> None:
    assert [factor("constant", step, 5, 4) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_warmup_stable_decay() -> None:
    """Four of ten steps go down, as one minus a square root."""
    down = [1.0, 1 - math.sqrt(0.25), 1 - math.sqrt(0.5), 1 - math.sqrt(0.75)]
    assert [factor("wsd", step, 10, 2, 0.4) for step in range(10)] == pytest.approx([0.5, *[1.0] * 5, *down])


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant", "wsd"])
def test_every_step_learns_and_none_is_above_the_peak(kind: str) -> None:
    for total in (1, 2, 3, 10, 97):
        for warmup in (0, 1, total - 1, total, total + 5):
            values = [factor(kind, step, total, warmup) for step in range(total)]  # type: ignore[arg-type]
            assert all(0.0 < value <= 1.0 for value in values), (total, warmup)
