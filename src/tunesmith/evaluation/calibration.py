"""Whether stated probabilities can be believed, and how far off predicted numbers are.

Labels: expected calibration error over equal-mass bins with a bootstrap interval, beside what a perfectly calibrated
model would show on as many rows (consistency resampling, Bröcker & Smith 2007): the error is a mean of distances and so
never 0 on finite rows.
Numbers: half-widths that hold a share of the answers, taken from one half of the test rows and checked on the other
(split conformal, Lei et al. 2018), so that no row judges itself.

Shapes: N rows, C classes, S resamples.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluation.significance import wilson
from tunesmith.metrics import calibration as cal

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Facts = dict[str, Any]

ROWS_A_BIN = 20
"""A bin of fewer rows says nothing; fewer test rows make fewer bins."""
FEWEST_ROWS = 30
LEVELS = (0.5, 0.8, 0.9, 0.95)
NUM_SAMPLES = 500
"""Resamples behind the interval and the chance level: enough for two decimals."""


def label_calibration(
    probabilities_NC: Floats, targets_N: Ints, temperature: float, *, confidence: float = 0.95, seed: int = 0
) -> Facts | str:
    """What the probabilities are worth, or why that cannot be said; ``targets_N`` are places in the labels, or -1.

    ``temperature`` is the one already in the probabilities: the figures before it are computed from them.
    """
    if len(targets_N) < FEWEST_ROWS:
        return (
            f"{len(targets_N)} test rows are too few to tell probabilities from frequencies; {FEWEST_ROWS} are needed"
        )
    sure_N, right_N = probabilities_NC.max(1), probabilities_NC.argmax(1) == targets_N
    num_bins = max(2, min(cal.BINS, len(targets_N) // ROWS_A_BIN))
    parts = cal.bins(sure_N, right_N, num_bins)
    error = cal.expected_calibration_error(parts)
    rng = np.random.default_rng([seed, 5])
    drawn_S = np.array([_error(sure_N[rows], right_N[rows], num_bins) for rows in _resamples(len(sure_N), rng)])
    chance_S = np.array([_error(sure_N, rng.random(len(sure_N)) < sure_N, num_bins) for _ in range(NUM_SAMPLES)])
    low, high = np.percentile(drawn_S, [50 * (1 - confidence), 50 * (1 + confidence)])
    p_value = (1 + int((chance_S >= error).sum())) / (1 + NUM_SAMPLES)
    return {
        "num_rows": len(targets_N),
        "error": {"value": error, "low": float(min(low, error)), "high": float(max(high, error))},
        "by_chance": float(chance_S.mean()),
        "p_value": p_value,
        "verdict": "shown" if p_value < 1 - confidence else "not shown",
        "error_equal_width": _error(sure_N, right_N, num_bins, "equal_width"),
        "largest_error": cal.largest_calibration_error(parts),
        "confidence": float(sure_N.mean()),
        "accuracy": float(right_N.mean()),
        "brier": cal.brier(probabilities_NC, targets_N),
        "log_loss": cal.log_loss(probabilities_NC, targets_N),
        "temperature": temperature,
        "before": _before(probabilities_NC, targets_N, temperature, num_bins),
        "bins": [asdict(one) for one in parts],
    }


def number_intervals(targets_N: Floats, predicted_N: Floats, *, confidence: float = 0.95, seed: int = 0) -> Facts | str:
    """How far predicted numbers are off, with half-widths checked on rows that did not set them; or why not."""
    if len(targets_N) < FEWEST_ROWS:
        return f"{len(targets_N)} test rows are too few for intervals; {FEWEST_ROWS} are needed"
    off_N = predicted_N - targets_N
    order_N = np.random.default_rng([seed, 6]).permutation(len(off_N))
    halves = (order_N[::2], order_N[1::2])
    levels = []
    for level in LEVELS:
        widths = [_half_width(np.abs(off_N[rows]), level) for rows in halves]
        if any(width is None for width in widths):
            continue  # so few rows cannot promise so much
        hits = sum(int((np.abs(off_N[rows]) <= width).sum()) for rows, width in zip(halves[::-1], widths, strict=True))
        low, high = wilson(hits, len(off_N), confidence)
        levels.append(
            {
                "level": level,
                "half_width": float(np.mean([width for width in widths if width is not None])),
                "coverage": {"value": hits / len(off_N), "low": low, "high": high},
            }
        )
    return {
        "num_rows": len(targets_N),
        "bias": float(off_N.mean()),
        "deviation": float(off_N.std()),
        "levels": levels,
    }


def places(targets_N: NDArray[Any], labels: tuple[str, ...]) -> Ints:
    """Each target's place among the labels; -1 where the model does not know it."""
    at = {label: place for place, label in enumerate(labels)}
    return np.array([at.get(target, -1) for target in targets_N.tolist()], dtype=np.int64)


def _half_width(sizes_N: Floats, level: float) -> float | None:
    """The ceil((n + 1) level)-th smallest size; None where there is none so large."""
    place = int(np.ceil(round((len(sizes_N) + 1) * level, 9)))
    return float(np.sort(sizes_N)[place - 1]) if place <= len(sizes_N) else None


def _before(probabilities_NC: Floats, targets_N: Ints, temperature: float, num_bins: int) -> Facts | None:
    if temperature == 1:
        return None
    before_NC = cal.at_temperature(probabilities_NC, 1 / temperature)
    right_N = before_NC.argmax(1) == targets_N
    return {
        "error": _error(before_NC.max(1), right_N, num_bins),
        "brier": cal.brier(before_NC, targets_N),
        "log_loss": cal.log_loss(before_NC, targets_N),
        "confidence": float(before_NC.max(1).mean()),
        "bins": [asdict(one) for one in cal.bins(before_NC.max(1), right_N, num_bins)],
    }


def _error(sure_N: Floats, right_N: NDArray[np.bool_], num_bins: int, by: cal.Binning = "equal_mass") -> float:
    return cal.expected_calibration_error(cal.bins(sure_N, right_N, num_bins, by))


def _resamples(num_rows: int, rng: np.random.Generator) -> list[Ints]:
    return [rng.integers(num_rows, size=num_rows) for _ in range(NUM_SAMPLES)]
