"""What a recipe may say about how labels are written in the data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.config import Config


class LabelsConfig(Config):
    """How the labels of `tag` are read, and which of them are learned."""

    separator: Annotated[str, Field(min_length=1, max_length=8)] = "|"
    """What stands between labels in one cell. A cell that starts with `[` is read as a JSON array. Default: `|`."""
    none: Literal["keep", "quarantine"] = "keep"
    """What happens to rows of `tag` without any label: they are learned as rows that have none, or put in quarantine.
    Default: kept, because texts to come without a label must get none."""
    min_rows: Annotated[int, Field(ge=1, strict=True)] = 1
    """Rows that a label needs in all, 1 or more; what becomes of labels with fewer, `rare` says."""
    rare: Literal["drop", "refuse"] = "drop"
    """Labels of `tag` with fewer than `min_rows` rows are taken off their rows (counted and named), or the data is
    refused. Default: dropped."""
