"""The learning-rate range test (Smith 2017): a few steps with a rate that grows, on a copy that is thrown away."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch.optim import Optimizer

from tunesmith.core import digests
from tunesmith.core.errors import StepError
from tunesmith.core.method import Row
from tunesmith.core.stage import StepContext
from tunesmith.numerics.batching import epoch_order
from tunesmith.store.files import write_json
from tunesmith.training.aim import Aim
from tunesmith.training.batch import length
from tunesmith.training.config import TrainStageConfig
from tunesmith.training.loop import Settings
from tunesmith.training.precision import seed_generators
from tunesmith.training.step import Networks, take
from tunesmith.training.vetted import RANGE_TEST_STEPS as NUM_STEPS

LOWEST, HIGHEST = 1e-2, 1e2
"""Factors on the vetted rates that the test goes through, evenly on a logarithmic scale."""
KEPT_SHARE = 0.9
"""Of the smoothed loss, in each step; corrected for its start like Adam's means."""
DIVERGED = 4.0
"""The test ends where the smoothed loss is so many times its lowest."""
BELOW_LOWEST = 10.0
"""The rate taken is the one of the lowest smoothed loss divided by this: a margin, for that rate is nearly too high
(Howard and Gugger 2020, section 4, whose fastai takes the same)."""
FALL = 0.01
"""Share of the first loss by which the smoothed one must fall, for the test to have seen anything learned."""
MARGIN_STEPS = 5
"""Steps before the smoothed loss says anything."""


@dataclass(frozen=True)
class Fresh:
    """A network at its start with its optimizers."""

    networks: Networks
    optimizers: Mapping[str, Optimizer]
    aim: Aim


@dataclass(frozen=True)
class RangeTest:
    """What a test found: the factor on the vetted rates, and the losses it was read from."""

    factor: float
    lr: float
    head_lr: float
    ended: str
    points: list[dict[str, float]]

    def facts(self) -> dict[str, Any]:
        """What the model says of it."""
        return {"lr": self.lr, "head_lr": self.head_lr, "steps": len(self.points), "ended": self.ended, "rule": RULE}

    def lines(self) -> list[dict[str, Any]]:
        """A line of the history for each step."""
        return [{"range_test": point} for point in self.points]


RULE = "a tenth of the rate with the lowest smoothed loss"


def range_test(
    config: TrainStageConfig,
    fresh: Callable[[], Fresh],
    rows: Sequence[Row],
    settings: Settings,
    context: StepContext,
) -> RangeTest:
    """The rates for a phase. An interrupted run that had its test takes it over instead of testing again."""
    kept = context.scratch / "range_test.json"
    key = digests.of_value([config.model_dump(mode="json"), len(rows), context.seed])
    if kept.is_file():
        found = json.loads(kept.read_text(encoding="utf-8"))
        if found.pop("key", None) == key:
            return RangeTest(**found)
    points, ended = _climb(config, fresh(), rows, settings, context)
    factor = chosen(points)
    if factor is None:
        context.warn("the range test found no rate at which the loss falls: the vetted one is taken")
        factor, ended = 1.0, f"{ended}; the loss never fell, so the vetted rate was taken"
    result = RangeTest(factor, config.lr * factor, config.head_lr * factor, ended, points)
    write_json(kept, {"key": key, **asdict(result)})
    return result


def chosen(points: Sequence[Mapping[str, float]]) -> float | None:
    """The factor that the rule takes; none where the smoothed loss does not fall."""
    told = list(points)[MARGIN_STEPS:]
    if not told:
        return None
    lowest = min(told, key=lambda point: point["smoothed"])
    if lowest["smoothed"] >= (1 - FALL) * points[0]["smoothed"]:
        return None
    return max(LOWEST, lowest["factor"] / BELOW_LOWEST)


def _climb(
    config: TrainStageConfig, new: Fresh, rows: Sequence[Row], settings: Settings, context: StepContext
) -> tuple[list[dict[str, float]], str]:
    """The loss of each step while the rate grows, and why the test ended."""
    points: list[dict[str, float]] = []
    running, lowest = 0.0, math.inf
    lengths = [length(row) for row in rows]
    steps_per_epoch = math.ceil(len(rows) / settings.batch)
    order: list[list[int]] = []
    for step in range(NUM_STEPS):
        context.check_cancelled()
        if step % steps_per_epoch == 0:
            order = epoch_order(
                lengths, settings.batch, seed=settings.seed + 1, epoch=step // steps_per_epoch, is_bucketed=False
            )
        factor = LOWEST * (HIGHEST / LOWEST) ** (step / (NUM_STEPS - 1))
        for optimizer in new.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * factor
        seed_generators((settings.seed + 1) * 1_000_003 - 1 - step)
        try:
            loss = _one_step(new, [rows[place] for place in order[step % steps_per_epoch]], settings)
        except StepError:
            return points, f"at step {step + 1}: the loss was no finite number"
        running = KEPT_SHARE * running + (1 - KEPT_SHARE) * loss
        smoothed = running / (1 - KEPT_SHARE ** (step + 1))
        points.append({"factor": factor, "lr": config.lr * factor, "loss": loss, "smoothed": smoothed})
        context.progress(step + 1, NUM_STEPS, "steps", f"range test · rate ×{factor:.2g} · loss {loss:.3f}")
        lowest = min(lowest, smoothed)
        if step >= MARGIN_STEPS and smoothed > DIVERGED * lowest:
            return points, f"at step {step + 1}: the loss was {DIVERGED:g} times its lowest"
    return points, "after its last step"


def _one_step(new: Fresh, rows: Sequence[Row], settings: Settings) -> float:
    """Take a step of every objective; the loss of the first."""
    new.networks.train(True)
    losses = [
        take(
            objective,
            new.aim.penalties,
            new.networks,
            new.optimizers[objective.trains],
            rows,
            budget_tokens=settings.budget_tokens,
            clip=settings.clip,
        ).loss
        for objective in new.aim.objectives
    ]
    return losses[0]
