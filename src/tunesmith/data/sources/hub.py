"""Data sets of the `datasets` library: a folder it saved, or one of the Hugging Face Hub (extra `hub`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from tunesmith.core import digests
from tunesmith.core.errors import DataError
from tunesmith.core.source import Batch, Description
from tunesmith.data.sources.batches import BATCH_ROWS
from tunesmith.data.sources.bounds import Meter
from tunesmith.data.sources.frames import MAX_TABLE_RATIO, Frames
from tunesmith.data.sources.hub_config import HubConfig
from tunesmith.data.sources.tables import READER_ERRORS

PART = "part"
COMMIT = re.compile(r"[0-9a-f]{40}")
INSTALL = 'pip install -c constraints.txt "tunesmith[hub]"'


class HubSource:
    """The rows of a saved or published data set."""

    def __init__(self, config: HubConfig) -> None:
        self.config = config

    def describe(self) -> Description:
        """Where it is, its parts and its columns."""
        frames = self._frames
        parts = ", ".join(f"{name} {part.num_rows:,}" for name, part in self._parts.items())
        where = "saved data set" if self.config.path is not None else f"Hub data set {self.config.id}"
        return Description(f"{where} ({parts})", frames.columns, frames.notes + frames.late_notes)

    def fingerprint(self) -> str:
        """A hash of the saved files, or of the Hub's commit."""
        config = self.config
        if config.path is not None:
            # Not the library's own state: it is another one each time equal rows are saved.
            files = {
                name: value for name, value in digests.of_folder(_folder(config)).items() if "state.json" not in name
            }
            return digests.of_manifest(files)
        return digests.of_value([config.id, self._commit, config.subset, config.part])

    def read(self, since: str | None = None) -> Iterator[Batch]:
        """Every row of every part once. ``since`` does not apply to data sets."""
        frames = self._frames
        try:
            yield from frames.batches(self._chunks())
        except READER_ERRORS as error:
            raise self._damaged(error) from None

    def _chunks(self) -> Iterator[pl.DataFrame]:
        for name, part in self._parts.items():
            names = self._class_names(part)
            # Arrow tables: nothing is decoded, so that no picture or sound is opened.
            for table in part.with_format("arrow").iter(batch_size=BATCH_ROWS):
                frame = pl.DataFrame(pl.from_arrow(table))
                frame = frame.with_columns(_as_names(column, labels) for column, labels in names.items())
                if len(self._parts) > 1:
                    frame = frame.insert_column(frame.width, pl.Series(self._part_column, [name] * frame.height))
                yield frame

    def _class_names(self, part: Any) -> dict[str, list[str]]:
        """The classes of each column that holds their numbers."""
        found = {name: getattr(feature, "names", None) for name, feature in part.features.items()}
        return {name: names for name, names in found.items() if isinstance(names, list)}

    @property
    def _part_column(self) -> str:
        taken = next(iter(self._parts.values())).column_names
        return PART if PART not in taken else f"{PART}_2"

    @cached_property
    def _frames(self) -> Frames:
        parts = self._parts
        columns = {name: list(part.column_names) for name, part in parts.items()}
        first = next(iter(columns.values()))
        if odd := next((name for name, names in columns.items() if names != first), None):
            raise DataError(
                f"source `{self.config.name}`: the parts have different columns",
                seen=f"{odd}: {', '.join(columns[odd])}",
                allowed=f"{next(iter(columns))}: {', '.join(first)}",
                next="read them as sources of their own, each with `part`",
            )
        if not sum(part.num_rows for part in parts.values()):
            raise self._no_rows(", ".join(parts))
        num_bytes = sum(int(part.data.nbytes) for part in parts.values())
        meter = Meter(
            Path(self.config.path or "."), source=self.config.name, what="the data set", ratio=MAX_TABLE_RATIO
        )
        more = [self._part_column] if len(parts) > 1 else []
        return Frames([*first, *more], meter, num_bytes)

    @cached_property
    def _parts(self) -> dict[str, Any]:
        """The parts to read by name."""
        config = self.config
        datasets = _library(config.name)
        opened = self._saved(datasets) if config.path is not None else self._published(datasets)
        parts = dict(opened.items()) if isinstance(opened, dict) else {str(opened.split or "all"): opened}
        if config.part is None:
            return parts
        if config.part not in parts:
            raise DataError(
                f"source `{config.name}`: the data set has no part `{config.part}`",
                seen=f"part: {config.part}",
                allowed=", ".join(parts),
                next=f"part: {next(iter(parts))}, or leave it out to read all",
            )
        return {config.part: parts[config.part]}

    def _saved(self, datasets: Any) -> Any:
        folder = _folder(self.config)
        if not any(folder.rglob("*.arrow")):
            raise self._no_rows(str(folder))
        try:
            return datasets.load_from_disk(str(folder))
        except Exception as error:  # the library raises what its parsers do
            raise self._damaged(error) from None

    def _no_rows(self, seen: str) -> DataError:
        return DataError(f"source `{self.config.name}`: the data set has no rows", seen=seen, next="name another one")

    def _damaged(self, error: Exception) -> DataError:
        return DataError(
            f"source `{self.config.name}`: the data set cannot be read",
            seen=f"{self.config.path or self.config.id}: {_first_line(error)}",
            next="save it again with `save_to_disk`, or copy all files of the folder",
        )

    def _published(self, datasets: Any) -> Any:
        config, commit = self.config, self._commit
        try:
            return datasets.load_dataset(config.id, name=config.subset, revision=commit)
        except Exception as error:  # as above, and what the network does
            raise self._out_of_reach(error) from None

    @cached_property
    def _commit(self) -> str:
        config = self.config
        if config.revision is not None and COMMIT.fullmatch(config.revision):
            return config.revision
        _library(config.name)
        from huggingface_hub import HfApi

        try:
            return str(HfApi().dataset_info(str(config.id), revision=config.revision, timeout=30).sha)
        except Exception as error:
            raise self._out_of_reach(error) from None

    def _out_of_reach(self, error: Exception) -> DataError:
        config = self.config
        return DataError(
            f"source `{config.name}`: the Hub's data set `{config.id}` cannot be had",
            seen=f"{type(error).__name__}: {_first_line(error)}",
            allowed="a public data set, or a private one with HF_TOKEN set; no data set that needs code of its own",
            next="check `id`, `subset` and the network; or save it elsewhere with `save_to_disk` and give `path`",
        )


