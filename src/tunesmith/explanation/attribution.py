"""What an explanation of one answer is, whichever method made it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.engine import Engine, Request
from tunesmith.core.errors import RecipeError
from tunesmith.explanation.config import Method
from tunesmith.explanation.words import Word
from tunesmith.models.manifest import ModelManifest

Floats = NDArray[np.float64]
Predict = Callable[[Sequence[str]], Floats]
"""Texts to what a model answers (N, C): probabilities by label, or values by target."""
Unit = Literal["logit", "probability", "value"]


@dataclass(frozen=True)
class Attribution:
    """The words of one text and what each adds to an answer."""

    method: Method
    target: str
    """The label, or the target, whose answer is explained; empty for one number."""
    text: str
    """The text as the model reads it: the words' places are in it. Of one of over 100,000 characters what is not read
    is left out, but for some thousands of characters beside what is."""
    words: tuple[Word, ...]
    """In their order; those that the model could not read are not among them."""
    unit: Unit
    """Of the words' values. ``logit``: the network's output of a label, of labels that exclude each other less the mean
    of all; ``probability``: between 0 and 1; ``value``: of the target."""
    full: float
    """The answer to the text, in the unit."""
    baseline: float
    """The answer without its words, in the unit."""
    error: float | None = None
    """``ig``: how far the words' values, summed, are off ``full - baseline``, as a share of it."""
    steps: int | None = None
    """``ig``: points on the way from the baseline to the text."""
    num_truncated_tokens: int = 0
    """Tokens of the text that the model could not read."""

    def to_dict(self) -> dict[str, Any]:
        """The attribution as JSON values."""
        return asdict(self)


def predictor(engine: Engine) -> Predict:
    """What an engine answers to texts, in their order; equal texts are asked once."""

    def predict(texts: Sequence[str]) -> Floats:
        if not texts:
            return np.zeros((0, 0))
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        found: list[tuple[float, ...]] = [()] * len(places)
        for answer in engine.submit(Request("predict", list(places))):
            found[answer.index] = answer.values
        values_NC = np.array(found, dtype=np.float64)
        return values_NC[[places[text] for text in texts]]

    return predict


def names_of(manifest: ModelManifest) -> tuple[str, ...]:
    """What stands for each output of a model: its labels, its targets, or an empty name for one number."""
    if manifest.task == "regress":
        return tuple(manifest.targets) or ("",)
    return manifest.labels


def target_places(manifest: ModelManifest, values_NC: Floats, wanted: str | None = None) -> list[int]:
    """The output that is explained of each text: the one asked for, else the likeliest label or the first target; of
    several labels the likeliest of those that are given, where any is.

    Raises: RecipeError for a label or target that the model does not have.
    """
    if wanted is not None:
        names = names_of(manifest)
        if wanted not in names or not wanted:
            raise RecipeError(
                "the model has no such label",
                seen=wanted,
                allowed=", ".join(names[:20]) if names[0] else "none: it answers with one number",
            )
        return [names.index(wanted)] * len(values_NC)
    if manifest.task == "regress":
        return [0] * len(values_NC)
    if manifest.task == "tag":
        # Each label has a threshold of its own: the likeliest of all may be one that is not given.
        is_given_NC = values_NC >= np.array(manifest.decision.thresholds or [0.5] * len(manifest.labels))
        values_NC = values_NC + is_given_NC
    return [int(place) for place in values_NC.argmax(1)]
