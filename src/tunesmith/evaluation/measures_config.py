"""What a recipe may say about measures beyond the metrics: groups, robustness, latency. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import Field, field_validator

from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError
from tunesmith.texts.perturb import KINDS

Kind = Literal["typos", "case", "whitespace", "truncation", "lookalikes", "punctuation"]
Task = Literal["classify", "tag", "regress"]


class FairnessConfig(Config):
    """Whether the model serves every group of rows alike."""

    by: Annotated[tuple[str, ...], Field(min_length=1, max_length=5)]
    """The column, or up to 5 columns, whose values are the groups: `segment`, `[segment, region]`. It must be mapped by
    every source that has `columns`."""
    metric: str | None = None
    """The metric that is compared between groups; null: `accuracy`, for numbers `mae`, for tags `f1_micro`. Averages
    over classes (`f1_macro`) differ between groups already by which classes these hold."""
    min_rows: Annotated[int, Field(ge=5, strict=True)] = 30
    """Groups with fewer test rows are named and not compared; 5 or more. Default: 30, from where the percentile
    bootstrap of a share is near its nominal confidence (docs/decisions/0003)."""
    positive: str | None = None
    """For `classify`: the label that is good for whom it is given to (`approved`). Then the share of each group that is
    given it is compared too. Null: no label is."""
    max_gap: Annotated[float, Field(gt=0)] | None = None
    """The largest gap between groups that passes the gate, in units of the metric: short for
    `gate: {fairness_gap: {at_most: …}}`. Null: none."""

    @field_validator("by", mode="before")
    @classmethod
    def _one_column(cls, by: Any) -> Any:
        return (by,) if isinstance(by, str) else by


class RobustnessConfig(Config):
    """How the model answers texts as people really send them."""

    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = cast(tuple[Kind, ...], tuple(KINDS))
    """The perturbations, each once: typos (neighbouring key, letter dropped, doubled, swapped), case (lower, upper,
    mixed), whitespace (doubled, lost, leading), truncation (the last words cut), lookalikes (letters of other scripts),
    punctuation (dropped). Default: all."""
    strength: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of the words, letters or gaps that a perturbation touches, at least one; above 0 to 1. Default: 0.1, in a
    message of ten words one typing error."""
    rows: Annotated[int, Field(ge=20, le=100_000, strict=True)] = 500
    """Test rows that are perturbed, 20 to 100,000: drawn by the seed where there are more. It bounds the cost: each is
    answered once more for every kind. Default: 500, a drop of about 3 points can be shown."""
    metric: str | None = None
    """The metric that is watched; null: `accuracy`, for numbers `mae`, for tags `f1_micro`."""

    @field_validator("kinds")
    @classmethod
    def _each_once(cls, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        if len(set(kinds)) < len(kinds):
            raise RecipeError("a kind of perturbation stands twice", seen=", ".join(kinds), next="name each once")
        return kinds


class RobustnessStageConfig(Config):
    """What the stage `robustness` measures."""

    task: Task
    """What is predicted."""
    robustness: RobustnessConfig = RobustnessConfig()
    """The perturbations."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """Confidence of intervals, from 0.5 to below 1."""
    bootstrap_samples: Annotated[int, Field(ge=200, le=100_000, strict=True)] = 2000
    """Resamples behind each interval, 200 to 100,000."""


class CostStageConfig(Config):
    """What the stage `cost` measures on this machine."""

    texts: Annotated[int, Field(ge=20, le=10_000, strict=True)] = 200
    """Test texts that are answered one by one, 20 to 10,000. Default: 200: ten lie above the 95th percentile."""
    warm_up: Annotated[int, Field(ge=1, le=1000, strict=True)] = 10
    """Answers before the clock runs, 1 to 1000: the first ones fill caches and compile kernels. Default: 10."""


WATCHED: dict[Task, str] = {"classify": "accuracy", "tag": "f1_micro", "regress": "mae"}
"""What groups and perturbations are compared by where the recipe names no metric: what a user feels, and what does not
hang on which classes a group holds."""
