"""CSV records from lines, where a broken record costs its own line and never the rest of the file."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator

from tunesmith.data.sources import text
from tunesmith.data.sources.dialect import Dialect

RECORD_CHARS = 16_000_000
"""The longest record: a quote that is never closed would otherwise swallow the rest of the file."""


class _Broken(Exception):
    """The record that began some lines ago never ends."""


class _Skipped(Exception):
    """A line that is no text stands where a record should begin."""


class Records:
    """Iterates records as ``(fields, "")``, or ``(None, reason)`` where no record could be made of a line.

    A quote that is never closed costs its own line only: the lines after it are read again as records of their own.
    """

    def __init__(self, blocks: Iterator[str | text.Unreadable], dialect: Dialect) -> None:
        csv.field_size_limit(max(csv.field_size_limit(), RECORD_CHARS + text.LINE_BYTES))
        self._lines = _Lines(blocks)
        self._dialect = dialect
        self.num_blank_lines = 0
        """Lines without any character between records."""

    @property
    def num_chars(self) -> int:
        """The size of the record given last."""
        return self._lines.num_chars

    def raw(self) -> str:
        """The record given last, as it stood."""
        return "".join(self._lines.taken)

    def __iter__(self) -> Iterator[tuple[list[str] | None, str]]:
        lines = self._lines
        reader = self._reader(lines, is_strict=False)
        num_blank_lines = 0
        while True:
            lines.begin()
            try:
                fields = next(reader)
            except StopIteration:
                return
            except _Skipped as skipped:
                yield None, str(skipped)
                continue
            except _Broken:
                lines.give_back()
                yield None, "quote never closed"
                continue
            if not fields:
                num_blank_lines += 1
                continue
            # Blank lines count only between records: what follows the last one is the end of the file.
            self.num_blank_lines, num_blank_lines = self.num_blank_lines + num_blank_lines, 0
            if len(lines.taken) > 1 and not self._is_well_quoted():
                lines.give_back()
                yield None, "quote never closed"
                continue
            yield fields, ""

    def _reader(self, lines: Iterator[str], *, is_strict: bool) -> Iterator[list[str]]:
        quote = self._dialect.quote
        return csv.reader(
            lines,
            delimiter=self._dialect.delimiter,
            quotechar=quote or None,
            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
            strict=is_strict,
        )

    def _is_well_quoted(self) -> bool:
        """Whether a record of several lines is correct CSV; a stray quote that meets the next one is not."""
        try:
            return len(list(self._reader(iter(self._lines.taken), is_strict=True))) == 1
        except csv.Error:
            return False


class _Lines:
    """The lines a CSV reader draws, remembered for the record in hand so that they can be read again."""

    def __init__(self, blocks: Iterator[str | text.Unreadable]) -> None:
        self._source = _split(blocks)
        self._again: deque[str | text.Unreadable] = deque()
        self.taken: list[str] = []
        self.num_chars = 0

    def begin(self) -> None:
        """Start the next record."""
        self.taken = []
        self.num_chars = 0

    def give_back(self) -> None:
        """Keep the first line as the record, and read the others again."""
        first, *others = self.taken
        self._again.extendleft(reversed(others))
        self.taken = [first]

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._source, None)
        if line is None:
            if self.taken:
                raise _Broken
            raise StopIteration
        if isinstance(line, text.Unreadable):
            if self.taken:
                self._again.appendleft(line)
                raise _Broken
            self.taken.append(line.head)
            raise _Skipped(line.reason)
        self.taken.append(line)
        self.num_chars += len(line)
        if self.num_chars > RECORD_CHARS and len(self.taken) > 1:
            raise _Broken
        return line


def _split(blocks: Iterator[str | text.Unreadable]) -> Iterator[str | text.Unreadable]:
    for block in blocks:
        if isinstance(block, str):
            # Not str.splitlines: it also breaks at form feeds and U+2028, which are text here.
            yield from io.StringIO(block, newline="")
        else:
            yield block
