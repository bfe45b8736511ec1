"""Telling questions the model was made for from those it was not: the usual figures of out-of-scope detection.

A score says how much a text belongs: the largest probability, or any other number that is higher in scope.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.metrics.ranking import auroc, average_precision, steps

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ScopeScores:
    """How well scores tell what is in scope. Source: Hendrycks & Gimpel 2017, section 2; Liang et al. 2018."""

    auroc: float
    """How often a text in scope scores above one out of scope; 0.5 is chance."""
    aupr_in: float
    """Area under precision and recall with texts in scope as what is sought."""
    aupr_out: float
    """The same with texts out of scope as what is sought."""
    fpr_at_95_tpr: float
    """The share of texts out of scope that are still answered where 95 % of those in scope are."""


def scope_scores(in_scope_N: Floats, out_of_scope_N: Floats) -> ScopeScores:
    """The figures of these scores; nan where one of the two sides has no text."""
    scores_N = np.concatenate([in_scope_N, out_of_scope_N]).astype(float)
    belongs_N = np.arange(len(scores_N)) < len(in_scope_N)
    inside, outside = steps(belongs_N, scores_N), steps(~belongs_N, -scores_N)
    both = inside.has_both
    return ScopeScores(
        auroc=auroc(inside),
        aupr_in=average_precision(inside) if both else float("nan"),
        aupr_out=average_precision(outside) if both else float("nan"),
        fpr_at_95_tpr=false_alarms_at(in_scope_N, out_of_scope_N) if both else float("nan"),
    )


def false_alarms_at(in_scope_N: Floats, out_of_scope_N: Floats, hit_rate: float = 0.95) -> float:
    """The share of texts out of scope at or above the highest threshold that keeps ``hit_rate`` of those in scope."""
    threshold = threshold_for(in_scope_N, hit_rate)
    return float((out_of_scope_N >= threshold).mean())


def threshold_for(in_scope_N: Floats, hit_rate: float = 0.95) -> float:
    """The highest threshold that at least this share of the texts in scope reach."""
    sorted_N = np.sort(in_scope_N)[::-1]
    # Rounded first: 0.95 times 20 is 19, not 19.000000000000004.
    return float(sorted_N[max(1, int(np.ceil(round(hit_rate * len(sorted_N), 9)))) - 1])
