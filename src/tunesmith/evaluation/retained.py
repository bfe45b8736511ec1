"""What a challenger still knows of what its champion knew, and what it knows of the new rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.core.stage import Facts
from tunesmith.core.tasks import Task
from tunesmith.evaluation.config import CHAMPION, EvaluateStageConfig
from tunesmith.evaluation.limits import Measured
from tunesmith.evaluation.measures_config import WATCHED
from tunesmith.evaluation.significance import MODEL, Resamples, Undefined
from tunesmith.metrics import table

NEW = "new.parquet"
FEW = 2
"""Rows below which a comparison has no spread."""


def retained(
    config: EvaluateStageConfig,
    splits: Path,
    test: pl.DataFrame,
    targets_N: NDArray[Any],
    predicted: Mapping[str, NDArray[Any]],
    seed: int,
) -> tuple[Facts | None, Measured | str]:
    """Both models on the champion's test rows and on the new ones, and what was forgotten: the score that the old rows
    lost. None and why, where there is no champion."""
    if CHAMPION not in predicted or not (splits / NEW).is_file():
        return None, "there is no champion in this run"
    new_ids = pl.read_parquet(splits / NEW)["row_id"].to_list()
    is_new_N = test["row_id"].is_in(new_ids).to_numpy()
    metric = WATCHED[config.task]
    sides = {
        name: _compared(config, metric, rows_N, targets_N, predicted, seed)
        for name, rows_N in (("old", ~is_new_N), ("new", is_new_N))
    }
    facts: Facts = {"metric": metric, **sides}
    old = sides["old"]
    if "not_measured" in old:
        return facts, str(old["not_measured"])
    sign = -1.0 if table.find(metric, config.task).higher_is_better else 1.0
    ends = sorted((sign * old["low"], sign * old["high"]))
    before, now = (old[name]["value"] for name in (CHAMPION, MODEL))
    words = f"({metric} {before:.3f} before, {now:.3f} now) on {old['num_rows']:,} old test rows"
    return facts, Measured(sign * old["difference"], words, *ends)


def _compared(
    config: EvaluateStageConfig,
    metric: str,
    rows_N: NDArray[np.bool_],
    targets_N: NDArray[Any],
    predicted: Mapping[str, NDArray[Any]],
    seed: int,
) -> Facts:
    num_rows = int(rows_N.sum())
    if num_rows < FEW:
        return {"num_rows": num_rows, "not_measured": f"too few test rows: {num_rows}"}
    pair = {name: predicted[name][rows_N] for name in (MODEL, CHAMPION)}
    task: Task = config.task
    scores = Resamples(task, targets_N[rows_N], pair, num_samples=config.bootstrap_samples, seed=seed)
    try:
        one = scores.compare(metric, MODEL, CHAMPION, config.confidence)
        spans = {name: asdict(scores.interval(name, metric, config.confidence)) for name in pair}
    except Undefined as why:
        return {"num_rows": num_rows, "not_measured": str(why)}
    return {
        "num_rows": num_rows,
        "model": spans[MODEL],
        "champion": spans[CHAMPION],
        "difference": one.difference,
        "low": one.low,
        "high": one.high,
        "verdict": one.verdict,
    }
