"""From which probability a label is given: chosen on validation rows, by us and by every baseline alike.

Shapes: N rows, C labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEVER = 2.0
"""No probability reaches it: the label is never given."""
DEFAULT = 0.5
FEW_ROWS = 5
"""A label with fewer validation rows than this shares one threshold with the others of its kind: the best F1 of three
rows is an accident."""

ChosenBy = Literal["own rows", "shared", "default", "cannot be met"]


@dataclass(frozen=True)
class Threshold:
    """One label's threshold, and what it does on the rows it was chosen on."""

    value: float
    chosen_by: ChosenBy
    support: int
    """Rows that have the label."""
    precision: float
    """Of the rows the label is given to; where the wish cannot be met, the best that any threshold reaches."""
    recall: float


def best_f1(has_NC: NDArray[np.bool_], probability_NC: Floats) -> list[Threshold]:
    """For each label the threshold with the best F1; labels of under 5 rows share the one with the best pooled F1."""
    support_C = has_NC.sum(0)
    is_rare_C = support_C < FEW_ROWS
    shared = DEFAULT
    if has_NC[:, is_rare_C].any():
        shared = _best(has_NC[:, is_rare_C].ravel(), probability_NC[:, is_rare_C].ravel())
    elif has_NC.any():
        shared = _best(has_NC.ravel(), probability_NC.ravel())
    chosen_by: ChosenBy = "shared" if has_NC.any() else "default"
    return [
        _measured(has_NC[:, label], probability_NC[:, label], shared, chosen_by)
        if is_rare_C[label]
        else _measured(
            has_NC[:, label], probability_NC[:, label], _best(has_NC[:, label], probability_NC[:, label]), "own rows"
        )
        for label in range(has_NC.shape[1])
    ]


def at_least_precision(has_NC: NDArray[np.bool_], probability_NC: Floats, wanted: float) -> list[Threshold]:
    """For each label the threshold that finds most rows with at least that precision; never given where none does."""
    return [_precise(has_NC[:, label], probability_NC[:, label], wanted) for label in range(has_NC.shape[1])]


def fixed(has_NC: NDArray[np.bool_], probability_NC: Floats, value: float) -> list[Threshold]:
    """The same threshold for every label."""
    return [_measured(has_NC[:, label], probability_NC[:, label], value, "default") for label in range(has_NC.shape[1])]


def _curve(has_N: NDArray[np.bool_], probability_N: Floats) -> tuple[Floats, Floats, Floats]:
    """Every threshold that matters, descending: halfway between two neighbouring probabilities, so that a row a hair
    below one of the chosen rows is not decided by rounding; with the hits and the rows given at it."""
    order_N = np.argsort(-probability_N, kind="stable")
    sorted_N = probability_N[order_N]
    ends_G = np.append(np.flatnonzero(np.diff(sorted_N)), len(sorted_N) - 1)
    hits_G = np.cumsum(has_N[order_N])[ends_G].astype(float)
    given_G = (ends_G + 1).astype(float)
    values_G = sorted_N[ends_G]
    below_G = np.append(values_G[1:], 0.0)
    middle_G = (values_G + below_G) / 2
    return np.where(middle_G < values_G, middle_G, values_G), hits_G, given_G


def _best(has_N: NDArray[np.bool_], probability_N: Floats) -> float:
    thresholds_G, hits_G, given_G = _curve(has_N, probability_N)
    # Among equals the highest: fewer answers, as many right.
    return float(thresholds_G[np.argmax(2 * hits_G / (given_G + has_N.sum()))])


def _precise(has_N: NDArray[np.bool_], probability_N: Floats, wanted: float) -> Threshold:
    thresholds_G, hits_G, given_G = _curve(has_N, probability_N)
    precision_G = hits_G / given_G
    reached_G = np.flatnonzero((precision_G >= wanted) & (hits_G > 0))
    if not len(reached_G):
        return Threshold(NEVER, "cannot be met", int(has_N.sum()), float(precision_G.max()), 0.0)
    return _measured(has_N, probability_N, float(thresholds_G[reached_G[-1]]), "own rows")


def _measured(has_N: NDArray[np.bool_], probability_N: Floats, value: float, chosen_by: ChosenBy) -> Threshold:
    given_N = probability_N >= value
    hits, num_given, support = int((has_N & given_N).sum()), int(given_N.sum()), int(has_N.sum())
    return Threshold(
        value, chosen_by, support, hits / num_given if num_given else 0.0, hits / support if support else 0.0
    )
