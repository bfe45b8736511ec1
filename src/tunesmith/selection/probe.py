"""The linear probe: how well a simple linear model on a frozen encoder's features predicts rows it has not seen.

Features are standardised within each fold; the penalty is chosen on the first fold and used for all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Task = Literal["classify", "regress"]

NUM_FOLDS = 5
CS = (0.003, 0.03, 0.3)
"""Inverse penalties tried for logistic regression, on standardised features."""
ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Penalties tried for ridge regression, relative to the features' mean variance."""
ITERATIONS = 100


@dataclass(frozen=True)
class Probed:
    """What a probe predicted for each row, from a model that had not seen it."""

    predicted: NDArray[Any]
    penalty: float


def probe(features_ND: NDArray[Any], targets: NDArray[Any], task: Task, fold_of: NDArray[np.int64]) -> Probed:
    """The out-of-fold predictions of a regularised linear model."""
    fit = _logistic if task == "classify" else _ridge
    grid = CS if task == "classify" else ALPHAS
    features_ND = np.asarray(features_ND, np.float64)
    predicted = np.empty_like(targets)
    penalty = grid[0]
    for fold in range(int(fold_of.max()) + 1):
        held = fold_of == fold
        train_ND, held_ND = _standardised(features_ND[~held], features_ND[held])
        predict = fit(train_ND, targets[~held])
        if fold == 0:
            # Among equals the strongest penalty.
            ordered = grid if task == "classify" else grid[::-1]
            penalty = max(ordered, key=lambda one: _score(predict(held_ND, one), targets[held], task))
        predicted[held] = predict(held_ND, penalty)
    return Probed(predicted, penalty)


def folds(targets: NDArray[Any], task: Task, seed: int) -> NDArray[np.int64]:
    """The fold of each row: labels are dealt out evenly, numbers at random; fewer folds where there are few rows."""
    rng = np.random.default_rng(seed)
    num_folds = max(2, min(NUM_FOLDS, len(targets)))
    order = rng.permutation(len(targets))
    found = np.empty(len(targets), np.int64)
    dealt: dict[Any, int] = defaultdict(lambda: int(rng.integers(num_folds)))
    for place in order:
        # A label's rows go round the folds, so that each fold has its share of a rare one.
        group = targets[place] if task == "classify" else None
        found[place] = dealt[group] % num_folds
        dealt[group] += 1
    return found


Predict = Callable[[Floats, float], NDArray[Any]]


def _logistic(train_ND: Floats, targets: NDArray[Any]) -> Predict:
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(targets)) < 2:
        return lambda held_ND, penalty: np.full(len(held_ND), targets[0], dtype=targets.dtype)
    fitted: dict[float, Any] = {}

    def predict(held_ND: Floats, penalty: float) -> NDArray[Any]:
        if penalty not in fitted:
            fitted[penalty] = _quiet_fit(
                LogisticRegression(C=penalty, max_iter=ITERATIONS, tol=1e-3), train_ND, targets
            )
        return np.asarray(fitted[penalty].predict(held_ND))

    return predict


def _quiet_fit(model: Any, train_ND: Floats, targets: NDArray[Any]) -> Any:
    """A ranking needs no last digit: a fit that runs out of iterations is good enough."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(train_ND, targets)


def _ridge(train_ND: Floats, targets: NDArray[Any]) -> Predict:
    mean = targets.mean()
    values_D, vectors_DD = np.linalg.eigh(train_ND.T @ train_ND)
    projected_D = vectors_DD.T @ (train_ND.T @ (targets - mean))
    scale = max(float(values_D.mean()), np.finfo(float).tiny)

    def predict(held_ND: Floats, penalty: float) -> NDArray[Any]:
        weights_D = vectors_DD @ (projected_D / (np.maximum(values_D, 0) + penalty * scale))
        return np.asarray(held_ND @ weights_D + mean)

    return predict


def _standardised(train_ND: Floats, held_ND: Floats) -> tuple[Floats, Floats]:
    mean_D, std_D = train_ND.mean(0), train_ND.std(0)
    std_D = np.where(std_D > 1e-12, std_D, 1.0)
    return (train_ND - mean_D) / std_D, (held_ND - mean_D) / std_D


def _score(predicted: NDArray[Any], targets: NDArray[Any], task: Task) -> float:
    """Higher is better: accuracy, or the squared error below 0."""
    return float((predicted == targets).mean()) if task == "classify" else -float(((predicted - targets) ** 2).mean())
