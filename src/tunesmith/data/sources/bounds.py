"""Bounds on what a small file may unpack to, so that a bomb is refused early and in little memory."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.errors import DataError

FLOOR_BYTES = 16 * 1024 * 1024
"""Less than this is no danger, whatever the ratio: short files of equal rows shrink a thousandfold."""
MAX_BYTES = 64 * 1024**3
"""The most one file may unpack to; more is unpacked by the user, who sees the disk fill."""
MAX_RATIO = 100
"""Bytes unpacked for each byte stored: text shrinks 3 to 30 times, bombs a thousand times and more."""


class Meter:
    """Counts what comes out of a file against what went in."""

    def __init__(self, path: Path, *, source: str, what: str, ratio: int = MAX_RATIO) -> None:
        self._path, self._source, self._what, self._ratio = path, source, what, ratio
        self.num_out_bytes = 0

    def add(self, num_bytes: int, num_stored_bytes: int) -> None:
        """Count bytes that came out; ``num_stored_bytes`` went in so far, in all.

        Raises: DataError once the sum is out of proportion.
        """
        self.num_out_bytes += num_bytes
        self.check(self.num_out_bytes, num_stored_bytes)

    def check(self, num_bytes: int, num_stored_bytes: int) -> None:
        """Raise DataError where that many bytes are out of proportion to the stored ones."""
        if num_bytes <= FLOOR_BYTES:
            return
        if num_bytes > MAX_BYTES:
            seen, allowed = f"{num_bytes:,} bytes", f"at most {MAX_BYTES:,} bytes out of one file"
        elif num_bytes > self._ratio * max(num_stored_bytes, 1):
            seen = f"{num_bytes:,} bytes out of {num_stored_bytes:,}"
            allowed = f"at most {self._ratio} times the stored bytes, once it is more than {FLOOR_BYTES:,}"
        else:
            return
        raise DataError(
            f"source `{self._source}`: {self._what} unpacks to far more than it holds, as a bomb does",
            seen=f"{self._path}: {seen}",
            allowed=allowed,
            next="if you trust the file, unpack it yourself and name the plain file",
        )
