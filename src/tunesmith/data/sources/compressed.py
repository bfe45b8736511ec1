"""Files as plain bytes: gzip, zstd and zip with one member are unpacked as they are read, told by their first bytes."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol

from tunesmith.core.errors import DataError
from tunesmith.data.sources.bounds import Meter

GZIP, ZSTD, ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
PACKINGS = {GZIP: "gzip", ZSTD: "zstd", ZIP: "zip"}
ENDINGS = (".gz", ".gzip", ".zst", ".zstd", ".zip")
"""What is taken off a file's name to see the ending of what is packed."""
GZIP_FEED_BYTES = 65_536
ZSTD_FEED_BYTES = 512
"""zstd gives all that its input holds at once: four bytes may be 128 KiB, so this is 16 MiB at most."""
ZSTD_WINDOW_BYTES = 128 * 1024 * 1024
"""The most memory a frame may ask for; the same as zstd's own command line allows."""
END_RECORD = b"PK\x05\x06"
END_RECORD_BYTES = 65_557
MAX_ENTRIES = 1_000


class Bytes(Protocol):
    """A stream that is read once from its start."""

    def read(self, num_bytes: int, /) -> bytes:
        """At most about as many bytes; empty only at the end."""

    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Bytes: ...

    def __exit__(self, kind: Any, error: Any, trace: Any, /) -> None: ...


def packing_of(path: Path) -> str:
    """``gzip``, ``zstd`` or ``zip`` by the file's first bytes; empty where it is none of them."""
    with path.open("rb") as stream:
        head = stream.read(4)
    return next((name for magic, name in PACKINGS.items() if head.startswith(magic)), "")


def open_bytes(path: Path, *, source: str) -> Bytes:
    """The file's bytes, unpacked where it is packed.

    Raises: DataError, then or while reading, where the file is damaged, out of proportion or a zip of several files.
    """
    packing = packing_of(path)
    if packing == "zip":
        return _ZipMember(path, source)
    if packing:
        return _Unpacked(path, source, packing)
    return path.open("rb")


def plain_name(name: str) -> str:
    """A file's name without the endings that say how it is packed, in lower case."""
    name = name.lower()
    ending = next((ending for ending in ENDINGS if name.endswith(ending)), "")
    return name.removesuffix(ending)


class _Stream:
    """What all unpacked streams share: the file below, and the meter."""

    def __init__(self, path: Path, source: str, packing: str) -> None:
        self._path, self._source, self._packing = path, source, packing
        self._raw: IO[bytes] = path.open("rb")
        self._meter = Meter(path, source=source, what=f"the {packing} file")

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _damaged(self, why: str) -> DataError:
        return DataError(
            f"source `{self._source}`: the {self._packing} file {why}",
            seen=f"{self._path}, after {self._meter.num_out_bytes:,} bytes of content",
            next="copy or export the file again",
        )


