"""Ragged rows to rectangular tensors.

Shapes: B rows, T tokens of the longest row, H hidden.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def pad(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """The ids (B, T) and their mask (B, T), padded on the right with id 0 under a mask of 0."""
    longest = max(len(row) for row in rows)
    tokens_BT = np.zeros((len(rows), longest), dtype=np.int64)
    mask_BT = np.zeros((len(rows), longest), dtype=np.int64)
    for place, row in enumerate(rows):
        tokens_BT[place, : len(row)] = row
        mask_BT[place, : len(row)] = 1
    return torch.from_numpy(tokens_BT), torch.from_numpy(mask_BT)


def pad_states(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The vectors of tokens (B, T, H) and their mask (B, T), padded at the end with zeros under a mask of 0."""
    longest = max(len(row) for row in rows)
    states_BTH = rows[0].new_zeros(len(rows), longest, rows[0].shape[1])
    mask_BT = torch.zeros(len(rows), longest, dtype=torch.long)
    for place, row in enumerate(rows):
        states_BTH[place, : len(row)] = row
        mask_BT[place, : len(row)] = 1
    return states_BTH, mask_BT
