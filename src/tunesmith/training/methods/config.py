"""What a recipe may say about the objective."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.config import Config


class ClassifyConfig(Config):
    """One label per text: cross-entropy."""

    kind: Literal["classify"] = "classify"
    """Cross-entropy over the labels of the training rows."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.0
    """Share of the target spread evenly over all labels, from 0 up to 1 (Szegedy et al. 2016 use 0.1). Default:
    none."""
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(ge=0, strict=True)]] = "none"
    """Weight of a row in the loss by its label: `none` = 1, `balanced` = rows / (labels × rows of the label) as in
    scikit-learn, or a table label → weight ≥ 0 (labels it leaves out weigh 1). Default: none."""


class RegressConfig(Config):
    """One number per text: squared error of the standardised target."""

    kind: Literal["regress"] = "regress"
    """Squared error; the target is standardised with the mean and deviation of the training rows."""
