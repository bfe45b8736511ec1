"""From characters to tokens: how much each token of a text counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Span = tuple[int, int, float]
"""Start, end (exclusive) and weight of a part of a text."""


def weights_of(offsets_T2: np.ndarray[Any, Any], spans: Sequence[Span], rest: float) -> np.ndarray[Any, Any]:
    """The weight of each token: that of the span it shares a character with, else ``rest``; the first token has 0.

    A token that reaches into a span from outside belongs to it: no character of an answer is lost. Tokens without a
    character (a space that a tokenizer puts before a text) belong to the span they stand in.

    Shapes: offsets_T2 start and end of each token in the text; result (T,) float32.
    """
    weights_T = np.full(len(offsets_T2), rest, np.float32)
    starts_T, ends_T = offsets_T2[:, 0], offsets_T2[:, 1]
    reach_T = np.maximum(ends_T, starts_T + 1)
    for start, end, weight in spans:
        weights_T[(reach_T > start) & (starts_T < end)] = weight
    if len(weights_T):
        weights_T[0] = 0  # there is nothing to predict it from
    return weights_T
