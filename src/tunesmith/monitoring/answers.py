"""What a model answered, in the columns that are tested; the same for captured answers and for those made anew.

An answer is JSON: ``{"label", "probability", "labels", "value", "values", "is_rejected"}``, each where the task has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.core.tasks import HeadTask
from tunesmith.models.manifest import ModelManifest
from tunesmith.monitoring.drift import LABELS, Columns

REJECTED = "(rejected)"
Answer = Mapping[str, Any]


def columns_of(task: HeadTask, answers: Sequence[Answer]) -> Columns:
    """The columns of answers: labels and how sure they are, or numbers."""
    if task == "regress":
        names = sorted({name for one in answers for name in one.get("values") or ()})
        if names:
            kept = [one["values"] for one in answers]
            return Columns({f"predicted {name}": np.array([one[name] for one in kept], float) for name in names})
        return Columns({"predicted": np.array([one["value"] for one in answers], float)})
    numbers = {"confidence": np.array([one["probability"] for one in answers], float)}
    if task == "tag":
        return Columns(numbers, sets={LABELS: [list(one["labels"]) for one in answers]})
    return Columns(numbers, {LABELS: [shown_label(one) for one in answers]})


def shown_label(answer: Answer) -> str:
    """The label of an answer; of a rejected text, that it was."""
    return REJECTED if answer.get("is_rejected") else str(answer["label"])


def predicted_of(task: HeadTask, answer: Answer) -> Any:
    """What is compared with the truth."""
    if task == "classify":
        return answer["label"]
    if task == "tag":
        return list(answer["labels"])
    return list(answer["values"].values()) if answer.get("values") else answer["value"]


def answer_of(manifest: ModelManifest, values: Sequence[float], score: float | None = None) -> dict[str, Any]:
    """The answer that an engine's values mean under the model's decision."""
    if manifest.task == "regress":
        if manifest.targets:
            return {"values": dict(zip(manifest.targets, map(float, values), strict=True))}
        return {"value": float(values[0])}
    best = int(np.argmax(values))
    if manifest.task == "tag":
        limits = manifest.decision.thresholds or [0.5] * len(manifest.labels)
        given = [name for name, value, limit in zip(manifest.labels, values, limits, strict=True) if value >= limit]
        return {"labels": given, "probability": float(values[best])}
    reject = manifest.decision.reject
    is_rejected = reject is not None and score is not None and score < reject.threshold
    label = reject.label if is_rejected and reject is not None else manifest.labels[best]
    return {"label": label, "probability": float(values[best]), "is_rejected": is_rejected}
