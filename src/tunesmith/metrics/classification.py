"""Classification metrics: every one a function of three counts per class, so that resampling needs no rows.

Shapes: N rows, C classes, X any leading axes (one entry per resample; none for the plain data).
Names as in scikit-learn; where a quotient has no meaning (a class never predicted, a class without rows) it is 0, as
scikit-learn's ``zero_division=0``. Averages over classes take those with a row or a prediction, as scikit-learn does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """Per class: right predictions, rows, predictions; each (X, C)."""

    labels: tuple[Any, ...]
    hits_XC: Floats
    support_XC: Floats
    predicted_XC: Floats


def tally(targets: ArrayLike, predictions: ArrayLike, weights: ArrayLike | None = None) -> Tally:
    """The counts per class over the labels seen in either column, sorted.

    Shapes: targets (N,), predictions (N,); weights (X, N): how often each row counts, once where it is None.
    """
    targets_N, predictions_N = np.asarray(targets), np.asarray(predictions)
    if len(targets_N) != len(predictions_N) or not len(targets_N):
        raise ValueError(f"needs as many predictions as targets, at least one: {len(predictions_N)}, {len(targets_N)}")
    labels, codes = np.unique(np.concatenate([targets_N, predictions_N]), return_inverse=True)
    target_codes_N, predicted_codes_N = codes[: len(targets_N)], codes[len(targets_N) :]
    weights_XN = np.ones(len(targets_N)) if weights is None else np.asarray(weights, float)
    is_hit_N = target_codes_N == predicted_codes_N
    return Tally(
        tuple(labels.tolist()),
        _sum_per_class(target_codes_N[is_hit_N], weights_XN[..., is_hit_N], len(labels)),
        _sum_per_class(target_codes_N, weights_XN, len(labels)),
        _sum_per_class(predicted_codes_N, weights_XN, len(labels)),
    )


def accuracy(counts: Tally) -> Floats:
    """The share of rows predicted right."""
    return quotient(counts.hits_XC.sum(-1), counts.support_XC.sum(-1))


def precision_per_class(counts: Tally) -> Floats:
    """Of the predictions of a class, the share that is right: (X, C)."""
    return quotient(counts.hits_XC, counts.predicted_XC)


def recall_per_class(counts: Tally) -> Floats:
    """Of the rows of a class, the share found: (X, C)."""
    return quotient(counts.hits_XC, counts.support_XC)


def f1_per_class(counts: Tally) -> Floats:
    """The harmonic mean of precision and recall of a class: (X, C)."""
    return quotient(2 * counts.hits_XC, counts.support_XC + counts.predicted_XC)


def precision_micro(counts: Tally) -> Floats:
    """Precision over all classes pooled; with one label a row it equals the accuracy."""
    return quotient(counts.hits_XC.sum(-1), counts.predicted_XC.sum(-1))


def recall_micro(counts: Tally) -> Floats:
    """Recall over all classes pooled; with one label a row it equals the accuracy."""
    return quotient(counts.hits_XC.sum(-1), counts.support_XC.sum(-1))


def f1_micro(counts: Tally) -> Floats:
    """F1 over all classes pooled; with one label a row it equals the accuracy."""
    return quotient(2 * counts.hits_XC.sum(-1), (counts.support_XC + counts.predicted_XC).sum(-1))


def precision_macro(counts: Tally) -> Floats:
    """The mean precision, every class counting alike."""
    return _macro(precision_per_class(counts), counts)


def recall_macro(counts: Tally) -> Floats:
    """The mean recall, every class counting alike."""
    return _macro(recall_per_class(counts), counts)


def f1_macro(counts: Tally) -> Floats:
    """The mean F1, every class counting alike."""
    return _macro(f1_per_class(counts), counts)


def precision_weighted(counts: Tally) -> Floats:
    """The mean precision, a class counting as many times as it has rows."""
    return _weighted(precision_per_class(counts), counts)


def recall_weighted(counts: Tally) -> Floats:
    """The mean recall, a class counting as many times as it has rows."""
    return _weighted(recall_per_class(counts), counts)


def f1_weighted(counts: Tally) -> Floats:
    """The mean F1, a class counting as many times as it has rows."""
    return _weighted(f1_per_class(counts), counts)


def confusion(targets: Sequence[Any], predictions: Sequence[Any], labels: Sequence[Any]) -> NDArray[np.int64]:
    """Rows by true label (first axis) and predicted label (second axis), in the order of ``labels``: (C, C)."""
    place = {label: at for at, label in enumerate(labels)}
    cells_N = [place[target] * len(labels) + place[guess] for target, guess in zip(targets, predictions, strict=True)]
    return np.bincount(cells_N, minlength=len(labels) ** 2).reshape(len(labels), len(labels))


def _sum_per_class(codes_N: NDArray[np.int64], weights_XN: Floats, num_classes: int) -> Floats:
    """The weights summed by class: sorted once, then one pass; a matrix product would be C times the work."""
    sums_XC = np.zeros((*weights_XN.shape[:-1], num_classes))
    if len(codes_N):
        order_N = np.argsort(codes_N, kind="stable")
        present, starts = np.unique(codes_N[order_N], return_index=True)
        sums_XC[..., present] = np.add.reduceat(weights_XN[..., order_N], starts, axis=-1)
    return sums_XC


def quotient(above: Floats, below: Floats) -> Floats:
    """The quotient, 0 where there is nothing to divide by."""
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=below != 0)


def _macro(values_XC: Floats, counts: Tally) -> Floats:
    num_seen_X = ((counts.support_XC + counts.predicted_XC) > 0).sum(-1)
    return quotient(values_XC.sum(-1), num_seen_X.astype(float))


def _weighted(values_XC: Floats, counts: Tally) -> Floats:
    return quotient((values_XC * counts.support_XC).sum(-1), counts.support_XC.sum(-1))
