"""Whether a model still scores what it scored when it was released, once true labels are known.

Production's rows are others than the test's, so nothing is paired: both sides are resampled by themselves for the
interval of the difference, and rows are exchanged between them for its p-value. Labels that arrive are rarely a fair
draw (people correct what is wrong), so a worse score can be the fault of who answered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.tasks import HeadTask
from tunesmith.metrics import table
from tunesmith.metrics.table import Metric
from tunesmith.monitoring.statistics import ENOUGH_LARGER, membership

SAMPLES, SHUFFLES = 1000, 5000
"""Resamples behind an interval, and exchanges behind a p-value: Holm multiplies that by the number of tests."""
BLOCK_ELEMENTS = 2_000_000
TAG_METRICS = ("f1_macro", "f1_micro", "f1_samples", "subset_accuracy", "hamming_loss")
"""Of `tag` those that need labels alone: probabilities of every label are not kept."""


@dataclass(frozen=True)
class Against:
    """One score on labelled rows of production against the release's test score."""

    metric: str
    value: float
    low: float
    high: float
    test_value: float
    test_low: float
    test_high: float
    difference: float
    difference_low: float
    difference_high: float
    p_value: float
    verdict: Literal["better", "not shown", "worse"]
    effect: float
    """The difference; of a score that is no share, over the test score."""

    def to_facts(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Rows:
    """Truths and predictions, in the form that the metrics of a task take."""

    targets_N: NDArray[Any]
    predictions_N: NDArray[Any]

    def __len__(self) -> int:
        return len(self.targets_N)

    def standardized(self, scale: Sequence[tuple[float, float]]) -> Rows:
        """Several targets in deviations of the training rows, so that none counts more for its unit."""
        mean, std = (np.array(part) for part in zip(*scale, strict=True))
        return Rows((self.targets_N - mean) / std, (self.predictions_N - mean) / std)


def rows_of(task: HeadTask, truths: Sequence[Any], predictions: Sequence[Any], labels: Sequence[str] = ()) -> Rows:
    """Rows in that form; ``labels`` are all that either side of a comparison names (`tag`)."""
    if task == "classify":
        return Rows(np.array([str(one) for one in truths]), np.array([str(one) for one in predictions]))
    if task == "tag":
        given = membership(predictions, labels)
        return Rows(membership(truths, labels), np.where(given, 1.0, -1.0))
    return Rows(np.array(truths, float), np.array(predictions, float))


def metrics_of(task: HeadTask) -> list[str]:
    """The scores that can be told from what is kept."""
    return [name for name in table.of_task(task) if task != "tag" or name in TAG_METRICS]


def against(
    task: HeadTask, name: str, production: Rows, test: Rows, confidence: float, rng: np.random.Generator
) -> Against | None:
    """One score against the release's; None where it has no value on one of the sides."""
    metric = table.find(name, task)
    values = metric(production.targets_N, production.predictions_N), metric(test.targets_N, test.predictions_N)
    if not all(map(math.isfinite, values)):
        return None
    draws = [_resampled(task, metric, side, rng) for side in (production, test)]
    gaps = draws[0] - draws[1]
    difference = values[0] - values[1]
    p_value = _exchanged(task, metric, production, test, abs(difference), rng)
    ends = [50 * (1 - confidence), 50 * (1 + confidence)]
    (low, high), (test_low, test_high), (gap_low, gap_high) = (
        (float(a), float(b)) for a, b in (np.nanpercentile(one, ends) for one in (*draws, gaps))
    )
    verdict: Literal["better", "not shown", "worse"] = "not shown"
    if p_value < 1 - confidence and (gap_low > 0 or gap_high < 0):
        verdict = "better" if (difference > 0) == metric.higher_is_better else "worse"
    scale = 1.0 if metric.is_share else max(abs(values[1]), 1e-12)
    return Against(
        name,
        values[0],
        low,
        high,
        values[1],
        test_low,
        test_high,
        difference,
        gap_low,
        gap_high,
        p_value,
        verdict,
        min(1.0, abs(difference) / scale),
    )


def _resampled(task: HeadTask, metric: Metric, rows: Rows, rng: np.random.Generator) -> NDArray[np.float64]:
    """The score on resamples of the rows (percentile bootstrap, Efron and Tibshirani 1993)."""
    parts = []
    for num in _blocks(len(rows), SAMPLES):
        weights = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=num).astype(float)
        parts.append(metric.compute(table.summarize(task, rows.targets_N, rows.predictions_N, weights)))
    return np.concatenate(parts)


def _exchanged(
    task: HeadTask, metric: Metric, production: Rows, test: Rows, seen: float, rng: np.random.Generator
) -> float:
    """The two-sided p-value of a difference, were it chance which rows are production's.

    Source: two-sample randomisation test (Noreen 1989, ch. 2), ended early as in ``statistics.mmd``.
    """
    num, total = len(production), len(production) + len(test)
    targets = np.concatenate([production.targets_N, test.targets_N])
    predictions = np.concatenate([production.predictions_N, test.predictions_N])
    as_large = drawn = 0
    for size in _blocks(total, SHUFFLES):
        is_first = np.zeros((size, total))
        np.put_along_axis(is_first, rng.random((size, total)).argpartition(num - 1, axis=1)[:, :num], 1.0, axis=1)
        one = metric.compute(table.summarize(task, targets, predictions, is_first))
        other = metric.compute(table.summarize(task, targets, predictions, 1 - is_first))
        # Written so that an undefined value counts as "as large", and rounding does not decide a tie.
        as_large += int((~(np.abs(one - other) < seen * (1 - 1e-9))).sum())
        drawn += size
        if as_large >= ENOUGH_LARGER:
            break
    return (1 + as_large) / (1 + drawn)


def _blocks(num_each: int, num: int) -> list[int]:
    size = max(1, min(250, BLOCK_ELEMENTS // num_each))
    return [min(size, num - start) for start in range(0, num, size)]
