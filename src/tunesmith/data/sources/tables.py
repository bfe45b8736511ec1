"""Binary table files at the door: what a file is that is not of its kind, and what is said of a damaged one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from tunesmith.core.errors import DataError
from tunesmith.data.sources.compressed import packing_of
from tunesmith.data.sources.files import named

HEAD_BYTES = 512
READER_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)
"""What the readers raise at damaged bytes; some they notice only by a panic."""


def require_magic(path: Path, what: str, magics: Mapping[bytes, bytes], *, source: str) -> bytes:
    """The magic a file begins with; ``magics`` gives for each the bytes that must end the file.

    Raises: DataError where the file is another format, or was cut short.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        size = stream.seek(0, 2)
        stream.seek(max(size - HEAD_BYTES, 0))
        tail = stream.read()
    magic = next((magic for magic in magics if head.startswith(magic)), None)
    if magic is None:
        raise _another(path, what, head, source)
    if not tail.endswith(magics[magic]) or len(head) + len(tail) < 2 * len(magic) + 4:
        raise DataError(
            f"source `{source}`: the {what} file does not end as one does: it was cut short",
            seen=f"{path}: {size:,} bytes, the last {tail[-8:].hex(' ')}",
            next="copy or export the file again",
        )
    return magic


def _another(path: Path, what: str, head: bytes, source: str) -> DataError:
    found = named(head, path)
    if packing := packing_of(path):
        found = f"packed with {packing}", f"unpack it; {what} packs its own columns"
    if found is None:
        is_text = not any(byte < 9 for byte in head)
        kinds = "`kind: json` or `kind: jsonl`" if head.lstrip()[:1] in (b"{", b"[") else "`kind: csv` or `kind: text`"
        found = ("text", f"read it with {kinds}") if is_text else ("of an unknown format", "export it again")
    return DataError(
        f"source `{source}`: the file is {found[0]}, not a {what} file"
        if what != "Arrow"
        else f"source `{source}`: the file is {found[0]}, not an Arrow file",
        seen=f"{path}: begins with {head[:16]!r}",
        next=found[1],
    )


def cannot_be_read(path: Path, what: str, error: Exception, *, source: str) -> DataError:
    """What a reader's complaint about a damaged file is turned into."""
    return DataError(
        f"source `{source}`: the {what} file is damaged",
        seen=f"{path}: {str(error).splitlines()[0][:300]}",
        next="copy or export the file again",
    )
