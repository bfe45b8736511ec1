"""What a recipe may say about labels that are likely wrong."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.config import Config


class LabelErrorsConfig(Config):
    """Looks for rows whose label is likely wrong, by confident learning (Northcutt et al. 2021) with cleanlab.

    Each training row is judged by a linear model over the frozen base's features that never saw the row; validation and
    test rows by one fitted on all training rows. Needs `pip install "tunesmith[labels]"`.
    """

    action: Literal["report", "remove"] = "report"
    """What is done with suspects among the training rows: listed in the report, or also removed before training, each
    recorded with the reason. Validation and test rows are only ever listed: what proves the model is the user's to
    change. Default: listed."""
    most: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """Largest share of the training rows that `remove` may take, above 0 to 0.5; the least likely labels go first, and
    what was left for it is counted. Default: 0.1."""
    folds: Annotated[int, Field(ge=2, le=20, strict=True)] = 5
    """Parts the training rows are cut into, each judged by a model of the others, 2 to 20; labels with fewer rows
    than that are not judged and are listed as too small. Default: 5, cleanlab's."""
    near: Annotated[float, Field(ge=0.5, le=1.0)] = 0.8
    """Jaccard similarity, 0.5 to 1, from which two training texts with different labels are listed as a conflict, as
    `data.clean.near_duplicates` measures it. Default: 0.8, looser than what is removed as a repeat."""


class WithoutSuspectsConfig(Config):
    """Which suspects leave the training rows."""

    most: float = 0.1
    """Largest share of the training rows that may leave."""
