"""Tables are written so that who reads them in parts holds little."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tunesmith.data import row_groups
from tunesmith.data.row_groups import parts, write_table


@pytest.fixture
def frame(monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    monkeypatch.setattr(row_groups, "GROUP_BYTES", 10_000)
    return pl.DataFrame({"text": [f"{number:04d}" * 250 for number in range(95)]})  # 1,000 bytes a row


def test_a_file_has_groups_of_about_so_many_bytes(frame: pl.DataFrame, tmp_path: Path) -> None:
    write_table(frame, tmp_path / "a.parquet")
    write_table(frame, tmp_path / "b.parquet")
    batches = list(pl.scan_parquet(tmp_path / "a.parquet").collect_batches(maintain_order=True))
    assert max(one.estimated_size() for one in batches) <= 11_000 and len(batches) >= 9
    assert pl.concat(batches).equals(frame)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_parts_are_bounded_by_rows_and_by_bytes(frame: pl.DataFrame) -> None:
    for most_rows, height in ((3, 3), (1000, 10)):
        found = list(parts(frame, most_rows))
        assert pl.concat(found).equals(frame)
        assert max(one.height for one in found) == height


@pytest.mark.parametrize("num_rows", [0, 1])
def test_a_table_of_nothing_and_a_row_larger_than_a_group_are_written(num_rows: int, tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": ["x" * 50_000_000] * num_rows}, schema={"text": pl.String})
    write_table(frame, tmp_path / "a.parquet")
    assert pl.read_parquet(tmp_path / "a.parquet").equals(frame)
    assert sum(one.height for one in parts(frame, 10)) == num_rows
