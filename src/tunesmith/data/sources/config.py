"""What every source of rows is told, whatever its kind."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError

RESERVED_COLUMNS = ("row_id", "source_id", "parents")
"""Lineage columns that tunesmith makes itself; `subject` is a role, so a recipe may map it."""


LABEL_COLUMN = "label:"
"""What ``columns: {label: [a, b]}`` becomes: a column ``label:a`` and a column ``label:b``."""


class SourceConfig(Config):
    """A source by name, and what its columns mean; each kind adds where its rows are."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    """What lineage and reports call the source: letters, digits, `_`, `.` and `-`, at most 64 characters. Another name
    gives other row ids."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Role or new name → the source's column; the roles are text, label, subject, segment and split, and later keys use
    the left name. Only mapped columns are read on; empty (the default) keeps every column under its own name.
    `label` may be a list of columns: for `tag` one a label (a cell says 1, true, yes or x), for `regress` one a
    target."""
    purpose: str = "unspecified"
    """What the rows were collected for; recorded with the dataset so that policies and reports can show it."""
    licence: str = "unspecified"
    """The terms the rows may be used under; recorded with the dataset."""
    split: Literal["train", "validation", "test"] | None = None
    """The split that every row of this source belongs to; null: a `split` column or `data.split` decides."""

    @field_validator("columns", mode="before")
    @classmethod
    def _label_columns(cls, columns: Any) -> Any:
        """Give each of several label columns a name of its own, so that sources read them like any other."""
        if not isinstance(columns, dict) or not isinstance(columns.get("label"), list | tuple):
            return columns
        listed = columns["label"]
        if not listed or not all(isinstance(name, str) and name for name in listed) or len(set(listed)) < len(listed):
            raise RecipeError(
                "`columns: {label: [...]}` lists the label columns, each once", seen=listed, allowed="column names"
            )
        parts = {f"{LABEL_COLUMN}{name}": name for name in listed}
        return {left: right for left, right in columns.items() if left != "label"} | parts

    @field_validator("columns")
    @classmethod
    def _names_are_free(cls, columns: dict[str, str]) -> dict[str, str]:
        for left, right in columns.items():
            if left in RESERVED_COLUMNS:
                raise RecipeError(
                    f"`columns` cannot make a column called `{left}`: it is a lineage column",
                    seen=f"{left}: {right}",
                    next=f"choose another name on the left, for example `source_{left}`",
                )
            if not left.strip() or not right:
                raise RecipeError(
                    "`columns` has an empty name", seen=f"{left!r}: {right!r}", allowed="role or name: column"
                )
        return columns
