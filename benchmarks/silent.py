"""A step's context for benchmarks, which have nobody to tell."""

from __future__ import annotations

from pathlib import Path


class Silent:
    """A step context that tells nobody anything."""

    seed, project = 0, "default"

    def __init__(self, folder: Path) -> None:
        self.out, self.scratch = folder / "out", folder / "scratch"
        self.out.mkdir(parents=True, exist_ok=True)

    def progress(self, *values: object) -> None: ...
    def metric(self, step: int, **values: float) -> None: ...
    def warn(self, message: str) -> None: ...
    def check_cancelled(self) -> None: ...
