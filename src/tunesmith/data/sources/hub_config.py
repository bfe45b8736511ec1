"""What the source of saved and published data sets is told; apart from its code, which loads polars."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from tunesmith.core.errors import RecipeError
from tunesmith.data.sources.config import SourceConfig


class HubConfig(SourceConfig):
    """A data set that `datasets` saved or the Hub holds; exactly one of `path` and `id`. No code of it is run. Classes
    stand by their names; other cells become plain as with `parquet`."""

    kind: Literal["hub"] = "hub"
    """Which kind of source this is."""
    path: str | None = None
    """A folder made by `save_to_disk`, relative to the recipe or absolute."""
    id: str | None = Field(default=None, pattern=r"^[\w.-]+(/[\w.-]+)?$")
    """A data set of the Hub, `owner/name`. A private one needs the token in the environment variable HF_TOKEN."""
    revision: str | None = None
    """The commit, branch or tag of the Hub's data set; null: its main branch as it is when the run starts. A commit of
    40 digits makes the run repeatable and is not looked up again."""
    subset: str | None = None
    """Which of the data set's configurations to read; null: its only or default one."""
    part: str | None = None
    """Which of its splits to read, such as `train`; null: all; where there are several, the column `part` holds each
    one's name and can be mapped to `split`."""

    @field_validator("revision")
    @classmethod
    def _revision_is_not_empty(cls, revision: str | None) -> str | None:
        return revision or None

    @model_validator(mode="after")
    def _names_one(self) -> HubConfig:
        if (self.path is None) == (self.id is None):
            raise RecipeError(
                f"source `{self.name}` needs exactly one of `path` and `id`",
                seen="both" if self.path is not None else "neither",
                allowed="path: saved/reviews, or id: owner/name",
            )
        if self.path is not None and (self.revision or self.subset):
            raise RecipeError(
                f"source `{self.name}`: `revision` and `subset` belong to a data set of the Hub",
                seen=f"path: {self.path}",
                next="leave them out, or give `id`",
            )
        return self
