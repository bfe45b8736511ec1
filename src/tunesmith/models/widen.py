"""A head that goes on from an earlier one: what it knew stays, labels it did not know get outputs of their own."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from tunesmith.core.errors import ModelError
from tunesmith.models.heads import Head
from tunesmith.models.manifest import HEAD, ModelManifest, Standardization

LINEAR = "linear."


def carry_over(head: Head, manifest: ModelManifest, parent: Path) -> None:
    """Give a fresh head the weights of a parent's: outputs go by their label or target, new ones stay fresh.

    At the start the new model answers as its parent does: every old label has the parent's logit, a number the
    parent's value although it is measured in other deviations.
    Raises: ModelError where the heads are of two shapes.
    """
    was = ModelManifest.read(parent)
    try:
        weights = load_file(parent / HEAD)
    except (OSError, SafetensorError) as error:
        raise ModelError("the champion's head cannot be loaded", seen=f"{HEAD}: {error}") from error
    own = head.state_dict()
    inner = {name: one for name, one in weights.items() if not name.startswith(LINEAR)}
    new_inner = {name: tuple(one.shape) for name, one in own.items() if not name.startswith(LINEAR)}
    if {name: tuple(one.shape) for name, one in inner.items()} != new_inner or was.task != manifest.task:
        raise ModelError(
            "the head has another shape than the champion's, so it cannot go on from it",
            seen=f"{manifest.task}, {manifest.network.head.model_dump()}",
            allowed=f"{was.task}, {was.network.head.model_dump()}",
            next="leave `train.head` as it was when the champion was trained",
        )
    with torch.no_grad():
        weight_CD, bias_C = own[LINEAR + "weight"].clone(), own[LINEAR + "bias"].clone()
        for at, before, slope, shift in _outputs(manifest, was):
            weight_CD[at] = weights[LINEAR + "weight"][before] * slope
            bias_C[at] = weights[LINEAR + "bias"][before] * slope + shift
    head.load_state_dict({**inner, LINEAR + "weight": weight_CD, LINEAR + "bias": bias_C})


def _outputs(manifest: ModelManifest, was: ModelManifest) -> list[tuple[int, int, float, float]]:
    """For each output that the parent has too: its place, its place there, and what its scale changes."""
    if manifest.task != "regress":
        place = {label: at for at, label in enumerate(was.labels)}
        return [(at, place[label], 1.0, 0.0) for at, label in enumerate(manifest.labels) if label in place]
    if manifest.target is not None and was.target is not None:
        return [(0, 0, *_rescaled(was.target, manifest.target))]
    names = list(was.targets)
    return [
        (at, names.index(name), *_rescaled(was.targets[name], scale))
        for at, (name, scale) in enumerate(manifest.targets.items())
        if name in was.targets
    ]


def _rescaled(was: Standardization, now: Standardization) -> tuple[float, float]:
    """Slope and shift that lead deviations of the parent's rows to those of the new ones."""
    return was.std / now.std, (was.mean - now.mean) / now.std
