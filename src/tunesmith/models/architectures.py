"""Where encoder architectures keep their layers. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.core.errors import ModelError

LAYERS: Mapping[str, str] = {
    "bert": "encoder.layer",
    "roberta": "encoder.layer",
    "xlm-roberta": "encoder.layer",
    "camembert": "encoder.layer",
    "electra": "encoder.layer",
    "mpnet": "encoder.layer",
    "distilbert": "transformer.layer",
}
"""Model type → the list of its layers. Each of these models is embeddings, then its layers one after the other, the
last one's output being the model's; that is what cutting one in two relies on."""


def cut_of(base: Mapping[str, Any], top: int) -> int:
    """The number of layers below the ``top`` ones that learn, from the facts of a BASE artifact.

    Raises: ModelError where the architecture is not in the table, or has fewer layers.
    """
    if base["model_type"] not in LAYERS:
        raise ModelError(
            "tunesmith does not know where this architecture keeps its layers, so it cannot train the top ones alone",
            seen=f"{base['name']}: {base['model_type']}",
            allowed=", ".join(LAYERS),
            next="write `train: {trainable: full}`, or `lora`, which know every encoder",
        )
    num_layers = int(base["num_layers"])
    if top > num_layers:
        raise ModelError(
            "train.trainable.layers is more than the model has",
            seen=top,
            allowed=f"1 to {num_layers} ({base['name']})",
            next="write fewer layers, or `trainable: full`",
        )
    return num_layers - top
