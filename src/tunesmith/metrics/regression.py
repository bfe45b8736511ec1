"""Regression metrics on weighted pairs of a target and a prediction.

Shapes: N rows, X any leading axes (one entry per resample; none for the plain data).
A value that has no meaning is nan and is reported as not measured, never as 0: a correlation with a constant column,
and R² of constant targets (scikit-learn's default invents 0 or 1 there; ``force_finite=False`` is the nearest to ours).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

EQUAL = 1e-13
"""Deviations below this share of the mean are rounding, not variation; scipy warns at the same place."""


@dataclass(frozen=True)
class Pairs:
    """Targets and predictions, (N,) or (N, K) for several targets, and how often each row counts (X, N)."""

    targets_N: Floats
    predictions_N: Floats
    weights_XN: Floats

    def by_target(self) -> list[Pairs]:
        """The pairs of each of several targets."""
        columns = zip(self.targets_N.T, self.predictions_N.T, strict=True)
        return [Pairs(target_N, predicted_N, self.weights_XN) for target_N, predicted_N in columns]


def pairs(targets: ArrayLike, predictions: ArrayLike, weights: ArrayLike | None = None) -> Pairs:
    """The columns as arrays; every row counts once where ``weights`` is None."""
    targets_N, predictions_N = np.asarray(targets, float), np.asarray(predictions, float)
    if len(targets_N) != len(predictions_N) or not len(targets_N):
        raise ValueError(f"needs as many predictions as targets, at least one: {len(predictions_N)}, {len(targets_N)}")
    if not (np.isfinite(targets_N).all() and np.isfinite(predictions_N).all()):
        raise ValueError("targets and predictions must be finite numbers")
    return Pairs(targets_N, predictions_N, np.ones(len(targets_N)) if weights is None else np.asarray(weights, float))


def mse(rows: Pairs) -> Floats:
    """The mean squared error."""
    return _mean((rows.targets_N - rows.predictions_N) ** 2, rows.weights_XN)


def rmse(rows: Pairs) -> Floats:
    """The root of the mean squared error, in the units of the target."""
    return np.sqrt(mse(rows))


def mae(rows: Pairs) -> Floats:
    """The mean absolute error, in the units of the target."""
    return _mean(np.abs(rows.targets_N - rows.predictions_N), rows.weights_XN)


def r2(rows: Pairs) -> Floats:
    """The share of the targets' variance that the predictions explain; below 0 they are worse than the mean."""
    _, variance_X = _deviations(rows.targets_N, rows.weights_XN)
    return np.asarray(1 - mse(rows) / variance_X)


def pearson(rows: Pairs) -> Floats:
    """Pearson's correlation: how close to a straight line."""
    return _correlation(rows.targets_N, rows.predictions_N, rows.weights_XN)


def spearman(rows: Pairs) -> Floats:
    """Spearman's correlation: Pearson's of the ranks, ties sharing the mean of their ranks."""
    weights_XN = rows.weights_XN
    return _correlation(midranks(rows.targets_N, weights_XN), midranks(rows.predictions_N, weights_XN), weights_XN)


def midranks(values_N: Floats, weights_XN: Floats) -> Floats:
    """The rank of every row among the rows that count, ties sharing the mean of their ranks: (X, N)."""
    order_N = np.argsort(values_N, kind="stable")
    _, starts, group_N = np.unique(values_N[order_N], return_index=True, return_inverse=True)
    tied_XG = np.add.reduceat(weights_XN[..., order_N], starts, axis=-1)
    ranks_XG = np.cumsum(tied_XG, axis=-1) - (tied_XG - 1) / 2
    back_N = np.empty(len(order_N), int)
    back_N[order_N] = group_N
    return ranks_XG[..., back_N]


def standardized(values_N: Floats) -> Floats:
    """The values with mean 0 and deviation 1, which no correlation can tell from them; constant ones become 0."""
    centred_N, variance = _deviations(values_N, np.ones(len(values_N)))
    return np.zeros(len(values_N)) if np.isnan(variance) else centred_N / np.sqrt(variance)


def _mean(values_XN: Floats, weights_XN: Floats) -> Floats:
    return np.asarray((weights_XN * values_XN).sum(-1) / weights_XN.sum(-1))


def _deviations(values_XN: Floats, weights_XN: Floats) -> tuple[Floats, Floats]:
    """Values less their mean (X, N), and their variance (X,); nan where all values are equal."""
    mean_X = _mean(values_XN, weights_XN)
    centred_XN = values_XN - mean_X[..., None]
    variance_X = _mean(centred_XN**2, weights_XN)
    return centred_XN, np.where(variance_X > (EQUAL * mean_X) ** 2, variance_X, np.nan)


def _correlation(x_XN: Floats, y_XN: Floats, weights_XN: Floats) -> Floats:
    x_XN, x_variance_X = _deviations(x_XN, weights_XN)
    y_XN, y_variance_X = _deviations(y_XN, weights_XN)
    value_X = _mean(x_XN * y_XN, weights_XN) / (np.sqrt(x_variance_X) * np.sqrt(y_variance_X))
    return np.asarray(np.clip(value_X, -1, 1))
