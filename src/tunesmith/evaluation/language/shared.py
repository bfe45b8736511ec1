"""The statistics of two language models on the test prompts that both were measured on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.evaluation.language.predictions import SCORES
from tunesmith.metrics.written import Counts, row

MEASURED = ("row_id", "prompt_id", "reference", "generated", *SCORES)


def shared_rows(frames: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The rows that both predictions hold and both scored, each in the first one's order."""
    (first, one), (second, other) = frames.items()
    scored = {name: frame.select(MEASURED).drop_nulls("weight") for name, frame in ((first, one), (second, other))}
    both = scored[first].select("row_id").join(scored[second].select("row_id"), on="row_id", maintain_order="left")
    return {name: both.join(frame, on="row_id", maintain_order="left") for name, frame in scored.items()}


def num_changed(shared: Mapping[str, pl.DataFrame]) -> int:
    """Shared rows that ask or answer something else in the second."""
    one, other = shared.values()
    is_other = (one["prompt_id"] != other["prompt_id"]) | (one["reference"] != other["reference"])
    return int(is_other.sum())


def shared_statistics(shared: Mapping[str, pl.DataFrame], task: str) -> dict[str, NDArray[np.float64]]:
    """The statistics of each prompt by predictor; an answer counts where both wrote one."""
    counts = Counts(is_json=task == "extract")
    one, other = shared.values()
    are_both = (one["generated"].is_not_null() & other["generated"].is_not_null()).to_list()
    places: dict[str, list[int]] = {}
    for place, prompt in enumerate(one["prompt_id"]):
        places.setdefault(prompt, []).append(place)
    return {name: _statistics(frame, list(places.values()), are_both, counts) for name, frame in shared.items()}


def have_same_tokens(shared: Mapping[str, pl.DataFrame]) -> bool:
    """Whether both scored the same number of tokens: only then are losses per token of one kind."""
    one, other = shared.values()
    return bool((one["weight"] == other["weight"]).all())


def _statistics(
    frame: pl.DataFrame, prompts: list[list[int]], are_both: list[bool], counts: Counts
) -> NDArray[np.float64]:
    scored_N3 = frame.select(list(SCORES)).to_numpy()
    generated, references = frame["generated"].to_list(), frame["reference"].to_list()
    rows = []
    for places in prompts:
        written = None
        wanted = list(dict.fromkeys(references[place] for place in places if references[place].strip()))
        if are_both[places[0]] and wanted:
            written = counts.of(generated[places[0]], wanted)
        rows.append(row(scored_N3[places].sum(0).tolist(), written))
    return np.array(rows)
