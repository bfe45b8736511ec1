"""Hidden states on disk: a plain safetensors file, written in any order of rows and read through a memory map.

Shapes: S tokens of all rows of a split, H hidden, N rows.
"""

from __future__ import annotations

import itertools
import json
import shutil
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from tunesmith.core.errors import StoreError

FILE = "states.safetensors"
SPARE_BYTES = 200_000_000
"""Space on the disk that is left alone."""
WIDTHS = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Rows:
    """The states of a split's rows, each (tokens, hidden), and the tokens that each row lost."""

    rows: list[Tensor]
    cut: list[int]


class StatesFile:
    """A file being written: for each split ``<split>`` (S, H), ``<split>_offsets`` (N + 1) and ``<split>_cut`` (N)."""

    def __init__(
        self,
        path: Path,
        lengths: Mapping[str, Sequence[int]],
        cut: Mapping[str, Sequence[int]],
        hidden: int,
        dtype: Literal["float32", "bfloat16"],
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.offsets = {name: np.cumsum([0, *members]) for name, members in lengths.items()}
        small = {f"{name}_offsets": offsets.astype("<i8") for name, offsets in self.offsets.items()}
        small |= {f"{name}_cut": np.asarray(members, dtype="<i8") for name, members in cut.items()}
        shapes = {name: [int(offsets[-1]), hidden] for name, offsets in self.offsets.items()}
        tag = "F32" if dtype == "float32" else "BF16"
        header: dict[str, dict[str, Any]] = {}
        end = 0
        for name, shape in shapes.items():
            start, end = end, end + shape[0] * hidden * WIDTHS[dtype]
            header[name] = {"dtype": tag, "shape": shape, "data_offsets": [start, end]}
        for name, values in small.items():
            start, end = end, end + values.nbytes
            header[name] = {"dtype": "I64", "shape": [len(values)], "data_offsets": [start, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        _check_space(path.parent, end)
        with path.open("wb") as stream:
            stream.write(struct.pack("<Q", len(text)) + text)
            stream.seek(max(header[name]["data_offsets"][1] for name in shapes), 1)
            stream.write(b"".join(values.tobytes() for values in small.values()))
            stream.truncate(8 + len(text) + end)
        self.num_bytes = end
        raw = np.memmap(path, dtype=np.uint8, mode="r+", offset=8 + len(text), shape=(end,)) if end else None
        self._states: dict[str, Tensor] = {}
        for name, shape in shapes.items():
            first, last = header[name]["data_offsets"]
            part = np.zeros(0, np.uint8) if raw is None else raw[first:last]
            kind = torch.float32 if dtype == "float32" else torch.bfloat16
            self._states[name] = torch.from_numpy(part).view(kind).view(shape)
        self._raw = raw

    def put(self, split: str, row: int, states_TH: Tensor) -> None:
        """Write the states of one row."""
        offsets = self.offsets[split]
        self._states[split][offsets[row] : offsets[row + 1]] = states_TH

    def close(self) -> None:
        """Have everything on the disk."""
        if self._raw is not None:
            self._raw.flush()


def read(path: Path, splits: Sequence[str]) -> dict[str, Rows]:
    """The rows of some splits; their bytes are read from the disk when they are used, and can be let go again."""
    found: dict[str, Rows] = {}
    with safe_open(path, framework="pt") as file:
        for name in splits:
            states_SH, offsets = file.get_tensor(name), file.get_tensor(f"{name}_offsets").tolist()
            rows = [states_SH[start:end] for start, end in itertools.pairwise(offsets)]
            found[name] = Rows(rows, file.get_tensor(f"{name}_cut").tolist())
    return found


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    # Twice: the file is copied when it becomes an artifact.
    if 2 * needed + SPARE_BYTES > free:
        raise StoreError(
            "there is no room on the disk for the states below the trained layers",
            seen=f"{free / 1e9:.1f} GB free",
            allowed=f"{(2 * needed + SPARE_BYTES) / 1e9:.1f} GB",
            next="free some space, point TUNESMITH_HOME elsewhere, or write `trainable: full`",
        )
