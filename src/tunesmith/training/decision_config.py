"""What a recipe may say about how outputs become an answer: temperature, thresholds, rejection."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.config import Config

RejectionScore = Literal["max_probability", "max_logit", "energy"]


class AtLeastPrecision(Config):
    """Thresholds that make a label's answers right often enough."""

    at_least_precision: Annotated[float, Field(gt=0, le=1)]
    """Of the validation rows a label is given to, the share that must have it, above 0 to 1. Of the thresholds that
    reach it the one that finds most rows is taken; a label that reaches it with none is never given, and named."""


class RejectConfig(Config):
    """Texts that the model does not know are rejected instead of answered."""

    label: Annotated[str, Field(min_length=1)] | None = None
    """The label that out-of-scope rows carry in the data: they are never trained on, half choose the score and half
    prove it, and rejected texts are called so. Null: there are no such rows, and a rejected text gets no label."""
    keep: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Share of the validation rows in scope that is answered, above 0 and below 1. Default: the customary 0.95 (false
    positives at 95 % true positives, Hendrycks and Gimpel 2017)."""
    score: RejectionScore | None = None
    """What tells known texts from unknown ones: the largest probability, the largest logit, or the energy (log of the
    summed exponentials of the logits, Liu et al. 2020). Null: the one that tells the out-of-scope validation rows best,
    `max_logit` where there are none."""


class DecisionConfig(Config):
    """How the network's outputs become an answer: calibrated on the validation rows once training is done."""

    calibrate: bool = True
    """Divide the logits by the temperature with the least loss on the validation rows, so that probabilities are
    frequencies (Guo et al. 2017); it changes no label of `classify`. Off: temperature 1."""
    thresholds: Annotated[float, Field(gt=0, lt=1)] | Literal["f1"] | AtLeastPrecision = "f1"
    """For `tag`: the probability from which a label is given. `f1`: for each label the one with the best F1 on the
    validation rows (labels with under 5 rows there share one); `{at_least_precision: 0.9}`; or a number for all,
    above 0 and below 1. Default: `f1`, measured in docs/log.md."""
    reject: RejectConfig | None = None
    """For `classify`: reject texts that the model does not know; null: every text is answered."""
