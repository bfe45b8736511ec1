"""Packed files: told by their bytes, read as if they were plain, refused where they are damaged or a bomb."""

from __future__ import annotations

import gzip
import io
import resource
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tunesmith.core.errors import DataError
from tunesmith.data.sources import bounds
from tunesmith.data.sources.compressed import open_bytes, packing_of, plain_name
from tunesmith.data.sources.csv import CsvConfig, CsvSource

CONTENT = b"text,label\n" + b"".join(b"message %d,label %d\n" % (number, number % 3) for number in range(50_000))


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


PACKED = {
    "gzip": gzip.compress(CONTENT),
    "zstd": zstandard.compress(CONTENT),
    "zip": zipped(rows=CONTENT),
}


def read(path: Path, num_bytes: int = 1 << 20) -> bytes:
    with open_bytes(path, source="s") as stream:
        return b"".join(iter(lambda: stream.read(num_bytes), b""))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("num_bytes", [100, 1 << 20])
def test_content_is_the_same_however_it_is_drawn(file: Path, packing: str, num_bytes: int) -> None:
    file.write_bytes(PACKED[packing])
    assert packing_of(file) == packing
    assert read(file, num_bytes) == CONTENT


@pytest.mark.parametrize("packing", PACKED)
def test_a_packed_csv_is_named_in_its_format(file: Path, packing: str) -> None:
    file.write_bytes(PACKED[packing])
    source = CsvSource(CsvConfig(name="s", path=str(file)))
    assert source.describe().format == f"csv (comma, utf-8, {packing}, header)"
    assert sum(batch.num_rows for batch in source.read()) == 50_000


def test_members_and_frames_follow_one_another(file: Path) -> None:
    file.write_bytes(gzip.compress(b"a\n") + gzip.compress(b"b\n") + bytes(1024))
    assert read(file) == b"a\nb\n", "zeros that pad a tape are no content"
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"
    file.write_bytes(zstandard.compress(b"a\n") + skippable + zstandard.compress(b"b\n"))
    assert read(file) == b"a\nb\n"


@pytest.mark.parametrize("packing", PACKED)
def test_a_file_cut_short_anywhere_is_an_error(file: Path, packing: str) -> None:
    whole = PACKED[packing]
    for num_bytes in (5, 20, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        file.write_bytes(whole[:num_bytes])
        with pytest.raises(DataError, match=r"cut short|damaged") as caught:
            read(file)
        assert caught.value.next


@pytest.mark.parametrize("packing", PACKED)
def test_damaged_bytes_are_an_error_or_change_nothing(file: Path, packing: str) -> None:
    whole = PACKED[packing]
    num_found = 0
    for at in range(10, len(whole), len(whole) // 60):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            content = read(file)
        except DataError:
            num_found += 1
        else:
            # zstd writes a checksum only where it is asked to.
            assert packing == "zstd" or content == CONTENT
    assert num_found > 30


def test_bytes_after_the_end_are_not_dropped(file: Path) -> None:
    file.write_bytes(gzip.compress(b"a\n") + b"more rows")
    with pytest.raises(DataError, match="goes on with other bytes"):
        read(file)


def bomb(packing: str) -> bytes:
    zeros = bytes(200_000_000)
    if packing == "zip":
        return zipped(bomb=zeros)
    return gzip.compress(zeros) if packing == "gzip" else zstandard.compress(zeros)


@pytest.mark.parametrize("packing", PACKED)
def test_a_bomb_is_refused_before_it_fills_the_memory(file: Path, packing: str) -> None:
    file.write_bytes(bomb(packing))
    assert file.stat().st_size < 250_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    num_bytes = 0
    with pytest.raises(DataError, match="bomb") as caught, open_bytes(file, source="s") as stream:
        while chunk := stream.read(1 << 20):
            num_bytes += len(chunk)
    assert num_bytes < 2 * bounds.FLOOR_BYTES
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024, "kilobytes"
    assert caught.value.next and "unpack it yourself" in caught.value.next
    with pytest.raises(DataError, match="bomb"):
        CsvSource(CsvConfig(name="s", path=str(file))).describe()


def test_a_small_zip_that_lies_about_its_size_is_refused_while_it_is_read(file: Path) -> None:
    whole = bytearray(zipped(bomb=bytes(40_000_000)))
    at = whole.rfind(b"PK\x01\x02")
    whole[at + 24 : at + 28] = (30_000_000).to_bytes(4, "little")
    file.write_bytes(whole)
    with pytest.raises(DataError, match=r"bomb|damaged"):
        read(file)


def test_the_bound_on_all_bytes_holds_too(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "FLOOR_BYTES", 1000)
    monkeypatch.setattr(bounds, "MAX_BYTES", 100_000)
    file.write_bytes(PACKED["gzip"])
    with pytest.raises(DataError, match="far more") as caught:
        read(file)
    assert "100,000" in str(caught.value.allowed)


@pytest.mark.parametrize(
    ("members", "seen"),
    [
        ({"a.csv": b"a", "b.csv": b"b"}, "a.csv, b.csv"),
        ({}, "no file"),
        ({"[Content_Types].xml": b"", "xl/workbook.xml": b""}, "Excel"),
        ({f"{number}.csv": b"" for number in range(1100)}, "1100 files"),
    ],
)
def test_a_zip_of_several_files_is_refused_with_a_way_out(file: Path, members: dict[str, bytes], seen: str) -> None:
    file.write_bytes(zipped(**members) if members else b"PK\x03\x04" + zipped())
    with pytest.raises(DataError, match=r"exactly one plain file|damaged") as caught:
        read(file)
    assert seen in str(caught.value) and caught.value.next


def test_a_zip_member_is_never_written_and_folders_do_not_count(file: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../outside/", b"")
        archive.writestr("__MACOSX/._rows.csv", b"junk")
        archive.writestr("../../outside/rows.csv", b"a\n")
    file.write_bytes(buffer.getvalue())
    before = sorted(file.parent.rglob("*"))
    assert read(file) == b"a\n" and sorted(file.parent.rglob("*")) == before


def test_packed_within_packed_and_tar_say_what_they_are(file: Path) -> None:
    cases: list[tuple[bytes, str]] = [(gzip.compress(PACKED["gzip"]), "gzip file inside another")]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("rows.csv"), io.BytesIO(b""))
    cases.append((gzip.compress(buffer.getvalue()), "tar archive"))
    for content, what in cases:
        file.write_bytes(content)
        with pytest.raises(DataError, match=what):
            CsvSource(CsvConfig(name="s", path=str(file))).describe()


@pytest.mark.parametrize(
    ("name", "plain"), [("A.CSV.GZ", "a.csv"), ("b.jsonl.zst", "b.jsonl"), ("c.json", "c.json"), ("d.zip", "d")]
)
def test_the_ending_below_the_packing(name: str, plain: str) -> None:
    assert plain_name(name) == plain


def test_an_empty_packed_file_has_no_records(file: Path) -> None:
    for content in (gzip.compress(b""), zstandard.compress(b""), zipped(rows=b"")):
        file.write_bytes(content)
        with pytest.raises(DataError, match="no records"):
            CsvSource(CsvConfig(name="s", path=str(file))).describe()


def test_utf16_in_gzip(file: Path) -> None:
    file.write_bytes(gzip.compress("text;label\nGrüße;a\n".encode("utf-16")))
    source: Any = CsvSource(CsvConfig(name="s", path=str(file)))
    (batch,) = source.read()
    assert batch.columns == {"text": ["Grüße"], "label": ["a"]}
