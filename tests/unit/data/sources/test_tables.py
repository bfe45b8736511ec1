"""Parquet and Arrow: what typed cells become, damaged and mistaken files, and bombs."""

from __future__ import annotations

import datetime
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tunesmith.core.errors import DataError
from tunesmith.data.sources import parquet_footer
from tunesmith.data.sources.arrow import ArrowSource
from tunesmith.data.sources.batches import BATCH_CHARS
from tunesmith.data.sources.parquet import ParquetSource
from tunesmith.data.sources.table_config import ArrowConfig, ParquetConfig

AnySource = ParquetSource | ArrowSource
WRITERS: dict[str, Any] = {
    "parquet": pl.DataFrame.write_parquet,
    "arrow": pl.DataFrame.write_ipc,
    "stream": pl.DataFrame.write_ipc_stream,
}


def opened(path: Path, kind: str) -> AnySource:
    if kind == "parquet":
        return ParquetSource(ParquetConfig(name="s", path=str(path)))
    return ArrowSource(ArrowConfig(name="s", path=str(path)))


def rows(source: AnySource) -> list[dict[str, Any]]:
    return [dict(zip(batch.columns, row, strict=True)) for batch in source.read()
            for row in zip(*batch.columns.values(), strict=True)]  # fmt: skip


@pytest.fixture(params=WRITERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def file(tmp_path: Path, kind: str) -> Path:
    return tmp_path / f"rows.{kind}"


def write(file: Path, kind: str, frame: pl.DataFrame, **how: Any) -> AnySource:
    WRITERS[kind](frame, file, **how)
    return opened(file, kind)


MOMENT = datetime.datetime(2024, 1, 2, 3, 4, 5, 600_000)
TYPED: dict[str, tuple[pl.Series, Any]] = {
    "text": (pl.Series(["é 🙂"]), "é 🙂"),
    "whole": (pl.Series([2**63 - 1], dtype=pl.Int64), 2**63 - 1),
    "unsigned": (pl.Series([2**64 - 1], dtype=pl.UInt64), 2**64 - 1),
    "real": (pl.Series([1.5]), 1.5),
    "is": (pl.Series([True]), True),
    "category": (pl.Series(["a"], dtype=pl.Categorical), "a"),
    "decimal": (pl.Series([Decimal("12345678901234567.890")], dtype=pl.Decimal(30, 3)), "12345678901234567.890"),
    "day": (pl.Series([datetime.date(2024, 2, 29)]), "2024-02-29"),
    "time": (pl.Series([datetime.time(3, 4, 5)]), "03:04:05"),
    "moment": (pl.Series([MOMENT]), "2024-01-02T03:04:05.600000"),
    "zoned": (pl.Series([MOMENT]).dt.replace_time_zone("Europe/Paris"), "2024-01-02T03:04:05.600000+01:00"),
    "nano": (pl.Series([1]).cast(pl.Datetime("ns")), "1970-01-01T00:00:00.000000001"),
    "lasts": (pl.Series([datetime.timedelta(days=1, seconds=2)]), "P1DT2S"),
    "utf8": (pl.Series([b"ok"]), "ok"),
    "bytes": (pl.Series([b"\xff\x00"]), "ff00"),
    "list": (pl.Series([["é", None]]), '["é",null]'),
    "struct": (pl.Series([{"a": 1, "b": [1.5]}]), '{"a":1,"b":[1.5]}'),
    "day inside": (pl.Series([[datetime.date(2024, 2, 29)]]), '["2024-02-29"]'),
    "nan inside": (pl.Series([[float("nan"), float("-inf")]]), '["NaN","-inf"]'),
    "nothing": (pl.Series([None]), None),
}


def test_typed_cells_become_plain_ones_without_loss(file: Path, kind: str) -> None:
    frame = pl.DataFrame([series.alias(name) for name, (series, _) in TYPED.items()])
    nulls = frame.select(pl.lit(None, dtype=dtype).alias(name) for name, dtype in frame.schema.items())
    first, second = rows(write(file, kind, pl.concat([frame, nulls])))
    assert first == {name: cell for name, (_, cell) in TYPED.items()}
    assert {type(cell) for cell in first.values()} <= {str, int, float, bool, type(None)}
    assert set(second.values()) == {None}


def test_nan_reads_as_missing_and_is_counted(file: Path, kind: str) -> None:
    frame = pl.DataFrame({"score": [1.0, float("nan"), None, float("nan"), float("inf")], "t": list("abcde")})
    source = write(file, kind, frame)
    assert [row["score"] for row in rows(source)] == [1.0, None, None, None, float("inf")]
    assert [row["score"] for row in rows(source)][1] is None, "and again"
    assert source.describe().notes == ("2 cells of `score` are NaN, read as missing",)


def test_a_file_cut_short_anywhere_is_an_error(file: Path, kind: str) -> None:
    write(file, kind, pl.DataFrame({"text": [f"text {number}" for number in range(2000)], "n": range(2000)}))
    whole = file.read_bytes()
    for num_bytes in [1, 4, 8, 12, *range(20, len(whole), len(whole) // 40), len(whole) - 1]:
        file.write_bytes(whole[:num_bytes])
        with pytest.raises(DataError, match=r"cut short|damaged|not an?") as caught:
            rows(opened(file, kind))
        assert caught.value.seen and caught.value.next


def test_a_stream_cut_between_two_batches_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "rows.arrow"
    frame = pl.DataFrame({"text": [f"text {number}" for number in range(3000)]})
    source = write(file, "stream", frame)
    assert len(rows(source)) == 3000
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(DataError, match="no mark of the end"):
        rows(opened(file, "stream"))


def test_damaged_bytes_never_end_the_process_or_lose_rows(file: Path, kind: str) -> None:
    write(file, kind, pl.DataFrame({"text": [f"text {number}" for number in range(300)], "l": [[1]] * 300}))
    whole, draw = file.read_bytes(), random.Random(0)
    for _ in range(80):
        at = draw.choice([draw.randrange(len(whole)), draw.randrange(max(len(whole) - 500, 0), len(whole))])
        file.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << draw.randrange(8))]) + whole[at + 1 :])
        try:
            assert len(rows(opened(file, kind))) == 300
        except DataError as error:
            assert error.next


