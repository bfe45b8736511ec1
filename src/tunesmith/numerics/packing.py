"""Rows one behind the other in one sequence, without padding, and which of them go together.

Shapes: T tokens of all rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def positions(lengths: Sequence[int]) -> Tensor:
    """The place of every token within its own row (1, T): it starts from 0 where a row starts."""
    counted = [np.arange(length, dtype=np.int64) for length in lengths]
    return torch.from_numpy(np.concatenate(counted))[None]


def by_tokens(lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """The rows, longest first, each put into the fullest part that has room for it (best fit decreasing).

    A single row longer than the budget is a part of its own.
    """
    parts: list[list[int]] = []
    free: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        fitting = [place for place, room in enumerate(free) if room >= lengths[row]]
        if fitting:
            place = min(fitting, key=lambda one: (free[one], one))
            parts[place].append(row)
            free[place] -= lengths[row]
        else:
            parts.append([row])
            free.append(budget_tokens - lengths[row])
    return parts
