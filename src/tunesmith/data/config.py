"""What the stages `ingest` and `texts` are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.core.config import Config
from tunesmith.core.kinds import one_of
from tunesmith.data.sources.config import SourceConfig

if TYPE_CHECKING:
    AnySource = SourceConfig
else:
    AnySource = one_of("source")


class IngestConfig(Config):
    """One source to read into a dataset."""

    source: AnySource
    """The source as the recipe describes it; its `kind` picks what else it can be told."""
    required: tuple[str, ...] = ("text",)
    """Columns that must be there: none for a table that is joined, or where the text is derived from others."""
    erased: tuple[str, ...] = ()
    """Keyed hashes of the subjects that were erased, whose rows are left out; filled in from the ledger."""


class LabelledTextsConfig(Config):
    """Whose texts the stage `texts` takes."""

    source: str
    """The source whose rows are read, by its name."""
    group_by: str | None = None
    """A column that keeps rows together in one split, which is read too; null: none."""
