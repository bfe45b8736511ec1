"""What the stage `extend` is given. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tunesmith.core.config import Config
from tunesmith.core.tasks import HeadTask

CORRECTIONS = "corrections"
"""What the dataset is called that says what the label of old rows is, where the stage is given one."""


class ExtendConfig(Config):
    """How new rows join the rows that a champion was made with."""

    task: HeadTask
    """What is predicted."""
    targets: tuple[str, ...] = ()
    """``regress`` with several targets: their names, in order."""
    group_by: str | None = None
    """The column whose equal values stay in one split. Null: rows are on their own."""
    near: Annotated[float, Field(ge=0.5, le=1.0)] | None = 0.9
    """Jaccard similarity, 0.5 to 1, from which on a new row is left out for an old row of another split. Null: only
    equal texts are. Default: that of `data.clean.near_duplicates`."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the new rows that is drawn for test where none of them is there and their split is not given. Default:
    that of `data.split.test`."""
    without: tuple[str, ...] = ()
    """Sources whose rows may no longer be used: they leave every split. Default: none."""
    needs_new: bool = True
    """Whether there must be a new row, or one that leaves. Default: true, for equal rows give an equal model."""