class _Unpacked(_Stream):
    """The content of a gzip or zstd file, one member or frame after the other."""

    def __init__(self, path: Path, source: str, packing: str) -> None:
        super().__init__(path, source, packing)
        self._magic = GZIP if packing == "gzip" else ZSTD
        self._feed_bytes = GZIP_FEED_BYTES if packing == "gzip" else ZSTD_FEED_BYTES
        self._new: Callable[[], Any] = (lambda: zlib.decompressobj(31)) if packing == "gzip" else _zstd
        self._coder: Any = self._new()
        self._pending = b""

    def read(self, num_bytes: int, /) -> bytes:
        """About as many bytes; empty at the end, which must be the end of a member."""
        parts: list[bytes] = []
        num_read = 0
        while num_read < num_bytes:
            content = self._next(num_bytes - num_read)
            if content is None:
                break
            parts.append(content)
            num_read += len(content)
        return b"".join(parts)

    def _next(self, num_bytes: int) -> bytes | None:
        """Some content, which may be none yet; null at the end."""
        if self._coder.eof and not self._begin_next():
            return None
        data = self._pending or self._raw.read(self._feed_bytes)
        if not data:
            raise self._damaged("ends in the middle: it was cut short")
        content = self._decompress(data, num_bytes)
        self._meter.add(len(content), self._raw.tell() - len(self._pending))
        return content

    def _decompress(self, data: bytes, num_bytes: int) -> bytes:
        try:
            if self._packing == "gzip":
                content = bytes(self._coder.decompress(data, num_bytes))
                self._pending = self._coder.unconsumed_tail
            else:
                content = bytes(self._coder.decompress(data[: self._feed_bytes]))
                self._pending = data[self._feed_bytes :]
        except Exception as error:
            if not isinstance(error, zlib.error) and type(error).__name__ != "ZstdError":
                raise
            raise self._damaged(f"is damaged ({error})") from None
        if self._coder.eof:
            self._pending = self._coder.unused_data + (self._pending if self._packing == "zstd" else b"")
        return content

    def _begin_next(self) -> bool:
        """Whether another member follows the one that ended; zeros that pad a tape are passed over."""
        while len(self._pending) < len(self._magic):
            more = self._raw.read(self._feed_bytes)
            if not more:
                break
            self._pending = (self._pending + more).lstrip(b"\0")
        rest = self._pending.lstrip(b"\0")
        if not rest:
            self._pending = b""
            return False
        if not rest.startswith(self._magic) and not _is_skippable(rest, self._packing):
            raise self._damaged("goes on with other bytes after its end")
        self._pending, self._coder = rest, self._new()
        return True


def _is_skippable(head: bytes, packing: str) -> bool:
    return packing == "zstd" and 0x50 <= head[0] <= 0x5F and head[1:4] == b"\x2a\x4d\x18"


def _zstd() -> Any:
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).decompressobj()


class _ZipMember(_Stream):
    """The only file of a zip archive; its name is not used and nothing is written."""

    def __init__(self, path: Path, source: str) -> None:
        super().__init__(path, source, "zip")
        try:
            self._member = self._open()
        except BaseException:
            self._raw.close()
            raise

    def read(self, num_bytes: int, /) -> bytes:
        """About as many bytes; empty at the end."""
        try:
            content = self._member.read(num_bytes)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise self._damaged(f"is damaged ({str(error) or 'it was cut short'})") from None
        self._meter.add(len(content), self._stored_bytes)
        return content

    def _open(self) -> IO[bytes]:
        size = self._path.stat().st_size
        self._raw.seek(max(size - END_RECORD_BYTES, 0))
        tail = self._raw.read()
        at = tail.rfind(END_RECORD)
        if at < 0 or len(tail) - at < 22:
            raise self._damaged("has no directory at its end: it was cut short")
        # Looked at before zipfile reads the directory: a million entries would fill the memory.
        (num_entries,) = struct.unpack_from("<H", tail, at + 10)
        if num_entries > MAX_ENTRIES:
            raise self._many(f"{num_entries} files or more")
        try:
            archive = zipfile.ZipFile(self._raw)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise self._damaged(f"is damaged ({error})") from None
        members = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")]
        if len(members) != 1:
            names = [one.filename for one in members]
            if any(name == "[Content_Types].xml" for name in names):
                raise self._many("an Excel or Word file", "save the sheet as CSV")
            raise self._many(", ".join(names[:8]) + (" …" if len(names) > 8 else "") or "no file")
        (member,) = members
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            how = "a password" if member.flag_bits & 1 else "another method than deflate"
            raise self._many(f"{member.filename}, packed with {how}")
        self._stored_bytes = member.compress_size
        self._meter.check(member.file_size, member.compress_size)
        try:
            return archive.open(member)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise self._damaged(f"is damaged ({error})") from None

    def _many(
        self, seen: str, way_out: str = "unpack it and name the file, or the folder, that holds rows"
    ) -> DataError:
        return DataError(
            f"source `{self._source}`: a zip archive is read only where it holds exactly one plain file",
            seen=f"{self._path}: {seen}",
            allowed="one file, stored or deflated, without a password",
            next=way_out,
        )
