"""Plain text and Markdown: one row a file, a line or a paragraph."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from tunesmith.core.errors import DataError
from tunesmith.core.source import Batch, Description
from tunesmith.data.sources import text
from tunesmith.data.sources.batches import BatchBuilder
from tunesmith.data.sources.config import SourceConfig
from tunesmith.data.sources.file_set import FileSet, find

ENDINGS = (".txt", ".text", ".md", ".markdown", ".rst")
COLUMNS = ("text", "path", "folder")
MAX_CHARS = 16_000_000
"""The longest document; a longer one is refused, not held in memory."""
Piece = tuple[str, str]
"""A text, or nothing and why there is none."""


class TextConfig(SourceConfig):
    """A text file, or all text files of a folder. Columns: `text`, `path` (the file's name below the folder) and
    `folder` (the folder it lies in below that, as in `pos/1.txt`: map it to `label` where folders are classes)."""

    kind: Literal["text"] = "text"
    """Which kind of source this is."""
    path: str
    """A file, a folder (its `.txt`, `.text`, `.md`, `.markdown` and `.rst` files, however deep) or a pattern such as
    `notes/*.txt`, relative to the recipe or absolute; packed with gzip, zstd or zip or not."""
    per: Literal["document", "line", "paragraph"] = "document"
    """What makes a row: a whole file (at most 16 million characters), a line, or lines up to a blank one."""
    encoding: str | None = None
    """A Python encoding name; null: detected (UTF-8, UTF-16; what is neither is read as cp1252 and counted)."""

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, encoding: str | None) -> str | None:
        return text.check_codec(encoding)


class TextSource:
    """The documents, lines or paragraphs of text files."""

    def __init__(self, config: TextConfig) -> None:
        self.config = config
        self._notes: tuple[str, ...] = ()
        self._num_blank_lines = self._num_odd = 0

    def describe(self) -> Description:
        """The number of files; once all was read, also how their bytes were decoded."""
        files = self._files.files
        first = self._encoding(files[0]) if len(files) == 1 else None
        what = [f"{len(files)} files"] if first is None else list(first.names)
        return Description(f"text ({', '.join((f'one {self.config.per} a row', *what))})", COLUMNS, self._notes)

    def fingerprint(self) -> str:
        """A hash over the names and the bytes of all files."""
        return self._files.fingerprint(self.config.name)

    def read(self, since: str | None = None) -> Iterator[Batch]:
        """Every document, line or paragraph once. ``since`` does not apply to files."""
        builder = BatchBuilder()
        position = num_rows = 0
        self._num_blank_lines = self._num_odd = 0
        for file in self._files.files:
            name = self._files.name(file)
            folder = name.rpartition("/")[0]
            for content, reason in self._pieces(file):
                position += 1
                if reason:
                    builder.refuse(reason, f"{name}: {content}", position)
                else:
                    builder.add((content, name, folder), len(content))
                    num_rows += 1
                if builder.is_full:
                    yield builder.take(COLUMNS)
        if not builder.is_empty:
            yield builder.take(COLUMNS)
        notes = list(self._files.notes)
        if self._num_blank_lines and self.config.per == "line":
            notes.append(f"{self._num_blank_lines} blank lines passed over")
        if self._num_odd:
            notes.append(f"{self._num_odd} lines or bytes are not valid UTF-8, read as cp1252; `encoding` sets another")
        self._notes = tuple(notes)
        if not position:
            raise DataError(
                f"source `{self.config.name}`: the text has no rows",
                seen=f"{self.config.path}: blank lines only",
                next="name another file, or remove the source",
            )

    def _pieces(self, file: Path) -> Iterator[Piece]:
        try:
            pieces = self._document(file) if self.config.per == "document" else self._lines(file)
            yield from pieces if self.config.per != "paragraph" else self._paragraphs(pieces)
        except DataError as error:
            # One file that is no text costs itself, not the folder; a source of one file is told at once.
            if len(self._files.files) == 1:
                raise
            yield error.what.partition(": ")[2], "a file that cannot be read"

    def _document(self, file: Path) -> Iterator[Piece]:
        characters = text.Characters(file, self._encoding(file), self.config.encoding, source=self.config.name)
        parts, num_chars = list[str](), 0
        for part in characters:
            parts.append(part)
            num_chars += len(part)
            if num_chars > MAX_CHARS:
                yield parts[0], f"a document of more than {MAX_CHARS // 1_000_000} million characters"
                return
        self._num_odd += characters.num_fallback_bytes
        yield ("".join(parts), "") if num_chars else ("", "an empty file")

    def _lines(self, file: Path) -> Iterator[Piece]:
        encoding = text.detect(file, self.config.encoding, source=self.config.name)
        self._num_odd += encoding.num_fallback_lines
        for block in text.blocks(file, encoding, source=self.config.name):
            if isinstance(block, text.Unreadable):
                yield block.head, block.reason
                continue
            for line in io.StringIO(block, newline=""):
                content = line.rstrip("\r\n")
                if content.strip() or self.config.per == "paragraph":
                    yield content, ""
                else:
                    self._num_blank_lines += 1

    def _paragraphs(self, lines: Iterator[Piece]) -> Iterator[Piece]:
        held, num_chars = list[str](), 0
        for content, reason in lines:
            if reason or not content.strip() or num_chars > MAX_CHARS:
                if held:
                    yield "\n".join(held), ""
                held, num_chars = [], 0
            if reason:
                yield content, reason
            elif content.strip():
                held.append(content)
                num_chars += len(content)
        if held:
            yield "\n".join(held), ""

    def _encoding(self, file: Path) -> text.Encoding:
        return text.from_head(file, self.config.encoding, source=self.config.name)

    @cached_property
    def _files(self) -> FileSet:
        return find(self.config.path, ENDINGS, source=self.config.name)
