"""Whether a model is as often right as it says: expected calibration error, Brier score, log loss, temperature.

Shapes: N rows, C classes, B bins. ``targets_N`` are places in the classes; -1 is a class the model does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Binning = Literal["equal_mass", "equal_width"]

BINS = 15
"""Guo et al. 2017, section 4."""
SMALLEST = 1e-12
"""Probabilities below this count as this in a logarithm, so that one row cannot make the mean infinite."""


@dataclass(frozen=True)
class Bin:
    """Rows of about the same confidence."""

    low: float
    high: float
    num_rows: int
    confidence: float
    """The mean probability of the predicted label."""
    accuracy: float
    """The share of rows predicted right."""


def bins(
    confidence_N: Floats, is_right_N: NDArray[np.bool_], num_bins: int = BINS, by: Binning = "equal_mass"
) -> list[Bin]:
    """The rows by how sure the model is, from unsure to sure; bins without a row are left out.

    ``equal_width`` cuts 0 to 1 into equal parts, open at the low end; ``equal_mass`` puts equally many rows into each,
    and rows of one confidence into one bin.
    """
    order_N = np.argsort(confidence_N, kind="stable")
    sorted_N = confidence_N[order_N]
    edges = np.linspace(0, 1, num_bins + 1)
    if by == "equal_width":
        bin_N = np.clip(np.searchsorted(edges, sorted_N, side="left") - 1, 0, num_bins - 1)
    else:
        ranks_N = np.searchsorted(sorted_N, sorted_N, side="left")
        bin_N = ranks_N * num_bins // max(1, len(sorted_N))
    found = []
    for place in np.unique(bin_N):
        rows = order_N[bin_N == place]
        seen = confidence_N[rows]
        low, high = (edges[place], edges[place + 1]) if by == "equal_width" else (seen.min(), seen.max())
        found.append(Bin(float(low), float(high), len(rows), float(seen.mean()), float(is_right_N[rows].mean())))
    return found


def expected_calibration_error(parts: list[Bin]) -> float:
    """The mean distance of accuracy and confidence over the bins, each by its rows. Source: Guo et al. 2017, eq. 3."""
    return sum(one.num_rows * abs(one.accuracy - one.confidence) for one in parts) / sum(one.num_rows for one in parts)


def largest_calibration_error(parts: list[Bin]) -> float:
    """The largest distance of accuracy and confidence in a bin. Source: Guo et al. 2017, eq. 5."""
    return max(abs(one.accuracy - one.confidence) for one in parts)


def brier(probabilities_NC: Floats, targets_N: Ints) -> float:
    """The mean squared distance to the right answer, summed over the classes, 0 to 2. Source: Brier 1950, eq. 2."""
    truth_NC = np.zeros_like(probabilities_NC)
    known = np.flatnonzero(targets_N >= 0)
    truth_NC[known, targets_N[known]] = 1
    # A class that the model does not know has its own column, in which the model says 0.
    missed_N = (targets_N < 0).astype(float)
    return float((((probabilities_NC - truth_NC) ** 2).sum(1) + missed_N).mean())


def log_loss(probabilities_NC: Floats, targets_N: Ints) -> float:
    """The mean negative logarithm of the probability given to the right answer, in nats."""
    given_N = np.where(targets_N >= 0, probabilities_NC[np.arange(len(targets_N)), targets_N], 0.0)
    return float(-np.log(np.maximum(given_N, SMALLEST)).mean())


def at_temperature(probabilities_NC: Floats, temperature: float) -> Floats:
    """The probabilities had their logits been divided by ``temperature``; above 1 they come closer to each other.

    Softmax forgets only a constant per row, so this is exact but for probabilities that have become 0.
    """
    logits_NC = np.log(np.maximum(probabilities_NC, np.finfo(float).tiny)) / temperature
    weights_NC = np.exp(logits_NC - logits_NC.max(1, keepdims=True))
    return np.asarray(weights_NC / weights_NC.sum(1, keepdims=True))


def fit_temperature(probabilities_NC: Floats, targets_N: Ints, low: float = 0.05, high: float = 20.0) -> float:
    """The temperature with the least log loss on these rows. Source: Guo et al. 2017, section 4.2.

    The loss is convex in 1 / temperature, so its minimum is found by golden section on the logarithm.
    """
    from scipy.optimize import minimize_scalar

    rows = targets_N >= 0
    if not rows.any():
        return 1.0

    def loss(log_temperature: float) -> float:
        return log_loss(at_temperature(probabilities_NC[rows], float(np.exp(log_temperature))), targets_N[rows])

    found = minimize_scalar(loss, bounds=(np.log(low), np.log(high)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))
