"""Rows of named columns, collated to tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tunesmith.core.method import Row
from tunesmith.numerics.padding import pad


def length(row: Row) -> int:
    """The row's length in tokens: its longest ragged column, or 1."""
    return max((len(value) for value in row.values() if isinstance(value, list)), default=1)


def collate(rows: Sequence[Row]) -> dict[str, Tensor]:
    """The rows as a batch: lists are padded and get a ``<name>_mask`` (``tokens``: ``mask``), the rest is stacked."""
    batch: dict[str, Tensor] = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        if isinstance(first, list):
            batch[name], mask = pad(values)
            batch["mask" if name == "tokens" else f"{name}_mask"] = mask
        elif isinstance(first, (int, np.integer)):
            batch[name] = torch.tensor(values, dtype=torch.long)
        elif isinstance(first, float):
            batch[name] = torch.tensor(values, dtype=torch.float32)
        else:
            batch[name] = torch.stack([torch.as_tensor(value) for value in values])
    return batch
