"""Rows of named columns, collated to tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tunesmith.core.method import Row
from tunesmith.numerics.padding import pad, pad_states


def length(row: Row) -> int:
    """The row's length in tokens: its longest ragged column, or 1."""
    return max((len(value) for value in row.values() if _is_ragged(value)), default=1)


def collate(rows: Sequence[Row]) -> dict[str, Tensor]:
    """The rows as a batch: lists and matrices are padded, the rest is stacked.

    What is padded gets a ``<name>_mask`` (``tokens``: ``mask``); a matrix (tokens, hidden) by rows of zeros.
    """
    batch: dict[str, Tensor] = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        if isinstance(first, list):
            batch[name], mask = pad(values)
            batch["mask" if name == "tokens" else f"{name}_mask"] = mask
        elif _is_ragged(first):
            batch[name], batch[f"{name}_mask"] = pad_states(values)
        elif isinstance(first, (int, np.integer)):
            batch[name] = torch.tensor(values, dtype=torch.long)
        elif isinstance(first, float):
            batch[name] = torch.tensor(values, dtype=torch.float32)
        else:
            batch[name] = torch.stack([torch.as_tensor(value) for value in values])
    return batch


def _is_ragged(value: object) -> bool:
    return isinstance(value, list) or (isinstance(value, Tensor) and value.ndim == 2)
