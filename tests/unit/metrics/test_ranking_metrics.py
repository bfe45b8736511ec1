"""Areas under curves and out-of-scope figures: against scikit-learn and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.metrics import ranking, scope

LABELS = ("a", "b", "c")


def made_up(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.choice(LABELS, 200)
    logits = rng.normal(size=(200, 3)) + 1.5 * (targets[:, None] == np.array(LABELS))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return np.round(probabilities, 2), targets  # rounded: ties are a step


def test_parity_with_scikit_learn() -> None:
    from sklearn import metrics

    probabilities, targets = made_up()
    binary = targets[:, None] == np.array(LABELS)
    by_label = dict(zip(LABELS, ranking.one_against_rest(probabilities, binary), strict=True))
    for place, label in enumerate(LABELS):
        belongs, scores = targets == label, probabilities[:, place]
        assert ranking.auroc(by_label[label]) == pytest.approx(metrics.roc_auc_score(belongs, scores), abs=1e-12)
        theirs = metrics.average_precision_score(belongs, scores)
        assert ranking.average_precision(by_label[label]) == pytest.approx(theirs, abs=1e-12)
        alarms, hits, _ = metrics.roc_curve(belongs, scores, drop_intermediate=False)
        ours = ranking.roc(by_label[label])
        assert ours[0] == pytest.approx(alarms) and ours[1] == pytest.approx(hits)
    micro = ranking.pooled(probabilities, binary)
    assert ranking.auroc(micro) == pytest.approx(metrics.roc_auc_score(binary, probabilities, average="micro"))


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=40).filter(
        lambda rows: any(one and num for one, _, num in rows) and any(not one and num for one, _, num in rows)
    )
)
def test_a_weight_is_so_many_rows(rows: list[tuple[bool, int, int]]) -> None:
    belongs, scores, times = (np.array(column) for column in zip(*rows, strict=True))
    weighted = ranking.steps(belongs, scores.astype(float), times.astype(float))
    repeated = ranking.steps(np.repeat(belongs, times), np.repeat(scores, times).astype(float))
    assert ranking.auroc(weighted) == pytest.approx(ranking.auroc(repeated))
    assert ranking.average_precision(weighted) == pytest.approx(ranking.average_precision(repeated))


def test_auroc_is_the_share_of_pairs_in_the_right_order() -> None:
    belongs, scores = np.array([True, True, False, False]), np.array([0.9, 0.4, 0.4, 0.1])
    assert ranking.auroc(ranking.steps(belongs, scores)) == pytest.approx((1 + 1 + 0.5 + 1) / 4)


def test_without_both_sorts_of_rows_there_is_no_area() -> None:
    assert math.isnan(ranking.auroc(ranking.steps(np.array([True]), np.array([0.5]))))
    assert math.isnan(ranking.average_precision(ranking.steps(np.array([False]), np.array([0.5]))))


def test_out_of_scope_by_hand() -> None:
    inside, outside = np.arange(1, 21) / 20, np.array([0.05, 0.1, 0.12, 0.9])
    assert scope.threshold_for(inside) == pytest.approx(0.1), "19 of 20 texts reach 0.1"
    assert scope.false_alarms_at(inside, outside) == pytest.approx(3 / 4)
    found = scope.scope_scores(inside, outside)
    pairs = [(a > b) + (a == b) / 2 for a in inside for b in outside]
    assert found.auroc == pytest.approx(np.mean(pairs))
    assert found.fpr_at_95_tpr == pytest.approx(3 / 4)


def test_out_of_scope_parity_with_scikit_learn() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(2)
    inside, outside = rng.normal(1, 1, 150), rng.normal(0, 1, 70)
    found, truth = scope.scope_scores(inside, outside), np.arange(220) < 150
    scores = np.concatenate([inside, outside])
    assert found.auroc == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert found.aupr_in == pytest.approx(metrics.average_precision_score(truth, scores))
    assert found.aupr_out == pytest.approx(metrics.average_precision_score(~truth, -scores))


def test_out_of_scope_needs_both_sides() -> None:
    found = scope.scope_scores(np.array([0.5]), np.array([]))
    assert all(math.isnan(one) for one in (found.auroc, found.aupr_in, found.aupr_out, found.fpr_at_95_tpr))
