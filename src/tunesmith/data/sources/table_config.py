"""What the sources of Parquet and Arrow files are told; apart from their code, which loads polars."""

from __future__ import annotations

from typing import Literal

from tunesmith.data.sources.config import SourceConfig


class ParquetConfig(SourceConfig):
    """A Parquet file. Types that a text file cannot hold become text by one rule, given with `path`."""

    kind: Literal["parquet"] = "parquet"
    """Which kind of source this is."""
    path: str
    """The file, a folder or a pattern such as `data/*.parquet`, relative to the recipe or absolute. Numbers, booleans
    and text stay; decimals keep their digits as text, dates, times and durations take ISO 8601 form, bytes become their
    UTF-8 text or hexadecimal, lists and structs become compact JSON; NaN reads as missing and is counted."""


class ArrowConfig(SourceConfig):
    """An Arrow file, in the file format (Feather) or the streaming format. Cells become plain as with `parquet`."""

    kind: Literal["arrow"] = "arrow"
    """Which kind of source this is."""
    path: str
    """The file, a folder or a pattern such as `data/*.arrow`, relative to the recipe or absolute."""
