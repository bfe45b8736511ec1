"""Every answer of an engine to a list of texts: none missing, none that is not a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.engine import Request, Stream
from tunesmith.core.errors import StepError
from tunesmith.core.stage import StepContext

PROGRESS_ROWS = 32
"""Rows between two reports of progress."""


class Predictor(Protocol):
    """An opened engine that knows its labels."""

    labels: list[str]

    def submit(self, request: Request) -> Stream:
        """The stream of answers to a request."""

    def close(self) -> None:
        """Free the model's memory."""


OpenEngine = Callable[[Path, Path], Predictor]


def open_transformers(model: Path, base: Path) -> Predictor:
    """The model in this process; ``base`` holds its encoder where only a head was trained."""
    from tunesmith.engines.transformers import TransformersEngine

    return TransformersEngine.open(model, base)


@dataclass(frozen=True)
class Answered:
    """The answers to texts, in their order.

    Shapes: N texts, C values each.
    """

    values_NC: NDArray[np.float64]
    num_cut_N: NDArray[np.int64]
    """Tokens that the model could not read."""
    score_N: NDArray[np.float64] | None
    """Of a model that rejects: how surely each text is one that it knows."""


def answered(engine: Predictor, texts: Sequence[str], context: StepContext, note: str) -> Answered:
    """The engine's answers to all texts.

    Raises: StepError where a text is left without an answer, or an answer is no finite number.
    """
    values: list[tuple[float, ...] | None] = [None] * len(texts)
    scores: list[float | None] = [None] * len(texts)
    num_cut_N = np.zeros(len(texts), int)
    for done, answer in enumerate(engine.submit(Request("predict", list(texts))), start=1):
        values[answer.index], scores[answer.index] = answer.values, answer.score
        num_cut_N[answer.index] = answer.num_truncated_tokens
        if done % PROGRESS_ROWS == 0 or done == len(texts):
            context.progress(done, len(texts), "rows", note)
            context.check_cancelled()
    values_NC = np.array([value for value in values if value is not None], float)
    if len(values_NC) < len(texts):
        raise StepError("the engine left texts unanswered", seen=f"{len(values_NC)} answers, {len(texts)} texts")
    if not np.isfinite(values_NC).all():
        raise StepError(
            "the model answers with numbers that are not finite",
            seen=f"{int((~np.isfinite(values_NC)).any(1).sum())} of {len(texts)} rows",
            next="train again with a lower learning rate",
        )
    known = [score for score in scores if score is not None]
    return Answered(values_NC, num_cut_N, np.array(known, float) if len(known) == len(texts) and known else None)
