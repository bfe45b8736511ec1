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


class TagConfig(Config):
    """Any number of labels per text: a binary cross-entropy for each label."""

    kind: Literal["tag"] = "tag"
    """Whether a text has a label or not, for each label of the training rows on its own."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.0
    """Share of each yes or no spread evenly over both, from 0 up to 1: 0.1 trains towards 0.95 and 0.05. Default:
    none."""
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(ge=0, strict=True)]] = "none"
    """Weight in the loss of a row that has a label: `none` = 1, `balanced` = rows without it / rows with it, at most
    100, or a table label → weight ≥ 0 (labels it leaves out weigh 1). Default: none; thresholds are tuned on
    validation rows, which moves answers as weights do and keeps probabilities honest."""


class RegressConfig(Config):
    """One number per text, or several: squared error of the standardised targets."""

    kind: Literal["regress"] = "regress"
    """Squared error; each target is standardised with the mean and deviation of the training rows, so that several
    count alike."""
