"""How a delimited text file is written: its delimiter, its quotes and whether it has a header, told from its head."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
MAX_HEAD_RECORDS = 500
MIN_SHARE = 0.5
"""A delimiter must cut at least this share of the records into the same number of fields."""
MAX_NAME_WORDS = 6
MAX_NAME_CHARS = 60
"""A longer cell is a sentence, not a name; a first record that is half sentences is no header."""


@dataclass(frozen=True)
class Dialect:
    """How a file separates records and fields."""

    delimiter: str
    quote: str
    """One character; empty: quotes mean nothing."""
    has_header: bool

    @property
    def label(self) -> str:
        """The delimiter as people call it."""
        return next((name for name, char in DELIMITERS.items() if char == self.delimiter), repr(self.delimiter))


def detect(
    head: str,
    *,
    is_whole: bool,
    delimiter: str | None,
    quote: str | None,
    header: bool | None,
    wanted: Sequence[str],
) -> Dialect:
    """The dialect of a file by its first lines; what is given is kept.

    ``wanted``: column names that the recipe expects; finding one in the first record settles that it is the header.
    """
    lines = list(io.StringIO(head, newline=""))
    if not is_whole and len(lines) > 1:
        lines.pop()
    found_delimiter = delimiter or _delimiter(lines, '"' if quote is None else quote)
    found_quote = _quote(lines, found_delimiter) if quote is None else quote
    records = parse(lines, found_delimiter, found_quote)
    has_header = _has_header(records, wanted) if header is None else header
    return Dialect(found_delimiter, found_quote, has_header)


def parse(lines: Sequence[str], delimiter: str, quote: str, *, is_strict: bool = False) -> list[list[str]]:
    """The first records of some lines, blank ones left out."""
    reader = csv.reader(
        lines,
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        strict=is_strict,
    )
    records: list[list[str]] = []
    for record in reader:
        if record:
            records.append(record)
        if len(records) >= MAX_HEAD_RECORDS:
            break
    return records


def _delimiter(lines: Sequence[str], quote: str) -> str:
    best, best_score = ",", (MIN_SHARE, 0)
    for candidate in DELIMITERS.values():
        records = parse(lines, candidate, quote)
        # A first record that it does not cut is a header of one column, and the file's text merely contains it.
        if not records or len(records[0]) == 1:
            continue
        width, count = Counter(map(len, records)).most_common(1)[0]
        score = (count / len(records), width)
        if width > 1 and score > best_score:
            best, best_score = candidate, score
    return best


def _quote(lines: Sequence[str], delimiter: str) -> str:
    """No quotes where reading them breaks the records, leaving them as text does not, and few fields are in quotes."""
    try:
        parse(lines, delimiter, '"', is_strict=True)
        return '"'
    except csv.Error:
        records = parse(lines, delimiter, "")
    widths = set(map(len, records))
    opened = [cell.rstrip("\r\n") for record in records for cell in record if cell.startswith('"')]
    num_closed = sum(len(cell) > 1 and cell.endswith('"') for cell in opened)
    return "" if len(widths) == 1 and widths != {1} and 2 * num_closed < len(opened) else '"'


def _has_header(records: Sequence[Sequence[str]], wanted: Sequence[str]) -> bool:
    if not records:
        return True
    first = [cell.strip() for cell in records[0]]
    if any(name in first for name in wanted):
        return True
    if not any(first):
        return False
    body = [record for record in records[1:] if len(record) == len(first)]
    columns = [[record[place].strip() for record in body] for place in range(len(first))]
    is_numeric = [any(column) and all(_is_number(cell) for cell in column if cell) for column in columns]
    # A name above numbers makes a header; a number above numbers, or a value that comes again, makes none.
    if any(numeric and cell and not _is_number(cell) for cell, numeric in zip(first, is_numeric, strict=True)):
        return True
    if any(numeric and _is_number(cell) for cell, numeric in zip(first, is_numeric, strict=True)):
        return False
    if any(cell and cell in column for cell, column in zip(first, columns, strict=True)):
        return False
    filled = [cell for cell in first if cell]
    num_sentences = sum(len(cell) > MAX_NAME_CHARS or len(cell.split()) > MAX_NAME_WORDS for cell in filled)
    return 2 * num_sentences < len(filled)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True
