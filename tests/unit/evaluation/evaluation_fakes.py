"""Small splits, baselines and a context, written by the artifact contract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tunesmith.core.artifact import Artifact, MadeBy

SCHEMA = {"row_id": pl.String, "source_id": pl.String, "subject": pl.String, "parents": pl.List(pl.String)}


class FakeContext:
    """A step context that writes to a folder and remembers what it was told."""

    seed = 3
    project = "default"

    def __init__(self, out: Path) -> None:
        self.out, self.scratch = out, out / "scratch"
        self.told: list[tuple[float, float, str]] = []

    def progress(self, done: float, total: float, unit: str, note: str = "") -> None:
        self.told.append((done, total, unit))

    def check_cancelled(self) -> None:
        pass


def artifact(kind: str, path: Path, facts: Mapping[str, Any] | None = None) -> Artifact:
    """An artifact over a folder that a test wrote."""
    return Artifact(kind, f"digest-of-{kind}", path, facts or {}, MadeBy("key", "test", 0))


def write_splits(folder: Path, **rows: list[tuple[str, Any]]) -> Artifact:
    """A ``splits`` artifact of (text, target) rows; a split that is not named has none."""
    folder.mkdir(parents=True, exist_ok=True)
    is_numeric = any(isinstance(target, float) for split in rows.values() for _, target in split)
    schema = {**SCHEMA, "text": pl.String, "label": pl.Float64 if is_numeric else pl.String}
    for name in ("train", "validation", "test"):
        lines = [
            (f"{name}-{at}", "export", None, [], text, target) for at, (text, target) in enumerate(rows.get(name, []))
        ]
        pl.DataFrame(lines, schema=schema, orient="row").write_parquet(folder / f"{name}.parquet")
    return artifact("splits", folder)
