"""What each test row asks, should have been answered, and was: as a table, and its loss by source."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from tunesmith.core.stage import Facts
from tunesmith.evaluation.language.prompts import TestPrompts, in_words
from tunesmith.evaluation.language.responses import Responses
from tunesmith.evaluation.significance import MODEL

Scored = Mapping[int, tuple[float, float, float]]
SCORES = {"log_probability": 0, "weight": 1, "bytes": 2}
"""Columns of what was scored of a row, in the engine's order."""


def predictions_frame(
    test: pl.DataFrame, asked: TestPrompts, found: Mapping[str, Responses], alone: Sequence[float]
) -> pl.DataFrame:
    """Every test row in order; null where it was not answered, or not scored.

    ``alone``: of each answered prompt the metric of its answer alone.
    """
    keys: list[str | None] = [None] * test.height
    written: dict[int, int] = {}
    for place, prompt in enumerate(asked.prompts):
        for row in prompt.rows:
            keys[row] = prompt.key
            if place < asked.num_written:
                written[row] = place

    def texts(values: Sequence[str]) -> list[str | None]:
        return [values[written[row]] if row in written else None for row in range(test.height)]

    model = found[MODEL]
    columns: dict[str, Any] = {
        "prompt_id": keys,
        "prompt": [in_words(one.prompt) for one in asked.conversations],
        "reference": [one.answer for one in asked.conversations],
        "generated": texts(model.texts),
        "finish": texts(model.finishes),
        **{f"baseline_{name}": texts(one.texts) for name, one in found.items() if name != MODEL},
    }
    frame = test.select("row_id", "source_id").with_columns(
        pl.Series(name, values, dtype=pl.String) for name, values in columns.items()
    )
    # Not a number where the metric says nothing of that answer.
    scores = [alone[written[row]] if row in written else math.nan for row in range(test.height)]
    numbers: dict[str, list[float | None]] = {"score": [None if math.isnan(one) else one for one in scores]}
    for name, at in SCORES.items():
        numbers[name] = [model.scored[row][at] if row in model.scored else None for row in range(test.height)]
    return frame.with_columns(pl.Series(name, values, pl.Float64) for name, values in numbers.items())


def loss_by_source(test: pl.DataFrame, scored: Mapping[str, Scored]) -> Facts:
    """Source → its scored rows, tokens and bytes, and by predictor the loss per token and bits per byte."""
    places: dict[str, list[int]] = {}
    for place, source in enumerate(test["source_id"]):
        if place in scored[MODEL]:
            places.setdefault(str(source), []).append(place)
    facts: Facts = {}
    for source, rows in sorted(places.items()):
        sums = {name: [math.fsum(one[row][at] for row in rows) for at in range(3)] for name, one in scored.items()}
        facts[source] = {
            "rows": len(rows),
            "tokens": sums[MODEL][1],
            "bytes": int(sums[MODEL][2]),
            "predictors": {name: _loss(*one) for name, one in sums.items()},
        }
    return facts


def _loss(log_probability: float, weight: float, num_bytes: float) -> dict[str, float | None]:
    return {
        "loss": -log_probability / weight if weight else None,
        "bits_per_byte": -log_probability / math.log(2) / num_bytes if num_bytes else None,
    }
