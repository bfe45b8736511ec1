"""How many tokens of a language model fit into one forward and backward pass of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tunesmith.core.machine import total_bytes
from tunesmith.training.memory import BYTES_PER_TOKEN_LAYER, MAX_TOKENS

BYTES_PER_LOGIT = 16
"""Logits, their float32 copy, their probabilities and their gradient, four bytes each."""


def language_budget(wanted: int | Literal["auto"], base: Mapping[str, Any], num_vocabulary: int) -> int:
    """The tokens of one microbatch, padding counted; ``auto`` lets activations and logits take an eighth of memory.

    Of all memory, not of what is free just now: where rows are cut decides the rounding, so a machine must always cut
    alike, and a resumed run like the one that was stopped.
    """
    if wanted != "auto":
        return wanted
    layers = BYTES_PER_TOKEN_LAYER * int(base["hidden"]) * int(base["num_layers"]) * 2
    return max(256, min(MAX_TOKENS, total_bytes() // 8 // (layers + BYTES_PER_LOGIT * num_vocabulary)))
