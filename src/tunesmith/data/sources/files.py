"""Files at the door: missing, empty, a folder or not text is said clearly before anything is parsed."""

from __future__ import annotations

import difflib
from pathlib import Path

from tunesmith.core.errors import DataError

HEAD_BYTES = 65_536
ZIP = b"PK\x03\x04"
SIGNATURES: dict[bytes, tuple[str, str]] = {
    ZIP: ("a zip archive inside another", "unpack it"),
    b"\x1f\x8b": ("a gzip file inside another", "decompress it with gunzip"),
    b"BZh": ("a bzip2 file", "decompress it with bunzip2"),
    b"\xfd7zXZ\x00": ("an xz file", "decompress it with unxz"),
    b"\x28\xb5\x2f\xfd": ("a zstd file inside another", "decompress it with unzstd"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it"),
    b"SQLite format 3\x00": ("a SQLite database", "read it with `kind: sql` and `url: sqlite:///{path}`"),
    b"PAR1": ("a Parquet file", "read it with `kind: parquet`"),
    b"ARROW1": ("an Arrow file", "read it with `kind: arrow`"),
    b"\xff\xff\xff\xff": ("an Arrow stream", "read it with `kind: arrow`"),
    b"FEA1": ("a Feather file of the first version", "write it again with `pyarrow.feather.write_feather`"),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an old Office file (.xls, .doc)", "save the sheet as CSV"),
    b"%PDF-": ("a PDF file", "extract its text first"),
    b"\x89PNG": ("a PNG image", "name a text file"),
    b"\xff\xd8\xff": ("a JPEG image", "name a text file"),
    b"GIF8": ("a GIF image", "name a text file"),
    b"\x7fELF": ("a program", "name a text file"),
}
TAR, TAR_AT = b"ustar", 257
CONTROL_BYTES = bytes(byte for byte in range(32) if byte not in b"\0\t\n\v\f\r\x1b")
MAX_CONTROL_SHARE = 0.05
MAX_NUL_SHARE = 0.3
"""Above these shares of the head it is not text: random bytes hold about 10 % control characters."""
MIN_CONTROL_BYTES = 32
"""Fewer odd bytes are dirt, however short the file."""


def require_file(path: Path, *, source: str) -> Path:
    """The path, once it is known to be a file that can be opened and is not empty.

    Raises: DataError naming the nearest files of the folder.
    """
    if path.is_dir():
        files = sorted(entry.name for entry in path.iterdir() if entry.is_file())
        raise DataError(
            f"source `{source}`: the path is a folder, not a file",
            seen=path,
            allowed=_some(files) or "a file; this folder holds none",
            next=f"name one file, for example `path: {path / files[0]}`" if files else "correct `path`",
        )
    if not path.exists():
        raise _missing(path, source)
    try:
        with path.open("rb") as stream:
            is_empty = not stream.read(1)
    except OSError as error:
        raise DataError(
            f"source `{source}`: the file cannot be opened",
            seen=f"{path}: {error.strerror}",
            next="give this user the right to read it",
        ) from error
    if is_empty:
        raise DataError(
            f"source `{source}`: the file is empty",
            seen=f"{path} (0 bytes)",
            allowed="at least one record",
            next="export it again, or remove the source",
        )
    return path


def _missing(path: Path, source: str) -> DataError:
    folder = path.parent
    if not folder.is_dir():
        while not folder.is_dir():
            folder = folder.parent
        return DataError(
            f"source `{source}`: the folder of the file does not exist",
            seen=path,
            allowed=f"{folder} exists and holds: {_some(sorted(entry.name for entry in folder.iterdir()))}",
            next="correct `path` in the recipe",
        )
    files = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    near = difflib.get_close_matches(path.name, files, n=3, cutoff=0.5)
    return DataError(
        f"source `{source}`: there is no such file",
        seen=path,
        allowed=_some(near or files) or f"nothing: {folder} holds no files",
        next=f"did you mean `{path.with_name(near[0])}`?" if near else "correct `path` in the recipe",
    )


def _some(names: list[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def named(head: bytes, path: Path) -> tuple[str, str] | None:
    """What a file of a known binary format is, by its first bytes, and the way out; nothing where it is unknown."""
    for signature, (what, way_out) in SIGNATURES.items():
        if head.startswith(signature):
            return what, way_out.format(path=path)
    return ("a tar archive", "unpack it") if head[TAR_AT : TAR_AT + len(TAR)] == TAR else None


def refuse_binary(path: Path, head: bytes, *, source: str, is_wide: bool) -> None:
    """Raise DataError where a file's head is not text; ``is_wide`` text (UTF-16) may be full of NULs."""
    if (found := named(head, path)) is not None:
        raise _binary(path, source, *found)
    if is_wide:
        return
    num_control, num_nul = sum(head.count(byte) for byte in CONTROL_BYTES), head.count(0)
    if num_control + num_nul < MIN_CONTROL_BYTES:
        return
    if num_control > MAX_CONTROL_SHARE * len(head) or num_nul > MAX_NUL_SHARE * len(head):
        raise _binary(path, source, "a binary file", "name a text file")


def _binary(path: Path, source: str, what: str, way_out: str) -> DataError:
    return DataError(
        f"source `{source}`: the file is {what}, not text",
        seen=path,
        allowed="separated text (`kind: csv`), JSON (`jsonl`, `json`) or plain text (`text`), packed or not",
        next=way_out,
    )
