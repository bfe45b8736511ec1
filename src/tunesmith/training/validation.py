"""How good the model is on the validation rows while it trains, and whether that is better than before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tunesmith.core.errors import RecipeError
from tunesmith.core.method import Columns, HasScores, Method, Row
from tunesmith.metrics import table
from tunesmith.training.batch import Batching, Padded
from tunesmith.training.precision import autocast
from tunesmith.training.step import Networks


@dataclass(frozen=True)
class Watch:
    """The value that decides which checkpoint is best."""

    metric: str
    min_delta: float = 0.0

    def value(self, values: Mapping[str, float]) -> float:
        """The watched value of one validation.

        Raises: RecipeError where the method does not measure it.
        """
        if self.metric not in values:
            raise RecipeError(
                "train.early_stopping.metric is not measured during training",
                seen=self.metric,
                allowed=", ".join(sorted(values)),
            )
        return values[self.metric]

    def is_better(self, values: Mapping[str, float], best: float | None) -> bool:
        """Whether a validation beats the best one so far; a tie, or a value that is no finite number, does not."""
        value = self.value(values)
        if not math.isfinite(value) or best is None:
            return math.isfinite(value)
        gain = value - best if self.higher_is_better else best - value
        return gain > self.min_delta

    @property
    def higher_is_better(self) -> bool:
        """Which way is better; a score that a method brings itself is better when higher, a loss is not."""
        known = table.METRICS.get(self.metric)
        return self.metric != "loss" if known is None else known.higher_is_better


def evaluate(
    method: Method, networks: Networks, rows: Sequence[Row], budget_tokens: int, batching: Batching | None = None
) -> dict[str, float]:
    """The mean loss of the first objective and the method's scores over the rows, without dropout."""
    if isinstance(method, HasScores):
        return answers(method, networks, rows, budget_tokens)[0]
    total, weight = summed_loss(method, networks, rows, budget_tokens, batching)
    return {"loss": total / weight if weight else 0.0}


def summed_loss(
    method: Method, networks: Networks, rows: Sequence[Row], budget_tokens: int, batching: Batching | None = None
) -> tuple[float, float]:
    """The loss of the first objective summed over the rows, and its weight, without dropout."""
    networks.train(False)
    objective, batching = method.objectives()[0], batching or Padded()
    total, weight = 0.0, 0.0
    with torch.inference_mode():
        for part in batching.parts(batching.lengths(rows), budget_tokens):
            batch = networks.place(batching.collate([rows[place] for place in part]))
            with autocast(networks.precision, networks.device):
                loss = objective.loss(networks, batch)
            total += float(loss.total)
            weight += float(loss.weight)
    return total, weight


def answers(
    method: Method, networks: Networks, rows: Sequence[Row], budget_tokens: int
) -> tuple[dict[str, float], np.ndarray | None]:
    """The values of ``evaluate`` and the model's outputs (rows, ...); None where it was not asked once for each row."""
    networks.train(False)
    objective = method.objectives()[0]
    total, weight = 0.0, 0.0
    outputs: dict[int, np.ndarray] = {}
    seen: list[torch.Tensor] = []

    def forward(role: str, columns: Columns) -> torch.Tensor:
        output = networks(role, columns)
        if role == "model":
            seen.append(output)
        return output

    batching = Padded()
    with torch.inference_mode():
        for part in batching.parts(batching.lengths(rows), budget_tokens):
            seen.clear()
            with autocast(networks.precision, networks.device):
                loss = objective.loss(forward, batching.collate([rows[place] for place in part]))
            total += float(loss.total)
            weight += float(loss.weight)
            if seen:
                outputs.update(zip(part, seen[-1].double().numpy(), strict=True))
    values = {"loss": total / weight if weight else 0.0}
    if not rows or len(outputs) < len(rows):
        return values, None
    found = np.stack([outputs[place] for place in range(len(rows))])
    if isinstance(method, HasScores):
        values |= dict(method.scores(found, rows))
    return values, found
