"""What the stage `extend` is given. Imports nothing heavy."""

from __future__ import annotations

from tunesmith.core.config import Config
from tunesmith.core.tasks import HeadTask


class ExtendConfig(Config):
    """How new rows join the rows that a champion was made with."""

    task: HeadTask
    """What is predicted."""
    targets: tuple[str, ...] = ()
    """``regress`` with several targets: their names, in order."""
    group_by: str | None = None
    """The column whose equal values stay in one split. Null: rows are on their own."""
    without: tuple[str, ...] = ()
    """Sources whose rows may no longer be used: they leave every split. Default: none."""
    needs_new: bool = True
    """Whether there must be a new row, or one that leaves. Default: true, for equal rows give an equal model."""
