"""Safetensors headers, read without loading a weight: counts parameters and finds files that are cut or no weights."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path

from tunesmith.core.errors import ModelError

MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""


@dataclass(frozen=True)
class Weights:
    """What a safetensors header says."""

    num_parameters: int
    dtypes: frozenset[str]
    names: frozenset[str] = frozenset()


def read_header(path: Path) -> Weights:
    """The number and types of a file's parameters.

    Raises: ModelError where the file is cut short, longer than its header says, or no safetensors file at all.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise ModelError(
                "this is no safetensors file, or it is cut short", seen=f"{path.name}, {size:,} bytes", next=_AGAIN
            )
        try:
            header = json.loads(stream.read(length))
            entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
            tensors = list(entries.values())
            end = 8 + length + max((int(entry["data_offsets"][1]) for entry in tensors), default=0)
            found = Weights(
                sum(math.prod(entry["shape"]) for entry in tensors),
                frozenset(str(entry["dtype"]) for entry in tensors),
                frozenset(entries),
            )
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise ModelError("a safetensors header is damaged", seen=path.name, next=_AGAIN) from error
    if end != size:
        raise ModelError(
            "a weight file is cut short" if end > size else "a weight file is longer than its header says",
            seen=f"{path.name}: {size:,} bytes",
            allowed=f"{end:,} bytes",
            next=_AGAIN,
        )
    return found


_AGAIN = "copy or download the model again"
