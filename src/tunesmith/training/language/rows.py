"""The token rows of a split, opened through memory maps: as many as the disk holds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, overload

import numpy as np
import polars as pl

from tunesmith.core.errors import DataError
from tunesmith.training.language.array_file import read_array


class Row(TypedDict):
    """A token sequence."""

    tokens: list[int]
    weights: list[float]
    """How much predicting each token from those before it counts; 0: it is only seen."""


class TokenRows(Sequence[Row]):
    """The rows of one split of a TOKENS artifact, in the order of its files."""

    def __init__(self, folder: Path, split: str) -> None:
        """Raises: DataError where the files do not belong together."""
        self.folder, self.split = folder, split
        self._offsets = np.asarray(read_array(folder / f"{split}.offsets.npy"))
        self._tokens = read_array(folder / f"{split}.tokens.npy")
        self._weights = read_array(folder / f"{split}.weights.npy")
        ends = {int(self._offsets[-1]), len(self._tokens), len(self._weights)} if len(self._offsets) else {-1}
        if len(ends) != 1 or -1 in ends:
            raise DataError("the token files of a split do not belong together", seen=f"{folder.name}, {split}")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        """The row at a place (or those of a slice)."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        tokens, weights = self.arrays(index)
        return {"tokens": tokens.tolist(), "weights": weights.tolist()}

    def arrays(self, index: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The tokens and weights of the row at a place, as arrays that are not copied."""
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        first, last = int(self._offsets[place]), int(self._offsets[place + 1])
        return self._tokens[first:last], self._weights[first:last]

    @property
    def lengths(self) -> np.ndarray[Any, Any]:
        """The number of tokens of every row."""
        return np.diff(self._offsets)

    @cached_property
    def table(self) -> pl.DataFrame:
        """``row_id``, ``source_id``, ``part``, ``num_tokens``, ``num_trained``, ``num_cut``, ``num_bytes`` of each."""
        return pl.read_parquet(self.folder / f"{self.split}.rows.parquet")
