"""How many tokens fit into one forward and backward pass of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tunesmith.core.machine import total_bytes

MAX_TOKENS = 8192
"""Above this, larger microbatches were not faster on any machine measured."""
BYTES_PER_TOKEN_LAYER = 34
"""Activations kept for the backward pass, in units of hidden size and layer, two bytes each.

Source: Korthikanti et al. 2022, equation 1, without the attention term (texts here are short).
"""


def budget_tokens(wanted: int | Literal["auto"], base: Mapping[str, Any]) -> int:
    """The padded tokens of one microbatch; ``auto`` lets activations take an eighth of the machine's memory.

    Of all memory, not of what is free just now: where rows are cut decides the rounding and which units dropout drops,
    so a machine must always cut alike, and a resumed run like the one that was stopped.
    """
    if wanted != "auto":
        return wanted
    per_token = BYTES_PER_TOKEN_LAYER * int(base["hidden"]) * int(base["num_layers"]) * 2
    return max(256, min(MAX_TOKENS, total_bytes() // 8 // per_token))
