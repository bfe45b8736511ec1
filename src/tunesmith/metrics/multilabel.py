"""Metrics of several labels a row, from margins: a label is given where its margin is at least 0.

A margin is a probability less its label's threshold, so one number a label carries both the decision and the ranking.
Shapes: N rows, C labels, X any leading axes (one entry per resample; none for the plain data).
Names as in scikit-learn; quotients without meaning are 0 as there, with two differences that are said where they stand:
rows that rightly get no label count as right, and labels without a row have no average precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tunesmith.metrics import classification
from tunesmith.metrics.classification import Floats, Tally, quotient


@dataclass(frozen=True)
class Tags:
    """Which labels rows have (N, C), their margins (N, C), how often each row counts (X, N), and the counts a label."""

    has_NC: NDArray[np.bool_]
    margins_NC: Floats
    weights_XN: Floats
    counts: Tally

    @property
    def given_NC(self) -> NDArray[np.bool_]:
        """Which labels are given."""
        return np.asarray(self.margins_NC >= 0)


def tags(targets: ArrayLike, margins: ArrayLike, weights: ArrayLike | None = None) -> Tags:
    """The summary that every metric is computed from; every row counts once where ``weights`` is None."""
    has_NC, margins_NC = np.asarray(targets, bool), np.asarray(margins, float)
    if has_NC.shape != margins_NC.shape or has_NC.ndim != 2 or not len(has_NC):
        raise ValueError(f"needs a margin for every label of every row: {margins_NC.shape}, {has_NC.shape}")
    weights_XN = np.ones(len(has_NC)) if weights is None else np.asarray(weights, float)
    given_NC = margins_NC >= 0
    counts = Tally(
        tuple(range(has_NC.shape[1])),
        weights_XN @ (has_NC & given_NC).astype(float),
        weights_XN @ has_NC.astype(float),
        weights_XN @ given_NC.astype(float),
    )
    return Tags(has_NC, margins_NC, weights_XN, counts)


def f1_macro(rows: Tags) -> Floats:
    """The mean F1, every label counting alike."""
    return classification.f1_macro(rows.counts)


def f1_micro(rows: Tags) -> Floats:
    """F1 over all labels pooled, a frequent label counting more."""
    return classification.f1_micro(rows.counts)


def f1_samples(rows: Tags) -> Floats:
    """The mean F1 of a row's labels; a row that has none and is given none counts 1 (scikit-learn: zero_division=1)."""
    num_N = (rows.has_NC.sum(1) + rows.given_NC.sum(1)).astype(float)
    hits_N = (rows.has_NC & rows.given_NC).sum(1)
    return _mean(np.where(num_N > 0, quotient(2.0 * hits_N, num_N), 1.0), rows.weights_XN)


def precision_macro(rows: Tags) -> Floats:
    """The mean precision, every label counting alike."""
    return classification.precision_macro(rows.counts)


def precision_micro(rows: Tags) -> Floats:
    """Of all labels given, the share that is right."""
    return classification.precision_micro(rows.counts)


def recall_macro(rows: Tags) -> Floats:
    """The mean recall, every label counting alike."""
    return classification.recall_macro(rows.counts)


def recall_micro(rows: Tags) -> Floats:
    """Of all labels that rows have, the share found."""
    return classification.recall_micro(rows.counts)


def subset_accuracy(rows: Tags) -> Floats:
    """The share of rows whose labels are all right, none missing and none too many."""
    return _mean((rows.has_NC == rows.given_NC).all(1).astype(float), rows.weights_XN)


def hamming_loss(rows: Tags) -> Floats:
    """The share of wrong decisions, over every label of every row."""
    return _mean((rows.has_NC != rows.given_NC).mean(1), rows.weights_XN)


def average_precision(rows: Tags) -> Floats:
    """The mean over labels of the average precision, which no threshold moves; labels without a row are left out."""
    return nan_mean(average_precision_per_label(rows))


def average_precision_per_label(rows: Tags) -> Floats:
    """The precision at each rank where recall grows, weighted by that growth; nan for a label without rows: (X, C).

    Source: as scikit-learn's ``average_precision_score`` (no interpolation, equal margins are one step).
    """
    values = [
        _average_precision(rows.has_NC[:, label], rows.margins_NC[:, label], rows.weights_XN)
        for label in range(rows.has_NC.shape[1])
    ]
    return np.stack(values, axis=-1)


def nan_mean(values_XC: Floats) -> Floats:
    """The mean of what has a value along the last axis; nan where nothing has."""
    is_there = ~np.isnan(values_XC)
    num_X = is_there.sum(-1)
    total_X = np.where(is_there, values_XC, 0.0).sum(-1)
    return np.where(num_X > 0, quotient(total_X, num_X.astype(float)), np.nan)


def _average_precision(has_N: NDArray[np.bool_], margins_N: Floats, weights_XN: Floats) -> Floats:
    order_N = np.argsort(-margins_N, kind="stable")
    sorted_N = margins_N[order_N]
    # Only ranks that a positive row ends count: everything between two of them adds no recall.
    ends_G = np.append(np.flatnonzero(np.diff(sorted_N)), len(sorted_N) - 1)
    counted_XN = weights_XN[..., order_N]
    hits_XG = np.cumsum(counted_XN * has_N[order_N], axis=-1)[..., ends_G]
    seen_XG = np.cumsum(counted_XN, axis=-1)[..., ends_G]
    gained_XG = np.diff(hits_XG, axis=-1, prepend=0.0)
    total_X = hits_XG[..., -1]
    sum_X = (gained_XG * quotient(hits_XG, seen_XG)).sum(-1)
    return np.where(total_X > 0, quotient(sum_X, total_X), np.nan)


def _mean(values_N: Floats, weights_XN: Floats) -> Floats:
    return np.asarray((weights_XN @ values_N) / weights_XN.sum(-1))
