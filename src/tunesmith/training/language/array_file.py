"""Numbers written one behind the other into a .npy file whose length is known only at its end."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

HEADER_BYTES = 128
"""Room for any one-dimensional header."""


class ArrayFile:
    """A one-dimensional .npy file that grows; readable once closed."""

    def __init__(self, path: Path, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self.size = 0
        self._stream = path.open("wb")
        self._stream.write(b"\0" * HEADER_BYTES)

    def add(self, numbers: np.ndarray[Any, Any]) -> None:
        """Write more numbers."""
        self._stream.write(np.ascontiguousarray(numbers, self.dtype).data)
        self.size += len(numbers)

    def close(self) -> None:
        """Write the header, now that the length is known."""
        described = f"{{'descr': '{self.dtype.str}', 'fortran_order': False, 'shape': ({self.size},), }}"
        magic = b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little")
        self._stream.seek(0)
        self._stream.write(magic + described.encode().ljust(HEADER_BYTES - 11) + b"\n")
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_array(path: Path) -> np.ndarray[Any, Any]:
    """The numbers of a .npy file through a memory map: only what is looked at is read."""
    if path.stat().st_size <= HEADER_BYTES:
        return np.load(path)  # type: ignore[no-any-return] # nothing cannot be mapped
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]
