"""Files of one kind as one source: their rows in the order of their names, their columns united."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tunesmith.core import wiring
from tunesmith.core.errors import DataError
from tunesmith.core.source import Batch, Description, Source
from tunesmith.data.sources.compressed import plain_name
from tunesmith.data.sources.file_set import FileSet, find, is_several

ONE_FILE: dict[str, tuple[str, tuple[str, ...]]] = {
    "csv": ("tunesmith.data.sources.csv:CsvSource", (".csv", ".tsv", ".tab", ".psv")),
    "jsonl": ("tunesmith.data.sources.jsonl:JsonlSource", (".jsonl", ".ndjson")),
    "json": ("tunesmith.data.sources.json:JsonSource", (".json",)),
    "parquet": ("tunesmith.data.sources.parquet:ParquetSource", (".parquet", ".pq")),
    "arrow": ("tunesmith.data.sources.arrow:ArrowSource", (".arrow", ".feather", ".ipc")),
}
"""By kind: the source that reads one file, and the endings by which the files of a folder are told."""
MAGICS = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow"}
"""What a file begins with that is read by one kind, whatever its name."""
JSON_KINDS = {"json": "jsonl", "jsonl": "json"}
"""Either may hold the other: `.json` is used for lines too."""
SHOWN_FILES = 8


def kind_of(name: str) -> str:
    """The kind of source that reads a file, packed or not, by its name; separated text where that says nothing."""
    plain = plain_name(name)
    return next((kind for kind, (_, endings) in ONE_FILE.items() if plain.endswith(endings)), "csv")


def told_kind(path: Path) -> str:
    """The kind of source that reads one file, by its first bytes, its name, and for JSON by what it holds.

    Raises: DataError where it is JSON and neither a document nor lines.
    """
    with path.open("rb") as stream:
        head = stream.read(max(map(len, MAGICS)))
    kind = next((kind for magic, kind in MAGICS.items() if head.startswith(magic)), kind_of(path.name))
    if kind not in JSON_KINDS:
        return kind
    config = wiring.load(wiring.wire("source", kind).config or "")
    try:
        open_files(config(name="input", path=str(path))).describe()
    except DataError as error:
        other = JSON_KINDS[kind]
        # Its name said one of the two, and the reader of that one saw that it is the other.
        if f"`kind: {other}`" in (error.next or ""):
            return other
        raise
    return kind


def open_files(config: Any) -> Source:
    """The source of a configuration whose `path` is a file, a folder or a pattern."""
    make, endings = ONE_FILE[config.kind]
    open_one: Callable[[Any], Source] = wiring.load(make)
    return SeveralFiles(config, open_one, endings) if is_several(config.path) else open_one(config)


class SeveralFiles:
    """The rows of several files of one kind."""

    def __init__(self, config: Any, open_one: Callable[[Any], Source], endings: tuple[str, ...]) -> None:
        self.config, self._open_one, self._endings = config, open_one, endings

    def describe(self) -> Description:
        """The files' number and formats, all their columns, and in what they differ.

        Raises: DataError where a file lacks a mapped column that others have.
        """
        described = {self._files.name(Path(one.config.path)): one.describe() for one in self._sources}
        columns = tuple(dict.fromkeys(name for one in described.values() for name in one.columns))
        self._require_mapped(described, columns)
        formats = list(dict.fromkeys(one.format for one in described.values()))
        notes = list(self._files.notes)
        for column in columns:
            having = [name for name, one in described.items() if column in one.columns]
            if len(having) < len(described):
                notes.append(f"column `{column}` is in {len(having)} of {len(described)} files: {_some(having)}")
        notes += [f"{name}: {note}" for name, one in described.items() for note in one.notes]
        files = "1 file" if len(described) == 1 else f"{len(described)} files"
        return Description(f"{files}, {'; '.join(formats)}", columns, tuple(notes))

    def fingerprint(self) -> str:
        """A hash over the names and the bytes of all files."""
        return self._files.fingerprint(self.config.name)

    def read(self, since: str | None = None) -> Iterator[Batch]:
        """Every record of every file once, numbered through. ``since`` does not apply to files."""
        columns = dict.fromkeys(self.describe().columns)
        num_before = 0
        for one in self._sources:
            name, num_read = self._files.name(Path(one.config.path)), 0
            for batch in one.read():
                columns.update(dict.fromkeys(batch.columns))
                num_read += batch.num_rows + len(batch.refused)
                absent: list[Any] = [None] * batch.num_rows
                refused = tuple(
                    replace(
                        one_refused,
                        position=num_before + one_refused.position,
                        record=f"{name}, record {one_refused.position}: {one_refused.record}",
                    )
                    for one_refused in batch.refused
                )
                yield Batch({column: batch.columns.get(column, absent) for column in columns}, refused)
            num_before += num_read

    @cached_property
    def _files(self) -> FileSet:
        return find(self.config.path, self._endings, source=self.config.name)

    @cached_property
    def _sources(self) -> list[Any]:
        return [self._open_one(self.config.model_copy(update={"path": str(file)})) for file in self._files.files]

    def _require_mapped(self, described: dict[str, Description], columns: tuple[str, ...]) -> None:
        """A file whose columns were renamed would give rows without a text: said here, not found later."""
        for left, right in self.config.columns.items():
            lacking = [name for name, one in described.items() if right not in one.columns]
            if not lacking or right not in columns:
                # A column that no file has is refused for the source as a whole.
                continue
            own = described[lacking[0]].columns
            near = difflib.get_close_matches(right, own, n=1, cutoff=0.5)
            raise DataError(
                f"source `{self.config.name}`: the column `{right}` is missing from {len(lacking)} of {len(described)} "
                f"files: {_some(lacking)}",
                seen=f"{lacking[0]} has {', '.join(own)}" + (f"; `{near[0]}` is the nearest" if near else ""),
                allowed=f"columns: {{{left}: {right}}} in every file",
                next="export the files again with one header, or name each form as a source of its own",
            )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_FILES} more" if len(names) > SHOWN_FILES else ""
    return ", ".join(names[:SHOWN_FILES]) + more
