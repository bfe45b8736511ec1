"""What a recipe says of reading only what is new."""

from __future__ import annotations

from pydantic import Field

from tunesmith.core.config import Config


class CursorConfig(Config):
    """How rows that are new, changed or deleted since the last pull are told."""

    column: str
    """The column that changes whenever a row does: a time such as `updated_at`, or a number that only grows."""
    key: str | None = None
    """The column that tells rows apart, without nulls; null: the table's primary key. A `query` must name it."""
    deleted_at: str | None = None
    """The column that is filled when a row is deleted and kept; null: deleted rows are not there any more. Rows that
    are gone are found either way."""
    overlap: float = Field(default=3600.0, ge=0)
    """How far before the newest row of the last pull reading begins again, in seconds where the column is a time, else
    in its own units; 0 or more. It finds rows that were written twice in one tick of a coarse clock; late commits are
    found without it. PostgreSQL tables do not need it. Default: 3600."""
