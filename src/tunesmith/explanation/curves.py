"""Deletion and insertion curves: whether the words that are said to matter are those the answer hangs on.

Words are taken out of a text, the weightiest first, or put into an empty one, and the answer is asked for each time.
An order that knows what matters loses the answer fast and finds it fast: the area below the first curve is small, below
the second large. What it is worth is the difference to words in random orders of the same texts.

Source: Petsiuk et al. 2018 (RISE), with words taken out of the text where they blur pixels.
Shapes: N rows, K + 1 places on a curve, S resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.core.stage import Facts
from tunesmith.explanation.attribution import Attribution, Floats, Predict
from tunesmith.explanation.words import Span, without

PLACES = 10
"""Steps of a curve: a tenth of the words each."""
RANDOM = "random"
CHUNK_ROWS = 8
"""Rows whose texts are asked for together."""


@dataclass(frozen=True)
class RowCurves:
    """The curves of one row by order: an explanation's method, or random (the mean of some)."""

    deletion: Mapping[str, Floats]
    """Order → the answer with 0, 1/K … all of the words gone (K + 1,)."""
    insertion: Mapping[str, Floats]
    """Order → the answer with none, 1/K … all of the words there (K + 1,)."""


def row_curves(
    predict: Predict,
    rows: Sequence[Mapping[str, Attribution]],
    targets: Sequence[int],
    *,
    random_orders: int,
    seed: int,
    told: Callable[[int], None] = lambda done: None,
) -> list[RowCurves]:
    """The curves of rows that were explained by one or more methods; a row has at least two words.

    ``told`` is called with the number of rows done before each part of them, and may stop it by raising.
    """
    found: list[RowCurves] = []
    for start in range(0, len(rows), CHUNK_ROWS):
        told(start)
        chunk = range(start, min(len(rows), start + CHUNK_ROWS))
        plans = [_plan(rows[at], random_orders, np.random.default_rng([seed, at])) for at in chunk]
        values_NC = predict([text for plan in plans for _, texts in plan for text in texts])
        at_value = 0
        for at, plan in zip(chunk, plans, strict=True):
            deletion: dict[str, list[Floats]] = {}
            insertion: dict[str, list[Floats]] = {}
            for order, texts in plan:
                values = values_NC[at_value : at_value + len(texts), targets[at]]
                at_value += len(texts)
                deletion.setdefault(order, []).append(values[: PLACES + 1])
                insertion.setdefault(order, []).append(values[PLACES + 1 :])
            found.append(RowCurves(_means(deletion), _means(insertion)))
    return found


def _plan(row: Mapping[str, Attribution], random_orders: int, rng: np.random.Generator) -> list[tuple[str, list[str]]]:
    """The texts of each order: those of the deletion, then those of the insertion.

    Of a text that is not read to its end they hold what is read: behind words that are gone, the rest would be read.
    """
    plan = []
    for method, one in row.items():
        text, spans = _part(one)
        weights = np.array([word.value for word in one.words])
        order = np.argsort(-weights, kind="stable").tolist()  # equal words in the order of the text
        plan.append((method, _texts(text, spans, order)))
    text, spans = _part(next(iter(row.values())))
    plan += [(RANDOM, _texts(text, spans, rng.permutation(len(spans)).tolist())) for _ in range(random_orders)]
    return plan


def _part(one: Attribution) -> tuple[str, list[Span]]:
    """What is read of a text, and where its words stand in that."""
    spans = [(word.start, word.end) for word in one.words]
    if not one.num_truncated_tokens:
        return one.text, spans
    first, last = spans[0][0], spans[-1][1]
    return one.text[first:last], [(start - first, end - first) for start, end in spans]


def _texts(text: str, spans: Sequence[Span], order: Sequence[int]) -> list[str]:
    counts = [round(place * len(order) / PLACES) for place in range(PLACES + 1)]
    gone = [without(text, spans, set(order[:count])) for count in counts]
    return gone + [without(text, spans, set(order[count:])) for count in counts]


def _means(curves: Mapping[str, Sequence[Floats]]) -> dict[str, Floats]:
    return {order: np.mean(found, axis=0) for order, found in curves.items()}


def area(curve: Floats) -> float:
    """The area below a curve over the share of words, by trapezoids: between its lowest and highest value."""
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


def curve_facts(rows: Sequence[RowCurves], *, confidence: float, num_samples: int, seed: int) -> Facts:
    """Mean curves by order, their areas, and by how much each method beats random orders, with intervals over rows."""
    if not rows:
        return {"num_rows": 0}
    orders = list(rows[0].deletion)
    facts: Facts = {"num_rows": len(rows), "confidence": confidence, "orders": {}}
    for order in orders:
        facts["orders"][order] = {
            "deletion": np.mean([one.deletion[order] for one in rows], axis=0).tolist(),
            "insertion": np.mean([one.insertion[order] for one in rows], axis=0).tolist(),
            "deletion_area": float(np.mean([area(one.deletion[order]) for one in rows])),
            "insertion_area": float(np.mean([area(one.insertion[order]) for one in rows])),
        }
    for method in orders:
        if method == RANDOM:
            continue
        lost = [area(one.deletion[RANDOM]) - area(one.deletion[method]) for one in rows]
        found = [area(one.insertion[method]) - area(one.insertion[RANDOM]) for one in rows]
        facts["orders"][method] |= {
            "deletion_gain": _mean(lost, confidence, num_samples, seed),
            "insertion_gain": _mean(found, confidence, num_samples, seed + 1),
        }
    return facts


def _mean(values: Sequence[float], confidence: float, num_samples: int, seed: int) -> Facts:
    """The mean over rows with its percentile bootstrap interval (Efron and Tibshirani 1993), and what that shows."""
    values_N = np.array(values, float)
    rng = np.random.default_rng(seed)
    draws_S = np.array([values_N[rng.integers(len(values_N), size=len(values_N))].mean() for _ in range(num_samples)])
    low, high = np.percentile(draws_S, [50 * (1 - confidence), 50 * (1 + confidence)])
    verdict = "better" if low > 0 else "worse" if high < 0 else "not shown"
    return {"value": float(values_N.mean()), "low": float(low), "high": float(high), "verdict": verdict}
