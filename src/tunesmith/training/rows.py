"""The rows of a split as training sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Examples:
    """Texts and their targets, in the order of the split's file."""

    texts: list[str]
    labels: list[Any]

    def __len__(self) -> int:
        return len(self.texts)

    def keep(self, places: list[int]) -> Examples:
        """Only the examples at these places."""
        return Examples([self.texts[place] for place in places], [self.labels[place] for place in places])


def read_split(splits: Artifact, name: str) -> Examples:
    """The examples of one split."""
    frame = pl.read_parquet(splits.path / f"{name}.parquet", columns=["text", "label"])
    return Examples(frame["text"].to_list(), frame["label"].to_list())


def read_outside(splits: Artifact, name: str) -> list[str]:
    """The texts out of scope that are for `validation` or `test`.

    Raises: DataError where the splits do not hold them.
    """
    file = splits.path / "outside.parquet"
    if not file.is_file():
        raise DataError(
            "the splits hold no out-of-scope rows, and `decision.reject.label` asks for them",
            next="a step between `prepare` and `train` lost outside.parquet; leave `decision.reject.label` out",
        )
    frame = pl.read_parquet(file, columns=["text", "split"])
    return frame.filter(pl.col("split") == name)["text"].to_list()
