"""Forgetting: how much more bits general text needs after training than before."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from tunesmith.core import digests
from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts, StepContext
from tunesmith.evaluation.answering import Submits
from tunesmith.evaluation.language.passages import passages, scored_whole
from tunesmith.evaluation.significance import MODEL, Interval, Resamples
from tunesmith.metrics.written import row

BEFORE = "base"


@dataclass(frozen=True)
class GeneralText:
    """Passages of general text."""

    passages: tuple[str, ...]
    num_bytes: int
    """Of them."""
    of_bytes: int
    """Of the whole source."""


def general_text(dataset: Path, max_bytes: int) -> GeneralText:
    """Passages of a dataset's texts, drawn by a hash of each, up to so many bytes.

    Raises: DataError where there is no text.
    """
    manifest = json.loads((dataset / "manifest.json").read_text(encoding="utf-8"))
    shards = (pl.read_parquet(dataset / shard, columns=["text"]) for shard in manifest["shards"])
    texts = (str(text) for shard in shards for text in shard["text"].drop_nulls())
    found = [passage for text in texts for passage in passages(text) if not passage.isspace()]
    if not found:
        raise DataError(
            "there is no text on which forgetting could be measured", next="look at `evaluate.forgetting.source`"
        )
    drawn: list[str] = []
    num_bytes = 0
    for passage in sorted(found, key=digests.of_value):
        size = len(passage.encode())
        if drawn and num_bytes + size > max_bytes:
            break
        drawn.append(passage)
        num_bytes += size
    return GeneralText(tuple(drawn), num_bytes, sum(len(one.encode()) for one in found))


def scored(engine: Submits, general: GeneralText, context: StepContext, name: str) -> np.ndarray:
    """The statistics of each passage by a model."""
    found = scored_whole(engine, general.passages, context, f"{name} reads general text")
    return np.array([row(one, None) for one in found])


def forgetting_facts(
    general: GeneralText,
    before: np.ndarray,
    after: np.ndarray,
    *,
    source: str,
    confidence: float,
    num_samples: int,
    seed: int,
) -> Facts:
    """Bits per byte before and after, and the relative rise with its interval over resampled passages."""
    scores = Resamples(
        "generate", range(len(before)), {MODEL: after, BEFORE: before}, num_samples=num_samples, seed=seed
    )
    metric = "bits_per_byte"
    old, new = scores.interval(BEFORE, metric, confidence), scores.interval(MODEL, metric, confidence)
    rises_S = scores.draws[MODEL][metric] / scores.draws[BEFORE][metric] - 1
    low, high = np.percentile(rises_S, [50 * (1 - confidence), 50 * (1 + confidence)])
    return {
        "source": source,
        "num_passages": len(general.passages),
        "num_bytes": general.num_bytes,
        "of_bytes": general.of_bytes,
        "before": asdict(old),
        "after": asdict(new),
        "rise": asdict(Interval(new.value / old.value - 1, float(low), float(high))),
    }
