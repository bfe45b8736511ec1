"""Text files as decoded blocks of whole lines, in bounded memory, whatever their encoding."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.data.sources.compressed import open_bytes, packing_of
from tunesmith.data.sources.files import HEAD_BYTES, refuse_binary, require_file

CHUNK_BYTES = 1 << 20
LINE_BYTES = 16 * 1024 * 1024
"""The longest line that is read; a longer one is refused, not held in memory."""
BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    # UTF-32 first: its little-endian mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# cp1252 leaves five bytes undefined; they are read as the control characters of latin-1, as browsers do.
_CP1252 = "".join(
    bytes([byte]).decode("latin-1" if byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else "cp1252") for byte in range(256)
)


@dataclass(frozen=True)
class Encoding:
    """How a file's bytes become text."""

    codec: str
    label: str
    """Named as users know it: ``utf-8``, ``mixed utf-8 and cp1252``."""
    num_bom_bytes: int = 0
    has_fallback: bool = False
    """Lines that are not valid UTF-8 are read as cp1252."""
    num_fallback_lines: int = 0
    packing: str = ""
    """``gzip``, ``zstd`` or ``zip`` where the file is packed."""

    @property
    def names(self) -> tuple[str, ...]:
        """The encoding and, where there is one, the packing, for a description."""
        return (self.label, self.packing) if self.packing else (self.label,)

    @property
    def is_wide(self) -> bool:
        """Whether a line break takes more than one byte."""
        return self.codec.startswith(("utf-16", "utf-32"))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of how the text was decoded."""
        if not self.num_fallback_lines:
            return ()
        number = self.num_fallback_lines
        lines = "1 line is" if number == 1 else f"{number} lines are"
        return (f"{lines} not valid UTF-8, read as cp1252; set `encoding` if letters look wrong",)


@dataclass(frozen=True)
class Unreadable:
    """A line that cannot be given as text, in its place among the blocks."""

    reason: str
    head: str


def check_codec(name: str | None) -> str | None:
    """The name of an encoding, once it is known to exist.

    Raises: RecipeError.
    """
    if name is None:
        return None
    try:
        is_text = getattr(codecs.lookup(name), "_is_text_encoding", True)
    except LookupError:
        is_text = False
    if not is_text:
        raise RecipeError(
            "there is no such text encoding",
            seen=f"encoding: {name}",
            allowed="utf-8, utf-16, cp1252, latin-1 and the other encodings of Python",
            next="leave `encoding` out to have it detected",
        )
    return name


def detect(path: Path, declared: str | None, *, source: str) -> Encoding:
    """The encoding of a text file; all its bytes are looked at, since the odd one may stand at the end.

    Raises: DataError when the file is missing, empty or not text.
    """
    found = from_head(path, declared, source=source)
    return found if declared is not None or found.codec != "utf-8" else _survey(path, found, source)


def from_head(path: Path, declared: str | None, *, source: str) -> Encoding:
    """The encoding as declared or by the first bytes; UTF-8 where they do not say.

    Raises: DataError when the file is missing, empty or not text.
    """
    require_file(path, source=source)
    packing = packing_of(path)
    head = read_head(path, source=source)
    bom, codec = next(((mark, name) for mark, name in BOMS if head.startswith(mark)), (b"", _wide_codec(head)))
    is_wide_declared = declared is not None and codecs.lookup(declared).name.startswith(("utf-16", "utf-32"))
    refuse_binary(path, head, source=source, is_wide=is_wide_declared or (codec is not None and codec != "utf-8"))
    if declared is not None:
        chosen = codec if codec is not None and bom and is_wide_declared else codecs.lookup(declared).name
        return Encoding(chosen, declared, len(bom) if chosen.startswith("utf") else 0, packing=packing)
    codec = codec or "utf-8"
    return Encoding(codec, codec + (" with BOM" if bom else ""), len(bom), packing=packing)


def read_head(path: Path, *, source: str, num_bytes: int = HEAD_BYTES) -> bytes:
    """The file's first bytes, unpacked where it is packed."""
    head = b""
    with open_bytes(path, source=source) as stream:
        while len(head) < num_bytes and (chunk := stream.read(num_bytes - len(head))):
            head += chunk
    return head[:num_bytes]


