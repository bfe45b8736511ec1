"""The sections of the recipe of tasks that a head answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from tunesmith.core.config import Config
from tunesmith.data.augment.config import AugmentConfig
from tunesmith.data.labels.config import LabelErrorsConfig
from tunesmith.data.targets_config import LabelsConfig
from tunesmith.evaluation.config import (
    Confidence,
)
from tunesmith.evaluation.measures_config import (
    FairnessConfig,
    RobustnessConfig,
)
from tunesmith.recipe.adapt_phase import AdaptPhase, is_adapting
from tunesmith.recipe.sections import Gathered, RowsSection
from tunesmith.training.config import TrainConfig


class DataSection(RowsSection):
    """Where rows come from, what is done to them and how they are divided."""

    labels: Annotated[LabelsConfig, Gathered] = LabelsConfig()
    """How the labels of `tag` are written, and which are learned."""
    label_errors: Annotated[LabelErrorsConfig | None, Gathered] = None
    """Looks for rows of `classify` whose label is likely wrong, and lists or removes them; `{}` turns it on with its
    defaults. Null: not looked for."""
    augment: Annotated[AugmentConfig | None, Gathered] = None
    """Training rows made from other training rows, kept only if the validation rows show a gain beyond noise; the model
    is trained twice for it. Null: none."""


def _switched(value: Any) -> Any:
    """`true` means every default."""
    return RobustnessConfig() if value is True else value


class EvaluateSection(Config):
    """What the trained model is compared with, and how sure the comparison is."""

    baselines: tuple[str, ...] | None = None
    """Baselines by name, each once; null: all of the task (`classify`: majority, base_centroid, tfidf; `tag`:
    majority, base_logistic, tfidf; `regress`: mean, base_ridge, tfidf)."""
    confidence: Confidence = 0.95
    """Confidence of intervals and comparisons, from 0.5 to below 1. Default: the customary 0.95."""
    bootstrap_samples: Annotated[int, Field(ge=200, le=100_000, strict=True)] = 2000
    """Resamples behind each interval and p-value, 200 to 100,000. Default: 2000 (Efron and Tibshirani 1993 advise at
    least 1000)."""
    fairness: Annotated[FairnessConfig | None, Gathered] = None
    """Groups of rows that are compared: `{by: segment}`. Null: none."""
    robustness: Annotated[RobustnessConfig | Literal[False] | None, BeforeValidator(_switched), Gathered] = None
    """The model on texts with typing errors, odd case and white space, cut and with look-alike letters: `true`, `false`
    or what to do. Null: measured where the gate asks for it."""
    latency: bool | None = None
    """Time of single answers, size and memory on this machine. Null: measured where the gate asks for it."""


def _phase_or_phases(train: Any) -> str:
    return "phases" if isinstance(train, list | tuple) else "phase"


def _which_phase(phase: Any) -> str:
    return "adapt" if is_adapting(phase) else "head"


AnyPhase = Annotated[
    Annotated[AdaptPhase, Gathered, Tag("adapt")] | Annotated[TrainConfig, Gathered, Tag("head")],
    Discriminator(_which_phase),
]
Phases = Annotated[
    Annotated[TrainConfig, Gathered, Tag("phase")] | Annotated[tuple[AnyPhase, ...], Tag("phases")],
    Discriminator(_phase_or_phases),
]


def method_of(phase: Any) -> Any:
    """The kind of method that a phase names, as it was written; None where it names none."""
    method = phase.get("method") if isinstance(phase, dict) else getattr(phase, "method", None)
    return method.get("kind") if isinstance(method, dict) else getattr(method, "kind", method)
