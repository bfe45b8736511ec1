"""What a plan says, and which of its steps are carried out for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tunesmith.lifecycle.steps import StepSpec


@dataclass(frozen=True)
class PlannedStep:
    """A step as a plan shows it."""

    name: str
    stage: str
    key: str
    status: str
    """done (by this plan or before), cached, to run, or unknown."""
    forecast: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Plan:
    """What a run would do: the data as it is now, the rest as a forecast."""

    recipe: str
    task: str
    sources: list[dict[str, Any]]
    rows: Mapping[str, Any]
    """Facts of the splits: read, kept, removed and quarantined per reason and source."""
    quality: Mapping[str, Any]
    base: Mapping[str, Any]
    lengths: Mapping[str, Any]
    steps: list[PlannedStep]
    total: Mapping[str, Any]
    settings: Mapping[str, Any]
    privacy: list[Mapping[str, Any]] = field(default_factory=list)
    """Facts of the findings: personal data, by source."""

    candidates: Mapping[str, Any] = field(default_factory=dict)
    """The models that will be ranked, where the recipe names several."""
    tokens: list[Mapping[str, Any]] = field(default_factory=list)
    """Facts of the rows as a language model reads them, by phase: template, what is trained, what is lost."""
    texts: Mapping[str, Any] = field(default_factory=dict)
    """Facts of the texts that phases before the head's pre-train on, where there are such phases."""

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return asdict(self)


def known_when_planning(specs: Sequence[StepSpec]) -> list[StepSpec]:
    """The steps that a plan carries out: those marked ``in_plan`` whose inputs are all made by such steps."""
    now: dict[str, StepSpec] = {}
    for spec in specs:
        if spec.wire.in_plan and all(source.step in now for source in spec.given.values()):
            now[spec.name] = spec
    return list(now.values())