def _wide_codec(head: bytes) -> str | None:
    """UTF-16 without its mark: in Western text every second byte is NUL."""
    pairs = max(len(head) // 2, 1)
    low, high = head[0::2].count(0) / pairs, head[1::2].count(0) / pairs
    if high > 0.4 and low < 0.1:
        return "utf-16-le"
    if low > 0.4 and high < 0.1:
        return "utf-16-be"
    return None


def _survey(path: Path, found: Encoding, source: str) -> Encoding:
    has_utf8, num_fallback_lines = found.num_bom_bytes > 0, 0
    with open_bytes(path, source=source) as stream:
        stream.read(found.num_bom_bytes)
        for raw in _raw_blocks(stream, is_cr_break=True):
            if isinstance(raw, Unreadable) or raw.isascii():
                continue
            try:
                raw.decode()
                has_utf8 = True
            except UnicodeDecodeError:
                for line in raw.splitlines():
                    is_valid = _is_utf8(line)
                    num_fallback_lines += not is_valid
                    has_utf8 = has_utf8 or (is_valid and not line.isascii())
    label = found.label
    if num_fallback_lines:
        label = "mixed utf-8 and cp1252" if has_utf8 else "cp1252"
    return replace(found, label=label, has_fallback=True, num_fallback_lines=num_fallback_lines)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def decode_line(line: bytes) -> str:
    """A line as UTF-8, or as cp1252 where it is not valid UTF-8."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return codecs.charmap_decode(line, "strict", _CP1252)[0]


def blocks(path: Path, encoding: Encoding, *, source: str, is_cr_break: bool = True) -> Iterator[str | Unreadable]:
    """The text in order, in blocks that end at a line break; lines that cannot be read stand among them.

    ``is_cr_break``: a lone carriage return ends a line too, as in files of old Macs.
    """
    with open_bytes(path, source=source) as stream:
        stream.read(encoding.num_bom_bytes)
        if encoding.is_wide:
            yield from _wide_blocks(stream, encoding, source, is_cr_break)
            return
        for raw in _raw_blocks(stream, is_cr_break):
            if isinstance(raw, Unreadable):
                yield raw
            else:
                yield from _decoded(raw, encoding)


def _decoded(raw: bytes, encoding: Encoding) -> Iterator[str | Unreadable]:
    try:
        yield raw.decode(encoding.codec)
    except UnicodeDecodeError:
        lines = raw.splitlines(keepends=True)
        if encoding.has_fallback:
            yield "".join(map(decode_line, lines))
            return
        for line in lines:
            try:
                yield line.decode(encoding.codec)
            except UnicodeDecodeError:
                yield Unreadable(f"not valid {encoding.label}", line[:LINE_BYTES].decode(errors="backslashreplace"))


def _raw_blocks(stream: Readable, is_cr_break: bool) -> Iterator[bytes | Unreadable]:
    """Bytes up to the last line break of each chunk; a line of more than ``LINE_BYTES`` is skipped as unreadable."""
    rest = b""
    skipped_head: bytes | None = None
    while chunk := stream.read(CHUNK_BYTES):
        # A carriage return that ends the chunk may be the first half of \r\n: left for the next one.
        first, last = _breaks(chunk, is_cr_break)
        if first < 0:
            if skipped_head is None:
                rest += chunk
                if len(rest) > LINE_BYTES:
                    skipped_head, rest = rest[:CHUNK_BYTES], b""
            continue
        if skipped_head is not None or len(rest) + first > LINE_BYTES:
            yield _long(skipped_head or rest[:CHUNK_BYTES])
            skipped_head, rest, chunk, last = None, b"", chunk[first + 1 :], last - first - 1
        if last >= 0:
            yield rest + chunk[: last + 1]
            rest = chunk[last + 1 :]
        else:
            rest = chunk
    if skipped_head is not None:
        yield _long(skipped_head)
    elif rest:
        yield rest


def _breaks(chunk: bytes, is_cr_break: bool) -> tuple[int, int]:
    """Where the first and the last line break of a chunk end, -1 where there is none."""
    first, last = chunk.find(b"\n"), chunk.rfind(b"\n")
    if first < 0 and is_cr_break:
        first, last = chunk.find(b"\r", 0, len(chunk) - 1), chunk.rfind(b"\r", 0, len(chunk) - 1)
    return first, last


def _long(head: bytes) -> Unreadable:
    return Unreadable(f"line longer than {LINE_BYTES // (1024 * 1024)} MB", head.decode(errors="backslashreplace"))


def _wide_blocks(stream: Readable, encoding: Encoding, source: str, is_cr_break: bool) -> Iterator[str | Unreadable]:
    """Blocks of UTF-16 or UTF-32, re-cut as UTF-8 so that one place knows about long lines."""
    recoded = _Recoded(stream, encoding, source)
    for raw in _raw_blocks(recoded, is_cr_break):
        yield raw if isinstance(raw, Unreadable) else raw.decode()


class Characters:
    """The text in order, in chunks that end anywhere: for documents whose lines mean nothing and may be endless."""

    def __init__(self, path: Path, encoding: Encoding, declared: str | None, *, source: str) -> None:
        self._path, self._encoding, self._source = path, encoding, source
        self._has_fallback = declared is None and encoding.codec == "utf-8"
        self.num_fallback_bytes = 0
        """Bytes so far that are not valid UTF-8 and were read as cp1252."""

    def __iter__(self) -> Iterator[str]:
        self.num_fallback_bytes, num_bytes = 0, self._encoding.num_bom_bytes
        decoder = codecs.getincrementaldecoder(self._encoding.codec)(_FALLBACK if self._has_fallback else "strict")
        with open_bytes(self._path, source=self._source) as stream:
            stream.read(num_bytes)
            while True:
                chunk = stream.read(CHUNK_BYTES)
                before, num_bytes = len(_fallback_bytes), num_bytes + len(chunk)
                try:
                    text = decoder.decode(chunk, not chunk)
                except UnicodeDecodeError as error:
                    raise _not_valid(self._source, self._encoding, error.reason, num_bytes) from None
                self.num_fallback_bytes += len(_fallback_bytes) - before
                _fallback_bytes.clear()
                if text:
                    yield text
                if not chunk:
                    return


_FALLBACK = "tunesmith-cp1252"
_fallback_bytes = bytearray()


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    odd = error.object[error.start : error.end]
    _fallback_bytes.extend(odd)
    return codecs.charmap_decode(odd, "strict", _CP1252)[0], error.end


codecs.register_error(_FALLBACK, _as_cp1252)


def _not_valid(source: str, encoding: Encoding, reason: str, num_bytes: int) -> DataError:
    return DataError(
        f"source `{source}`: the file is not valid {encoding.label}",
        seen=f"{reason} before byte {num_bytes}",
        next="export the file again as UTF-8, or set `encoding`",
    )


class Readable(Protocol):
    """Bytes that are read once from the start."""

    def read(self, num_bytes: int, /) -> bytes:
        """At most about as many bytes; empty only at the end."""


class _Recoded:
    """A byte stream of UTF-16 or UTF-32, read as UTF-8."""

    def __init__(self, stream: Readable, encoding: Encoding, source: str) -> None:
        self._stream, self._encoding, self._source = stream, encoding, source
        self._decoder = codecs.getincrementaldecoder(encoding.codec)()
        self._num_bytes = encoding.num_bom_bytes

    def read(self, num_bytes: int, /) -> bytes:
        """About as many bytes; empty at the end."""
        while True:
            chunk = self._stream.read(num_bytes)
            self._num_bytes += len(chunk)
            try:
                text = self._decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                raise _not_valid(self._source, self._encoding, error.reason, self._num_bytes) from None
            if text or not chunk:
                return text.encode()
