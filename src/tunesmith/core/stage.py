"""Stages and the context they run in: the only seam between work and the outside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

from tunesmith.core.artifact import Artifact
from tunesmith.core.config import Config
from tunesmith.core.source import Source

Facts = dict[str, Any]
"""JSON values about an artifact: counts, names, metrics. Never rows."""

Given = Mapping[str, Artifact]
"""The inputs of a step by the name the plan gave them."""


class StepContext(Protocol):
    """What a stage may do to the outside; policy is enforced here and nowhere else."""

    seed: int
    project: str
    out: Path
    """The only folder a stage writes its results to: one sub-folder for each name in ``makes``."""
    scratch: Path
    """Survives a kill and is emptied once the step is done: checkpoints."""

    def progress(self, done: float, total: float, unit: str, note: str = "") -> None:
        """Say how far the work is; cheap enough for every optimizer step."""

    def metric(self, step: int, **values: float) -> None:
        """Record numbers against an optimizer step."""

    def warn(self, message: str) -> None:
        """Tell the user something that does not stop the work."""

    def check_cancelled(self) -> None:
        """Raise ``Interrupted`` once somebody asked the step to stop."""

    def source(self, config: Config) -> Source:
        """The opened source that a configuration names."""

    def subject_key(self) -> bytes:
        """The project's secret key for hashing subjects (customers, patients): 32 bytes."""

    def step(self, kind: str, config: Config, given: Given) -> Mapping[str, Artifact]:
        """Run another stage as a cached step of its own and return what it made."""


class Stage(Protocol):
    """One kind of step: reads artifacts, makes artifacts. Constructed from its own config, never from the recipe."""

    makes: ClassVar[Mapping[str, str]]
    """Output name → artifact kind."""

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of each artifact made; its files lie in ``context.out / name``."""
