"""What a model answered to rows and what is true of them, as words and as outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.explanation.attribution import Floats, target_places
from tunesmith.explanation.influence import targets_of
from tunesmith.models.manifest import ModelManifest

FAR = 1.0
"""A number is off from so many standard deviations of the training target on."""
NONE = "(none)"


@dataclass(frozen=True)
class Answered:
    """The answers to rows, in their order."""

    predicted: list[str]
    true: list[str]
    is_off: list[bool]
    """Another label, other labels, or a number at least one standard deviation off."""
    given_NC: Floats
    """The answers as the head would learn them: 0 and 1 by label, or standardised values by target."""
    true_NC: Floats
    """The truth in the same form."""


def answered_rows(manifest: ModelManifest, values_NC: Floats, labels: Sequence[Any]) -> Answered:
    """What values mean for rows with these labels."""
    if not len(labels):
        empty = np.zeros((0, manifest.num_outputs))
        return Answered([], [], [], empty, empty)
    true_NC = targets_of(manifest, labels)
    if manifest.task == "regress":
        given_NC = targets_of(manifest, [row.tolist() for row in values_NC])
        is_off = np.abs(given_NC - true_NC).max(1) >= FAR
        shown = [_numbers(row) for row in values_NC.tolist()]
        true = [_numbers(one if isinstance(one, list) else [one]) for one in labels]
        return Answered(shown, true, is_off.tolist(), given_NC, true_NC)
    if manifest.task == "tag":
        least_C = np.array(manifest.decision.thresholds or [0.5] * len(manifest.labels))
        given = [[manifest.labels[at] for at in np.flatnonzero(row >= least_C)] for row in values_NC]
        is_wrong = [set(one) != set(other) for one, other in zip(given, labels, strict=True)]
        return Answered(
            [", ".join(one) or NONE for one in given],
            [", ".join(one) or NONE for one in labels],
            is_wrong,
            targets_of(manifest, given),
            true_NC,
        )
    names = [manifest.labels[at] for at in values_NC.argmax(1)]
    is_wrong = [one != other for one, other in zip(names, labels, strict=True)]
    return Answered(names, [str(one) for one in labels], is_wrong, targets_of(manifest, names), true_NC)


def explained_places(manifest: ModelManifest, values_NC: Floats, answers: Answered) -> list[int]:
    """The output that is explained of each row: the likeliest label or the first target, and where one label of
    several is wrong, that one: the likeliest of those that were given, else of those that were missed."""
    found = target_places(manifest, values_NC)
    if manifest.task != "tag":
        return found
    for row, wrong_C in enumerate(answers.given_NC - answers.true_NC):
        for mistaken_C in (wrong_C > 0, wrong_C < 0):
            if mistaken_C.any():
                found[row] = int(np.where(mistaken_C, values_NC[row], -1.0).argmax())
                break
    return found


def label_text(label: Any) -> str:
    """A label, labels or numbers as people read them."""
    if isinstance(label, str):
        return label
    if isinstance(label, (list, tuple)):
        parts = [one if isinstance(one, str) else f"{one:.4g}" for one in label]
        return ", ".join(parts) or NONE
    return f"{label:.4g}"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{one:.4g}" for one in values)
