"""Everything a report shows, as plain values: reporting opens no workspace and no ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class StepView:
    """One step of the run, for the lineage and cost tables."""

    name: str
    stage: str
    status: str
    """done or cached."""
    key: str
    outputs: Mapping[str, str]
    """Output name → digest."""
    cost: Mapping[str, float]
    """``wall_s``, ``cpu_s``, ``peak_bytes``: what it took when it was run."""


@dataclass(frozen=True)
class RunView:
    """One finished run."""

    run_id: str
    name: str
    task: str
    created: str
    """UTC, ISO 8601."""
    status: str
    """done, waiting or denied."""
    reference: str | None
    """``name@alias`` where the model was released."""
    version: int | None
    sources: Sequence[Mapping[str, Any]]
    """Facts of the ``dataset`` artifacts (docs/artifacts.md)."""
    splits: Mapping[str, Any]
    quality: Mapping[str, Any]
    base: Mapping[str, Any]
    model: Mapping[str, Any]
    report: Mapping[str, Any]
    """Facts of the ``report`` artifact: metrics, baselines, comparisons, gate."""
    baselines: Mapping[str, Any]
    history: Path
    """``history.jsonl``."""
    predictions: Path
    """``predictions.parquet``."""
    removed: Path
    """``removed.parquet``."""
    quarantine: Path
    """``quarantine.parquet``."""
    steps: Sequence[StepView]
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]
    recipe_yaml: str
    warnings: Sequence[str] = field(default=())
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Config of the train step, with nothing left open."""
    confidence: float = 0.95
    """Of the metrics' intervals; a comparison names its own."""
    split_files: Mapping[str, Path] = field(default_factory=dict)
    """Split → its Parquet file: the rows that a removed row repeats are found there."""
    made: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """Step → output → its facts, of every step of the run; a section of the report is shown where its step is there."""
    approval: Mapping[str, Any] | None = None
    """The last word of a person on the model: kind, decision, by, reason."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """``step/output`` → the folder of that artifact."""
    retraining: Mapping[str, Any] | None = None
    """The model in production that this run trains again: `champion` (its `name@version`), `parent` (the run that made
    it), `cause`, and `starts_from` (`base`) where it does not go on from the champion's weights; else None."""
