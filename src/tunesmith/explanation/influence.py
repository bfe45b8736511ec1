"""Which training rows pushed a head towards an answer, by the gradients of its last layer.

A gradient step on a training row z' changes the outputs of a text z, to first order, by

    (h(z) · h(z') + 1) · (y' - p')        for each output,

where h is what enters the last layer, 1 its bias, p' the row's own answer there (probabilities, or standardised values)
and y' its target: cross-entropy, binary cross-entropy and half the squared error all have y - p as their negative
gradient at the outputs. A wrong answer was pushed by the rows whose steps raise what was answered over what is true.
Self-influence is the squared length of a row's own gradient: large where the model could not fit a row, as it cannot
fit a wrong label that its text speaks against.

Source: Pruthi et al. 2020 (TracIn), for the last layer and the final weights alone (their section 4, "TracIn-CP" with
one checkpoint; learning rate 1). The gradient of dropout, weight decay and smoothing is left out.
Shapes: N training rows, Q texts, C outputs, D inputs of the last layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.tasks import HeadTask
from tunesmith.models.heads import Head
from tunesmith.models.manifest import ModelManifest

Floats = NDArray[np.float64]
BLOCK_ROWS = 8192


@dataclass(frozen=True)
class LastLayer:
    """What a head's last layer was given and what it answered."""

    inputs_ND: NDArray[np.float32]
    answers_NC: Floats
    """Probabilities by label, or standardised values by target, no temperature applied."""


def last_layer(manifest: ModelManifest, head: Head, features_ND: NDArray[Any]) -> LastLayer:
    """The last layer's inputs and answers for pooled features; the head is in evaluation mode."""
    import torch

    inputs, answers = [], []
    with torch.inference_mode():
        for start in range(0, len(features_ND), BLOCK_ROWS):
            features_BD = torch.from_numpy(np.ascontiguousarray(features_ND[start : start + BLOCK_ROWS])).float()
            inputs_BD = head.before_last(features_BD)
            output_BC = head.linear(inputs_BD).double()
            if manifest.task == "classify":
                output_BC = output_BC.softmax(-1)
            elif manifest.task == "tag":
                output_BC = output_BC.sigmoid()
            inputs.append(inputs_BD.numpy())
            answers.append(output_BC.numpy())
    if not inputs:
        width = head.linear.in_features
        return LastLayer(np.zeros((0, width), np.float32), np.zeros((0, manifest.num_outputs)))
    return LastLayer(np.concatenate(inputs), np.concatenate(answers))


def targets_of(manifest: ModelManifest, labels: Sequence[Any]) -> Floats:
    """The labels of rows as the head learns them (N, C): 0 and 1 by label, or standardised values by target.

    A label that the model does not know is 0 everywhere.
    """
    if manifest.task == "regress":
        values_NC = np.array(labels, float).reshape(len(labels), -1)
        mean_C = np.array([one.mean for one in manifest.scales])
        std_C = np.array([one.std for one in manifest.scales])
        scaled: Floats = (values_NC - mean_C) / std_C
        return scaled
    place = {label: at for at, label in enumerate(manifest.labels)}
    found = np.zeros((len(labels), len(place)))
    for row, label in enumerate(labels):
        for one in [label] if isinstance(label, str) else label:
            if one in place:
                found[row, place[one]] = 1.0
    return found


def wrong_direction(task: HeadTask, given_QC: Floats, true_QC: Floats) -> Floats:
    """For each answer the outputs that were too high (above 0) and too low (below 0); for numbers only their signs."""
    found: Floats = given_QC - true_QC
    return np.sign(found) if task == "regress" else found


def pushes(asked_QD: NDArray[Any], direction_QC: Floats, train: LastLayer, targets_NC: Floats) -> Floats:
    """How far a gradient step on each training row moves each text's outputs in its direction (Q, N)."""
    alike_QN = asked_QD.astype(np.float64) @ train.inputs_ND.T.astype(np.float64) + 1
    found: Floats = alike_QN * (direction_QC @ (targets_NC - train.answers_NC).T)
    return found


def self_influence(train: LastLayer, targets_NC: Floats) -> Floats:
    """The squared length of each training row's gradient at the last layer (N,)."""
    residual_N = ((targets_NC - train.answers_NC) ** 2).sum(1)
    found: Floats = residual_N * ((train.inputs_ND.astype(np.float64) ** 2).sum(1) + 1)
    return found
