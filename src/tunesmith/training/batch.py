"""Rows of named columns, cut into microbatches and collated to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tunesmith.core.method import Row
from tunesmith.numerics.batching import microbatches
from tunesmith.numerics.padding import pad, pad_states


class Batching(Protocol):
    """How the rows of a step become batches; whatever it is, the step's maths are the same."""

    def lengths(self, rows: Sequence[Row]) -> list[int]:
        """The length of each row in tokens."""

    def parts(self, lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
        """Places of rows that go through the network together, at most so many tokens of them if it can be."""

    def collate(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """The rows as one batch."""


class Padded:
    """Every column by its type, as ``collate`` does; rows of like length go together."""

    def lengths(self, rows: Sequence[Row]) -> list[int]:
        """The longest ragged column of each row."""
        return [length(row) for row in rows]

    def parts(self, lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
        """Longest first, so that each part padded to its longest row stays within the budget."""
        return microbatches(range(len(lengths)), lengths, budget_tokens)

    def collate(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """The rows as a batch."""
        return collate(rows)


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
