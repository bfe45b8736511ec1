"""How well a model that rejects tells the texts it knows from those it does not.

Shapes: N test rows in scope, M test rows out of scope, S resamples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.stage import Facts
from tunesmith.evaluation.significance import wilson
from tunesmith.metrics.scope import scope_scores
from tunesmith.models.manifest import Rejection

Floats = NDArray[np.float64]

NUM_RESAMPLES = 500


def rejection_facts(
    reject: Rejection,
    score_N: Floats,
    is_right_N: NDArray[np.bool_],
    largest_N: Floats,
    outside: tuple[Floats, Floats] | None,
    *,
    confidence: float,
    seed: int,
) -> Facts:
    """What the threshold does to the test rows, and how well the score ranks them, beside the largest probability.

    ``score_N`` and ``largest_N`` (the largest probability) are of the rows in scope; ``outside`` has both of the rest.
    """
    kept_N = score_N >= reject.threshold
    facts: Facts = {
        **reject.model_dump(),
        "num_inside": len(score_N),
        "num_outside": 0 if outside is None else len(outside[0]),
        "coverage": _share(kept_N, confidence),
        "accuracy": _share(is_right_N, confidence),
        "accuracy_of_answered": _share(is_right_N[kept_N], confidence),
    }
    if outside is None or not len(outside[0]):
        return facts
    score_M, largest_M = outside
    rejected_M = score_M < reject.threshold
    facts["rejected"] = _share(rejected_M, confidence)
    # An answer is right where the row is in scope, kept, and its label right, or out of scope and rejected.
    facts["accuracy_of_all"] = _share(np.concatenate([is_right_N & kept_N, rejected_M]), confidence)
    facts |= _ranking(score_N, score_M, largest_N, largest_M, confidence, seed)
    return facts


def _ranking(
    score_N: Floats, score_M: Floats, largest_N: Floats, largest_M: Floats, confidence: float, seed: int
) -> Facts:
    """AUROC and false positives at 95 % true positives of both scores, and their paired difference, by bootstrap."""
    rng = np.random.default_rng([seed, 3])
    draws = [
        (rng.integers(len(score_N), size=len(score_N)), rng.integers(len(score_M), size=len(score_M)))
        for _ in range(NUM_RESAMPLES)
    ]
    own = [scope_scores(score_N, score_M), *(scope_scores(score_N[n], score_M[m]) for n, m in draws)]
    usual = [scope_scores(largest_N, largest_M), *(scope_scores(largest_N[n], largest_M[m]) for n, m in draws)]
    facts: Facts = {"max_probability": {}, "difference": {}}
    for name in ("auroc", "fpr_at_95_tpr"):
        own_S, usual_S = (np.array([getattr(one, name) for one in found]) for found in (own, usual))
        facts[name] = _interval(own_S, confidence)
        facts["max_probability"][name] = _interval(usual_S, confidence)
        facts["difference"][name] = _interval(own_S - usual_S, confidence)
    return facts


def _interval(found_S: Floats, confidence: float) -> Facts:
    """The first value, with the percentiles of the others."""
    low, high = np.percentile(found_S[1:], [50 * (1 - confidence), 50 * (1 + confidence)])
    return {"value": float(found_S[0]), "low": float(low), "high": float(high)}


def _share(hits: NDArray[np.bool_], confidence: float) -> Facts | None:
    if not len(hits):
        return None
    low, high = wilson(int(hits.sum()), len(hits), confidence)
    return {"value": float(hits.mean()), "low": low, "high": high}
