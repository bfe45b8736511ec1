"""Arrow's streaming format cut into its messages, so that a long stream takes the memory of one record batch."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from tunesmith.core.errors import DataError

CONTINUATION = b"\xff\xff\xff\xff"
END = CONTINUATION + bytes(4)
SCHEMA, DICTIONARY, RECORDS = 1, 2, 3
MAX_MESSAGE_BYTES = 1 << 31
"""A longer record batch is not read: batches of a stream hold thousands of rows, not gigabytes."""


def frames(path: Path, *, source: str) -> Iterator[pl.DataFrame]:
    """The record batches of a stream in order, each as a frame; first an empty one that has the columns.

    Raises: DataError where the stream was cut short or is damaged.
    """
    before = b""
    for kind, message in _messages(path, source):
        if kind == RECORDS:
            yield pl.read_ipc_stream(io.BytesIO(before + message + END))
        else:
            # Dictionaries are given to every batch after them: a batch holds only places in them.
            before += message
            if kind == SCHEMA:
                yield pl.read_ipc_stream(io.BytesIO(before + END))


def _messages(path: Path, source: str) -> Iterator[tuple[int, bytes]]:
    """Each message with its kind, as it stands in the file."""
    with path.open("rb") as stream:
        while (head := stream.read(8)) != END:
            if not head:
                raise _damaged(path, source, stream.tell(), "no mark of the end stands at its end")
            if len(head) < 8 or not head.startswith(CONTINUATION):
                raise _damaged(path, source, stream.tell(), "no message begins where one should")
            (num_bytes,) = struct.unpack_from("<i", head, 4)
            if not 0 < num_bytes < MAX_MESSAGE_BYTES:
                raise _damaged(path, source, stream.tell(), f"a message says it is {num_bytes:,} bytes long")
            metadata = stream.read(num_bytes)
            try:
                kind, num_body_bytes = _kind_and_length(metadata)
            except (struct.error, IndexError):
                raise _damaged(path, source, stream.tell(), "a message was cut short") from None
            if not 0 <= num_body_bytes < MAX_MESSAGE_BYTES:
                raise _damaged(path, source, stream.tell(), f"a record batch says it is {num_body_bytes:,} bytes long")
            body = stream.read(num_body_bytes)
            if len(metadata) < num_bytes or len(body) < num_body_bytes:
                raise _damaged(path, source, stream.tell(), "the stream ends in the middle of a record batch")
            yield kind, head + metadata + body


def _kind_and_length(metadata: bytes) -> tuple[int, int]:
    """The header type and body length of a message. Source: Arrow's ``Message.fbs``, fields 1 and 3 of the root."""
    (root,) = struct.unpack_from("<I", metadata, 0)
    table = root - struct.unpack_from("<i", metadata, root)[0]
    (num_table_bytes,) = struct.unpack_from("<H", metadata, table)

    def place(field: int) -> int:
        at = 4 + 2 * field
        return int(struct.unpack_from("<H", metadata, table + at)[0]) if at < num_table_bytes else 0

    kind = metadata[root + place(1)] if place(1) else 0
    return kind, int(struct.unpack_from("<q", metadata, root + place(3))[0]) if place(3) else 0


def _damaged(path: Path, source: str, at: int, why: str) -> DataError:
    return DataError(
        f"source `{source}`: the Arrow stream is damaged or was cut short: {why}",
        seen=f"{path}, near byte {at:,}",
        next="copy or export the file again",
    )
