"""Token rows as batches: padded, or laid one behind the other without padding.

Rows come ready to compare: ``target[t]`` is what the network has to say at place t, ``weights[t]`` how much it counts.
Shapes: B rows, T tokens of the longest row, or of all rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tunesmith.core.method import Row
from tunesmith.numerics.batching import microbatches
from tunesmith.numerics.packing import by_tokens, positions


class PaddedTokens:
    """Rows of like length in a rectangle, padded on the right under a mask of 0 and a weight of 0."""

    def lengths(self, rows: Sequence[Row]) -> list[int]:
        """The tokens of each row."""
        return row_lengths(rows)

    def parts(self, lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
        """Longest first, so that each part padded to its longest row stays within the budget."""
        return microbatches(range(len(lengths)), lengths, budget_tokens)

    def collate(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """``tokens``, ``mask``, ``target`` and ``weights``, each (B, T); rows of encoder-decoders have ``source``."""
        longest = max(len(row["tokens"]) for row in rows)
        batch = {
            "tokens": _padded(rows, "tokens", longest, np.int64),
            "mask": torch.from_numpy(_mask(rows, "tokens", longest)),
            "target": _padded(rows, "target", longest, np.int64),
            "weights": _padded(rows, "weights", longest, np.float32),
        }
        if "source" in rows[0]:
            longest = max(len(row["source"]) for row in rows)
            batch["source"] = _padded(rows, "source", longest, np.int64)
            batch["source_mask"] = torch.from_numpy(_mask(rows, "source", longest))
        return batch


class PackedTokens:
    """Rows one behind the other in one sequence; positions start anew with each, which keeps them apart."""

    def lengths(self, rows: Sequence[Row]) -> list[int]:
        """The tokens of each row."""
        return row_lengths(rows)

    def parts(self, lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
        """Best fit decreasing: as few parts as that finds, none above the budget but for a single long row."""
        return by_tokens(lengths, budget_tokens)

    def collate(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """``tokens``, ``positions``, ``target`` and ``weights``, each (1, T)."""
        return {
            "tokens": _joined(rows, "tokens", np.int64),
            "positions": positions([len(row["tokens"]) for row in rows]),
            "target": _joined(rows, "target", np.int64),
            "weights": _joined(rows, "weights", np.float32),
        }


def row_lengths(rows: Sequence[Row]) -> list[int]:
    """The tokens of each row, without reading the rows where they know it themselves."""
    known: list[int] | None = getattr(rows, "lengths", None)
    return known if known is not None else [len(row["tokens"]) + len(row.get("source", ())) for row in rows]


def _padded(rows: Sequence[Row], name: str, longest: int, kind: type[np.generic]) -> Tensor:
    array: NDArray[np.generic] = np.zeros((len(rows), longest), kind)
    for place, row in enumerate(rows):
        array[place, : len(row[name])] = row[name]
    return torch.from_numpy(array)


def _mask(rows: Sequence[Row], name: str, longest: int) -> NDArray[np.int64]:
    length_B = np.array([len(row[name]) for row in rows])
    return (np.arange(longest)[None] < length_B[:, None]).astype(np.int64)


def _joined(rows: Sequence[Row], name: str, kind: type[np.generic]) -> Tensor:
    return torch.from_numpy(np.concatenate([np.asarray(row[name], kind) for row in rows]))[None]
