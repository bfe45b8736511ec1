"""Samples of token rows for people: pieces of text with how much each counts."""

from __future__ import annotations

from typing import Any

from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.training.language.built import Sequence

MOST_SAMPLES = 3
MOST_PIECES = 240
"""Pieces of one sample; of a longer one the beginning and the end are shown."""
LEFT_OUT = "…"


def sample(made: Sequence, vocabulary: Vocabulary) -> list[list[Any]]:
    """``[piece, weight]`` of each token, tokens that share a letter as one piece; what is left out says ``…``."""
    pieces: list[list[Any]] = []
    reached = 0
    for place, (start, end) in enumerate(made.offsets_T2.tolist()):
        weight = float(made.weights_T[place])
        if start == end:
            piece = vocabulary.fast.id_to_token(int(made.tokens_T[place])) if made.control_T[place] else ""
        else:
            # A tokenizer's white space may lie between two places.
            gap = made.text[reached:start] if place and made.text[reached:start].isspace() else ""
            piece = gap + made.text[max(start, reached) : end]
            reached = max(reached, end)
        if piece:
            pieces.append([piece, weight])
        elif pieces:
            pieces[-1][1] = max(pieces[-1][1], weight)
    if len(pieces) <= MOST_PIECES:
        return pieces
    half = MOST_PIECES // 2
    return [*pieces[:half], [LEFT_OUT, 0.0], *pieces[-half:]]
