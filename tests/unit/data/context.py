"""A step context for tests: a folder, a fixed key and a record of what the stage said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.core import wiring
from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.config import Config
from tunesmith.core.source import Source
from tunesmith.core.stage import Facts, Given


@dataclass
class FakeContext:
    """Opens real sources, writes to a folder, remembers progress and warnings, and is never cancelled unless told."""

    folder: Path
    seed: int = 0
    project: str = "default"
    key: bytes = b"k" * 32
    cancel: Exception | None = None
    told: list[tuple[float, float, str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    metrics: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.out, self.scratch = self.folder / "out", self.folder / "scratch"
        self.out.mkdir(parents=True, exist_ok=True)
        self.scratch.mkdir(parents=True, exist_ok=True)

    def progress(self, done: float, total: float, unit: str, note: str = "") -> None:
        self.told.append((done, total, unit, note))

    def metric(self, step: int, **values: float) -> None:
        self.metrics.append((step, values))

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def check_cancelled(self) -> None:
        if self.cancel is not None:
            raise self.cancel

    def source(self, config: Config) -> Source:
        opened: Source = wiring.load(wiring.wire("source", config.kind).make)(config)  # type: ignore[attr-defined]
        return opened

    def subject_key(self) -> bytes:
        return self.key

    def step(self, kind: str, config: Config, given: Given) -> Mapping[str, Artifact]:
        raise NotImplementedError("the fake runs no other steps")

    def artifact(self, name: str, kind: str, facts: Facts | Mapping[str, Any]) -> Artifact:
        """What a stage left under ``name``, as the next stage is given it."""
        return Artifact(kind, f"digest-of-{name}", self.out / name, facts, MadeBy(f"key-of-{name}", kind, self.seed))