def _library(source: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise DataError(
            f"source `{source}`: `kind: hub` needs the library `datasets`, which is not installed", next=INSTALL
        ) from None
    # Its bars would stand among a run's own lines.
    datasets.disable_progress_bars()
    return datasets


def _folder(config: HubConfig) -> Path:
    """The saved folder, once it is known to be one."""
    folder = Path(str(config.path))
    marks = ("state.json", "dataset_dict.json")
    if any((folder / mark).is_file() for mark in marks):
        return folder
    inside = sorted(entry.name for entry in folder.iterdir())[:8] if folder.is_dir() else []
    near = sorted(mark.parent for mark in folder.glob("*/*.json") if mark.name in marks) if folder.is_dir() else []
    raise DataError(
        f"source `{config.name}`: the path is no data set that `save_to_disk` made",
        seen=f"{folder}: {', '.join(inside) or ('an empty folder' if folder.is_dir() else 'there is no such folder')}",
        allowed=f"a folder that holds {' or '.join(marks)}",
        next=f"path: {near[0]}"
        if near
        else "correct `path`; files of rows are read with `kind: parquet`, `json`, `csv`",
    )


def _as_names(column: str, names: list[str]) -> pl.Expr:
    """A column of class numbers as names; -1, the library's word for no class, is null."""
    numbers = pl.col(column)
    return numbers.replace_strict(dict(enumerate(names)), default=None, return_dtype=pl.String)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]
