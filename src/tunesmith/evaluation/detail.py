"""Scores label by label and target by target, and what they do not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.stage import Facts
from tunesmith.evaluation.predictions import Predictions, thresholds
from tunesmith.evaluation.significance import MODEL, Resamples, intervals
from tunesmith.evaluation.truth import Truth
from tunesmith.metrics import classification, multilabel
from tunesmith.models.manifest import Decision


def by_class(targets_N: NDArray[Any], answers: Predictions) -> Facts:
    """Scores by label and the confusion matrix, over the labels of the model and of the test rows."""
    labels = sorted({*answers.labels, *targets_N.tolist()})
    counts = classification.tally(targets_N, answers.predicted_N)
    columns = _columns(counts)
    place = {label: at for at, label in enumerate(counts.labels)}
    per_class: dict[str, Facts] = {}
    for label in labels:
        at = place.get(label)
        per_class[label] = {name: 0.0 if at is None else float(column[at]) for name, column in columns.items()}
        per_class[label]["support"] = 0 if at is None else int(counts.support_XC[at])
    confusion_CC = classification.confusion(targets_N.tolist(), answers.predicted_N.tolist(), labels)
    return {"per_class": per_class, "confusion": {"labels": labels, "counts": confusion_CC.tolist()}}


def by_tag(truth: Truth, answers: Predictions, decision: Decision) -> Facts:
    """Scores by label where rows have any number of them, with the threshold each is given from."""
    rows = multilabel.tags(truth.targets_N, answers.predicted_N)
    columns = _columns(rows.counts)
    precision_C = multilabel.average_precision_per_label(rows)
    from_C = thresholds(decision, len(answers.labels))
    per_class: dict[str, Facts] = {}
    for at, label in enumerate(truth.labels):
        per_class[label] = {name: float(column[at]) for name, column in columns.items()}
        per_class[label]["support"] = int(rows.counts.support_XC[at])
        per_class[label]["given"] = int(rows.counts.predicted_XC[at])
        per_class[label]["average_precision"] = None if np.isnan(precision_C[at]) else float(precision_C[at])
        per_class[label]["threshold"] = float(from_C[at]) if at < len(from_C) else None
    return {"per_class": per_class}


def by_target(
    names: Sequence[str],
    targets_NK: NDArray[np.float64],
    predicted: Mapping[str, NDArray[np.float64]],
    *,
    confidence: float,
    num_samples: int,
    seed: int,
) -> tuple[Facts, dict[str, str]]:
    """Every metric of each of several targets in its own unit, of the model and of the baselines, and what has none."""
    per_target: dict[str, Facts] = {}
    gaps: dict[str, str] = {}
    for at, name in enumerate(names):
        columns = {who: column_NK[:, at] for who, column_NK in predicted.items()}
        alone = Resamples("regress", targets_NK[:, at], columns, num_samples=num_samples, seed=seed)
        measured, missing = intervals(alone, confidence)
        per_target[name] = {"metrics": measured.pop(MODEL), "baselines": measured}
        gaps |= {f"{metric} of {name}": why for metric, why in missing.items()}
    return {"targets": list(names), "per_target": per_target}, gaps


def label_gaps(truth: Truth, answers: Predictions) -> dict[str, str]:
    """Labels that only the test rows or only the model know: the first count as errors, the second are not tested."""
    if truth.task == "regress":
        return {}
    if truth.task == "tag":
        support = dict(zip(truth.labels, truth.targets_N.sum(0).tolist(), strict=True))
    else:
        seen, counts = np.unique(truth.targets_N, return_counts=True)
        support = dict(zip(seen.tolist(), counts.tolist(), strict=True))
    gaps = {
        f"label {label}": f"the model never saw it in training; its {count:,} test rows count as errors"
        for label, count in support.items()
        if label not in answers.labels
    }
    untested = [label for label in sorted(answers.labels) if not support.get(label)]
    gaps.update({f"label {label}": "no test row has it, so its scores of 0 say nothing" for label in untested})
    return gaps


def _columns(counts: classification.Tally) -> dict[str, classification.Floats]:
    return {
        "precision": classification.precision_per_class(counts),
        "recall": classification.recall_per_class(counts),
        "f1": classification.f1_per_class(counts),
    }
