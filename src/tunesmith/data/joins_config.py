"""What a recipe says about tables that add columns to the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, WrapValidator, field_validator, model_validator

from tunesmith.core.config import Config
from tunesmith.core.kinds import gathered, one_of

if TYPE_CHECKING:
    from tunesmith.data.sources.config import SourceConfig as AnySource
else:
    AnySource = one_of("source")


class JoinKeys(Config):
    """How one table's rows are found, as the stage `prepare` is told; the table itself is given to it by name."""

    table: str
    """The table's name."""
    on: tuple[str, ...]
    """The columns that rows and table share."""
    how: Literal["left", "inner"]
    """What happens to rows that the table has nothing for."""


class JoinConfig(Config):
    """A table that adds its columns to the rows: customers, products, branches."""

    table: Annotated[AnySource, WrapValidator(gathered)]
    """The table: a source like those of `data.sources`, whose `columns` name the key and what is added. No key may
    occur twice in it."""
    on: Annotated[tuple[str, ...], Field(min_length=1)]
    """The column, or columns, that rows and table share, by their left names. `subject` works too: both sides are
    hashed alike. White space around a key is ignored, its case is not."""
    how: Literal["left", "inner"] = "left"
    """What happens to rows that the table has nothing for: `left` keeps them with missing values, `inner` puts them in
    quarantine with the reason. Both are counted. Default: left."""

    @field_validator("on", mode="before")
    @classmethod
    def _one_or_more(cls, on: object) -> object:
        return (on,) if isinstance(on, str) else on

    @model_validator(mode="after")
    def _adds_something(self) -> JoinConfig:
        columns = self.table.columns
        if self.table.split is not None:
            raise ValueError(f"the joined table `{self.table.name}` is no split: its rows are not learned from")
        absent = [key for key in self.on if columns and key not in columns]
        if absent:
            raise ValueError(
                f"the table `{self.table.name}` has no key `{absent[0]}`: map it under its `columns`, which give "
                f"{', '.join(columns)}"
            )
        if columns and not set(columns) - set(self.on):
            raise ValueError(f"the table `{self.table.name}` adds no column: its `columns` give the key only")
        return self

    def keys(self) -> JoinKeys:
        """What the stage `prepare` is told of it."""
        return JoinKeys(table=self.table.name, on=self.on, how=self.how)