@pytest.mark.parametrize(
    ("content", "seen", "way_out"),
    [
        (b"text,label\na,b\n", "is text", "csv"),
        (b'{"a": 1}\n', "is text", "json"),
        (b"\x1f\x8b\x08rest", "packed with gzip", "unpack"),
        (b"SQLite format 3\0", "SQLite", "sql"),
        (b"\x00\x01\x02", "unknown format", "export"),
    ],
)
def test_another_format_is_named(file: Path, kind: str, content: bytes, seen: str, way_out: str) -> None:
    file.write_bytes(content)
    with pytest.raises(DataError, match=seen) as caught:
        opened(file, kind).describe()
    assert way_out in str(caught.value.next)


def test_parquet_and_arrow_know_one_another(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": ["a"]})
    for written, read, way_out in (("parquet", "arrow", "parquet"), ("arrow", "parquet", "arrow"),
                                   ("stream", "parquet", "arrow")):  # fmt: skip
        WRITERS[written](frame, tmp_path / "rows")
        with pytest.raises(DataError) as caught:
            opened(tmp_path / "rows", read).describe()
        assert f"kind: {way_out}" in str(caught.value.next)


def test_no_rows_and_no_file_are_errors(file: Path, kind: str) -> None:
    with pytest.raises(DataError, match="no such file"):
        opened(file, kind).fingerprint()
    with pytest.raises(DataError, match="no rows"):
        rows(write(file, kind, pl.DataFrame({"text": []}, schema={"text": pl.String})))
    file.write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        opened(file, kind).describe()


def test_the_footer_gives_rows_and_bytes(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": [f"text {number}" for number in range(1000)], "tags": [["a", "b"]] * 1000})
    frame.write_parquet(tmp_path / "rows", row_group_size=100, compression="uncompressed")
    footer = parquet_footer.read(tmp_path / "rows")
    assert footer.num_rows == 1000
    assert 9_000 < footer.num_bytes < (tmp_path / "rows").stat().st_size


def test_rows_that_are_only_named_are_a_bomb(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    pl.DataFrame({"text": pl.repeat("x", 5_000_000, eager=True)}).write_parquet(file, row_group_size=5_000_000)
    assert file.stat().st_size < 20_000
    with pytest.raises(DataError, match="far more rows than it can hold"):
        opened(file, "parquet").describe()


def test_columns_that_unpack_to_far_more_are_a_bomb(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    pl.DataFrame({"text": ["x" * 1_000_000 + str(number) for number in range(40)]}).write_parquet(file)
    assert file.stat().st_size < 100_000
    with pytest.raises(DataError, match="bomb"):
        opened(file, "parquet").describe()


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.List(pl.String)])
def test_one_long_value_repeated_is_a_bomb(file: Path, kind: str, dtype: Any) -> None:
    """Stored once and shared while it is a column: only as cells of its own would it fill the memory."""
    value = "x" * 400_000
    one = pl.Series("text", [[value] if isinstance(dtype, pl.List) else value], dtype=dtype)
    source = write(file, kind, pl.DataFrame([one.new_from_index(0, 3_000)]), compression="zstd")
    most = 0
    with pytest.raises(DataError, match="bomb"):
        for batch in source.read():
            most = max(most, sum(map(len, batch.columns["text"])))
    assert most <= BATCH_CHARS


def test_names_that_repeat_case_and_oddity_are_kept_apart(tmp_path: Path) -> None:
    frame = pl.DataFrame({"Text": ["a"], "text": ["b"], " padded ": ["c"], "": ["d"]})
    source = write(tmp_path / "rows", "parquet", frame)
    assert source.describe().columns == ("Text", "text", "padded", "column_4")
    assert rows(source) == [{"Text": "a", "text": "b", "padded": "c", "column_4": "d"}]


def test_a_file_name_is_no_pattern(tmp_path: Path) -> None:
    file = tmp_path / "rows[1]*.parquet"
    assert rows(write(file, "parquet", pl.DataFrame({"text": ["a"]}))) == [{"text": "a"}]


def test_pyarrow_and_polars_files_read_alike(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    table = arrow.table({
        "text": ["a", None], "map": arrow.array([[("k", 1)], None], type=arrow.map_(arrow.string(), arrow.int64())),
        "dictionary": arrow.array(["x", "y"]).dictionary_encode(),
    })  # fmt: skip
    parquet.write_table(table, tmp_path / "a.parquet")
    feather.write_feather(table, tmp_path / "b.arrow")
    with arrow.ipc.new_stream(tmp_path / "c.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    expected = [{"text": "a", "map": json.dumps({"k": 1}, separators=(",", ":")), "dictionary": "x"},
                {"text": None, "map": None, "dictionary": "y"}]  # fmt: skip
    for name in ("a.parquet", "b.arrow", "c.arrow"):
        assert rows(opened(tmp_path / name, name.rpartition(".")[2])) == expected
