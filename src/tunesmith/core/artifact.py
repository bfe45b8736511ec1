"""Artifacts: immutable results of steps, known by the digest of their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

ArtifactKind = Literal[
    "dataset",
    "findings",
    "cursor",
    "splits",
    "quality",
    "base",
    "activations",
    "tokens",
    "ranking",
    "baselines",
    "settings",
    "model",
    "history",
    "report",
    "reference",
    "explanation",
]


@dataclass(frozen=True)
class MadeBy:
    """Where an artifact comes from: enough to make it again, and what it cost."""

    step_key: str
    stage: str
    seed: int
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    """``wall_s``, ``cpu_s`` and ``peak_bytes`` of the step."""


@dataclass(frozen=True)
class Artifact:
    """An immutable result: a folder of files and the facts that plans and reports show without opening them."""

    kind: str
    digest: str
    """SHA-256 over the payload's relative paths and bytes, nothing else."""
    path: Path
    facts: Mapping[str, Any]
    made_by: MadeBy
    parents: tuple[str, ...] = ()
    """Digests of the artifacts it was made from."""
