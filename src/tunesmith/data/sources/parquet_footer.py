"""What a Parquet file's footer says of its size, read without a column being opened."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_DEPTH = 16
# Thrift's compact protocol, type codes.
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12
NUM_ROWS, ROW_GROUPS, TOTAL_BYTE_SIZE = 3, 4, 2
"""Field numbers. Source: ``parquet.thrift``, FileMetaData and RowGroup."""


@dataclass(frozen=True)
class Footer:
    """How much a Parquet file holds by its own account."""

    num_rows: int
    num_bytes: int
    """The columns' bytes once decompressed, still dictionary encoded."""


def read(path: Path) -> Footer:
    """The footer of a Parquet file.

    Raises: ValueError where it is damaged.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(size - 8)
        (num_footer_bytes,) = struct.unpack("<I", stream.read(4))
        if num_footer_bytes > size - 12:
            raise ValueError("the footer is longer than the file")
        stream.seek(size - 8 - num_footer_bytes)
        content = stream.read(num_footer_bytes)
    try:
        fields = _Compact(content).struct(0)
        groups = fields.get(ROW_GROUPS, [])
        return Footer(int(fields[NUM_ROWS]), sum(int(group[TOTAL_BYTE_SIZE]) for group in groups))
    except (IndexError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ValueError(f"the footer is damaged: {error!r}") from None


class _Compact:
    """Reads Thrift's compact protocol: structs as dictionaries by field number."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def struct(self, depth: int) -> dict[int, Any]:
        """The fields of the struct that begins here."""
        if depth > MAX_DEPTH:
            raise ValueError("the footer is nested too deep")
        fields: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._zigzag()
            fields[number] = self._value(kind & 0x0F, depth, is_field=True)
        return fields

    def _value(self, kind: int, depth: int, *, is_field: bool) -> Any:
        if kind in (TRUE, FALSE):
            # A boolean field's value is its type; in a list it takes a byte.
            return kind == TRUE if is_field else self._byte() == TRUE
        if kind in (I16, I32, I64):
            return self._zigzag()
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (LIST, SET):
            head = self._byte()
            length = head >> 4 if head >> 4 < 15 else self._varint()
            if length > len(self._content) - self._at:
                raise ValueError("a list is longer than the footer")
            return [self._value(head & 0x0F, depth + 1, is_field=False) for _ in range(length)]
        if kind in (BYTE, DOUBLE, BINARY):
            # First the length, which is itself read and moves the place.
            length = 1 if kind == BYTE else 8 if kind == DOUBLE else self._varint()
            self._at += length
            return None
        raise ValueError(f"the footer holds an unknown type, {kind}")

    def _byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80 or shift > 63:
                return value
            shift += 7

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
