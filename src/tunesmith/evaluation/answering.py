"""Every answer of an engine to a list of texts: none missing, none that is not a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.engine import Answer, Request, Stream
from tunesmith.core.errors import StepError
from tunesmith.core.stage import StepContext

PROGRESS_ROWS = 32
"""Rows between two reports of progress."""


class Told(Protocol):
    """Somebody who is told how far the work is, and may stop it; a step's context is."""

    def progress(self, done: float, total: float, unit: str, note: str = "") -> None:
        """Say how far the work is."""

    def check_cancelled(self) -> None:
        """Raise ``Interrupted`` once somebody asked to stop."""


class Submits(Protocol):
    """Something that answers requests."""

    def submit(self, request: Request) -> Stream:
        """The stream of answers to a request."""


class Predictor(Submits, Protocol):
    """An opened engine that knows its labels."""

    labels: list[str]

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
    answers = every_answer(engine, Request("predict", list(texts)), context, note)
    values_NC = np.array([one.values for one in answers], float)
    num_cut_N = np.array([one.num_truncated_tokens for one in answers], int)
    known = [one.score for one in answers if one.score is not None]
    return Answered(values_NC, num_cut_N, np.array(known, float) if len(known) == len(texts) and known else None)


def every_answer(engine: Submits, request: Request, context: Told, note: str) -> list[Answer]:
    """The answer to each text or conversation of a request, in their order.

    Raises: StepError where one is left without an answer, or an answer is no finite number.
    """
    num = len(request.conversations or request.texts)
    answers: list[Answer | None] = [None] * num
    for done, answer in enumerate(engine.submit(request) if num else (), start=1):
        answers[answer.index] = answer
        if done % PROGRESS_ROWS == 0 or done == num:
            context.progress(done, num, "rows", note)
            context.check_cancelled()
    found = [one for one in answers if one is not None]
    if len(found) < num:
        raise StepError("the engine left texts unanswered", seen=f"{len(found)} answers, {num} texts")
    wrong = sum(not np.isfinite(one.values).all() for one in found)
    if wrong:
        raise StepError(
            "the model answers with numbers that are not finite",
            seen=f"{wrong} of {num} rows",
            next="train again with a lower learning rate",
        )
    return found
