"""Rows of the ledger as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from tunesmith.core.artifact import MadeBy

RunStatus = Literal["planned", "running", "waiting", "done", "denied", "failed", "interrupted"]
RunStepStatus = Literal["planned", "running", "waiting", "cached", "done", "failed", "interrupted"]


@dataclass(frozen=True)
class RunRecord:
    """A run: one recipe carried out once, over as many resumptions as it took."""

    id: str
    name: str
    task: str
    recipe_digest: str
    status: RunStatus
    verdict: str | None
    started: datetime | None
    ended: datetime | None
    error: Mapping[str, Any] | None
    """What ``TunesmithError.to_dict`` gave."""
    model_digest: str | None


@dataclass(frozen=True)
class RunStep:
    """A step's place in a run."""

    position: int
    name: str
    step_key: str | None
    status: RunStepStatus


class ArtifactLike(Protocol):
    """What the ledger must know of an artifact; ``core.artifact.Artifact`` is one."""

    @property
    def kind(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...
    @property
    def made_by(self) -> MadeBy: ...
    @property
    def parents(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class ArtifactRecord:
    """What the ledger knows of an artifact: everything but where its bytes lie."""

    kind: str
    digest: str
    facts: Mapping[str, Any]
    made_by: MadeBy
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class CursorRecord:
    """Where the pulls of a source stand."""

    source: str
    """What the cursor belongs to: a hash of where the rows are and how they are read."""
    name: str
    """The step that moved it last: ``ingest:crm``."""
    dataset: str
    """The rows as of the last pull."""
    cursor: str
    """How the next pull goes on from there."""
    num_moves: int
    moved_at: datetime


@dataclass(frozen=True)
class CursorMove:
    """A cursor to be moved with a step that made the outputs ``dataset`` and ``cursor``."""

    source: str
    name: str
    before: str | None
    """The cursor that the pull went on from; where another stands by now, this one is not moved."""


@dataclass(frozen=True)
class ModelVersion:
    """A registered model: ``name@version``, or ``name@alias``."""

    name: str
    version: int
    digest: str
    run_id: str | None
    verdict: str | None
    created: datetime
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class AliasMove:
    """One move of an alias; ``previous`` is the version it stood on before."""

    alias: str
    version: int
    previous: int | None
    moved_at: datetime
