"""A JSON document read as a stream of records, so that its size costs no memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.core.errors import DataError
from tunesmith.data.sources import json_record

RECORD_CHARS = 16_000_000
"""The longest record that is read."""
MAX_DEPTH = 64
"""How deep what is not read may be nested."""
NEAR_END_CHARS = 16
"""A complaint this near to the end of what was read so far may only mean that more must be read."""
NUMBER_CHARS = "0123456789.eE+-"
_BLANK = re.compile(r"[ \t\r\n]*")


class Item(NamedTuple):
    """A record as it stands in the document."""

    key: str | None
    """Its name where the records are the members of an object."""
    value: Any
    raw: str
    flaw: str
    """Why it must not be used, though it could be read."""


class Document:
    """One pass over a document from its start."""

    def __init__(self, chunks: Iterable[str], path: Path, *, source: str) -> None:
        self._chunks = iter(chunks)
        self._path, self._source = path, source
        self._reader = json_record.Reader()
        self._buffer, self._at, self._is_end = "", 0, False
        self._num_lines = 0

    def items(self) -> Iterator[Item]:
        """The elements of the list, or the members of the object, that begins here."""
        opening = self.peek()
        closing = {"[": "]", "{": "}"}.get(opening)
        if closing is None:
            raise self._invalid("a list or an object is expected here")
        self._at += 1
        if self.peek() == closing:
            self._at += 1
            return
        while True:
            key = self._key() if opening == "{" else None
            value, raw = self._value()
            yield Item(key, value, raw, self._reader.flaw)
            if not self._goes_on(closing):
                return

    def enter(self, wanted: str) -> list[str]:
        """Go to the value of a member of the object that begins here; what stands before it is passed over.

        Returns: the members' names where none is ``wanted``; then the object lies behind.
        """
        names: list[str] = []
        if self.peek() != "{":
            raise self._invalid(f"an object with `{wanted}` is expected here")
        self._at += 1
        if self.peek() == "}":
            self._at += 1
            return names
        while True:
            key = self._key()
            if key == wanted:
                return []
            names.append(key)
            self._skip(0)
            if not self._goes_on("}"):
                return names or [""]

    def leave(self, depth: int) -> None:
        """Pass over what follows in the objects that were entered; the document must end there."""
        for _ in range(depth):
            while self._goes_on("}"):
                self._key()
                self._skip(0)
        if self.peek():
            raise self._invalid("the document goes on after its end")

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            found = _BLANK.match(self._buffer, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._fill(1):
                return ""

    def _key(self) -> str:
        if self.peek() != '"':
            raise self._invalid("a key in double quotes is expected here")
        key, _ = self._value()
        if self.peek() != ":":
            raise self._invalid("a colon is expected here")
        self._at += 1
        return str(key)

    def _goes_on(self, closing: str) -> bool:
        after = self.peek()
        if after not in (",", closing) or not after:
            raise self._invalid(f"a comma or `{closing}` is expected here")
        self._at += 1
        if after == "," and self.peek() == closing:
            raise self._invalid(f"a comma stands before `{closing}`")
        return after == ","

    def _value(self) -> tuple[Any, str]:
        """The value that begins here, and its text."""
        self.peek()
        while True:
            try:
                value, end = self._reader.value(self._buffer, self._at)
            except RecursionError:
                raise self._invalid("nested too deep") from None
            except json.JSONDecodeError as error:
                is_open = error.msg.startswith("Unterminated")
                if self._is_end and (is_open or error.pos >= len(self._buffer.rstrip())):
                    self._at = len(self._buffer)
                    raise self._invalid("the document ends in the middle of a value") from None
                if self._is_end or (error.pos < len(self._buffer) - NEAR_END_CHARS and not is_open):
                    self._at = error.pos
                    raise self._invalid(error.msg[:1].lower() + error.msg[1:]) from None
            else:
                if self._is_end or not self._may_go_on(end):
                    raw = self._buffer[self._at : end]
                    self._at = end
                    return value, raw
            num_chars = len(self._buffer) - self._at
            if num_chars > RECORD_CHARS:
                raise self._invalid(
                    f"a record is longer than {RECORD_CHARS:,} characters, or its quotes are not closed"
                )
            self._fill(num_chars)

    def _may_go_on(self, end: int) -> bool:
        """Whether a value that ends here may have more digits: of `1.5` only `1.` may have been read."""
        rest = self._buffer[end : end + NEAR_END_CHARS]
        return len(rest) < NEAR_END_CHARS and not rest.strip(NUMBER_CHARS)

    def _skip(self, depth: int) -> None:
        """Pass over a value of any size."""
        opening = self.peek()
        if depth > MAX_DEPTH:
            raise self._invalid("nested too deep")
        if opening not in ("[", "{") or not opening:
            self._value()
            return
        try:
            _, self._at = self._reader.value(self._buffer, self._at)
            return
        except (ValueError, RecursionError):
            pass
        closing = "]" if opening == "[" else "}"
        self._at += 1
        if self.peek() == closing:
            self._at += 1
            return
        while True:
            if opening == "{":
                self._key()
            self._skip(depth + 1)
            if not self._goes_on(closing):
                return

    def _fill(self, num_chars: int) -> bool:
        """Read at least so many characters more; whether there were any."""
        if self._is_end:
            return False
        parts = [self._buffer[self._at :]]
        self._num_lines += self._buffer.count("\n", 0, self._at)
        num_read = 0
        while num_read < num_chars:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._is_end = True
                break
            parts.append(chunk)
            num_read += len(chunk)
        self._buffer, self._at = "".join(parts), 0
        return num_read > 0

    def _invalid(self, why: str) -> DataError:
        line = self._num_lines + self._buffer.count("\n", 0, self._at) + 1
        is_lines = why == "the document goes on after its end" and self._buffer[self._at] in "{["
        rest = self._buffer[self._at : self._at + 80]
        cut = not rest and self._is_end
        return DataError(
            f"source `{self._source}`: the file is not one JSON document: "
            + ("it ends before the document does, so it was cut short" if cut else why),
            seen=f"{self._path}, line {line}: {'the end of the file' if cut else rest!r}",
            allowed="one list of objects, or one object that holds them",
            next="read it with `kind: jsonl`: it holds one document a line" if is_lines else "export the file again",
        )
