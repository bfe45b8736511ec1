"""Folders and patterns of files, and text files: what belongs together, in which order, and what differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.source import Refused
from tunesmith.data.sources import file_set, plain_text
from tunesmith.data.sources.csv import CsvConfig, CsvSource
from tunesmith.data.sources.jsonl import JsonlConfig
from tunesmith.data.sources.plain_text import TextConfig, TextSource
from tunesmith.data.sources.several import SeveralFiles, open_files


def put(folder: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def rows(source: Any) -> tuple[list[dict[str, Any]], list[Refused]]:
    batches = list(source.read())
    found = [dict(zip(batch.columns, row, strict=True)) for batch in batches
             for row in zip(*batch.columns.values(), strict=True)]  # fmt: skip
    return found, [one for batch in batches for one in batch.refused]


def test_a_file_is_read_as_before(tmp_path: Path) -> None:
    put(tmp_path, a_csv="text\nhello there\n")
    assert isinstance(open_files(CsvConfig(name="s", path=str(tmp_path / "a.csv"))), CsvSource)


def test_columns_are_united_and_differences_told(tmp_path: Path) -> None:
    put(tmp_path, b_csv="text,label\nb,x\n", a_csv="label;text;tier\ny;a;gold\n", notes_md="not rows")
    source = open_files(CsvConfig(name="s", path=str(tmp_path)))
    description = source.describe()
    assert description.columns == ("label", "text", "tier")
    assert description.format == "2 files, csv (semicolon, utf-8, header); csv (comma, utf-8, header)"
    assert description.notes == (
        "1 file of the folder has another ending: not read", "column `tier` is in 1 of 2 files: a.csv"
    )  # fmt: skip
    assert rows(source)[0] == [
        {"label": "y", "text": "a", "tier": "gold"}, {"label": "x", "text": "b", "tier": None}
    ]  # fmt: skip


def test_a_mapped_column_that_one_file_lacks_is_an_error_with_the_nearest(tmp_path: Path) -> None:
    put(tmp_path, a_csv="message,label\na,x\n", b_csv="messages,label\nb,y\n", c_csv="message,label\nc,x\n")
    source = open_files(CsvConfig(name="s", path=f"{tmp_path}/*.csv", columns={"text": "message"}))
    for look in (source.describe, lambda: list(source.read())):
        with pytest.raises(DataError, match=r"`message` is missing from 1 of 3 files: b\.csv") as caught:
            look()
        assert "`messages` is the nearest" in str(caught.value.seen)


def test_refused_records_name_their_file_and_are_numbered_through(tmp_path: Path) -> None:
    put(tmp_path, a_jsonl='{"t": 1}\noops\n{"t": 2}\n', b_jsonl='{"t": 3}\n[]\n')
    found, refused = rows(open_files(JsonlConfig(name="s", path=str(tmp_path))))
    assert [row["t"] for row in found] == [1, 2, 3]
    assert refused == [
        Refused("invalid JSON", "a.jsonl, record 2: oops", 2), Refused("not a JSON object", "b.jsonl, record 2: []", 5)
    ]  # fmt: skip


def test_the_fingerprint_is_over_names_and_bytes_of_all(tmp_path: Path) -> None:
    put(tmp_path, a_csv="text,label\na,x\n", b_csv="text,label\nb,x\n")
    config = CsvConfig(name="s", path=str(tmp_path))
    first = open_files(config).fingerprint()
    assert open_files(config).fingerprint() == first
    put(tmp_path, readme_md="other files change nothing")
    assert open_files(config).fingerprint() == first
    (tmp_path / "b.csv").rename(tmp_path / "c.csv")
    renamed = open_files(config).fingerprint()
    put(tmp_path, d_csv="text,label\nc,x\n")
    assert len({first, renamed, open_files(config).fingerprint()}) == 3


def test_patterns_take_subfolders_and_pass_over_hidden_files(tmp_path: Path) -> None:
    put(tmp_path, x__a_csv="text,label\n1,x\n", b_csv="text,label\n2,x\n", y__z__c_csv="text,label\n3,x\n")
    (tmp_path / ".hidden.csv").write_text("text,label\n4,x\n")
    for path, expected in (("**/*.csv", "213"), ("*.csv", "2"), ("x/*", "1"), ("?/*/c.csv", "3"), ("", "213")):
        source = open_files(CsvConfig(name="s", path=str(tmp_path / path), header=True))
        assert "".join(row["text"] for row in rows(source)[0]) == expected, path


def test_nothing_found_says_what_is_there(tmp_path: Path) -> None:
    put(tmp_path, a_jsonl="{}")
    for path in (tmp_path, tmp_path / "*.csv"):
        with pytest.raises(DataError, match=r"no file (of this folder|fits)") as caught:
            open_files(CsvConfig(name="s", path=str(path))).fingerprint()
        assert ".jsonl" in str(caught.value.allowed)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_set, "MAX_FILES", 1)
    put(tmp_path, a_csv="text\n1\n", b_csv="text\n2\n")
    with pytest.raises(DataError, match="too many files"):
        open_files(CsvConfig(name="s", path=str(tmp_path))).describe()


def test_a_broken_file_among_tables_is_named(tmp_path: Path) -> None:
    put(tmp_path, a_csv="text,label\na,x\n", b_csv=b"\x89PNG\r\n\x1a\n")
    source = open_files(CsvConfig(name="s", path=str(tmp_path)))
    assert isinstance(source, SeveralFiles)
    with pytest.raises(DataError, match="PNG") as caught:
        source.describe()
    assert "b.csv" in str(caught.value.seen)


def text(path: Path, **more: Any) -> TextSource:
    return TextSource(TextConfig(name="s", path=str(path), **more))


def test_documents_are_whole_and_unaltered(tmp_path: Path) -> None:
    put(tmp_path, pos__1_txt="\ufeffone\r\n\r\ntwo \n", neg__2_md="# Title\n\né", neg__3_txt="ï".encode("cp1252"))
    source = text(tmp_path)
    found, refused = rows(source)
    assert [tuple(row.values()) for row in found] == [
        ("# Title\n\né", "neg/2.md", "neg"), ("ï", "neg/3.txt", "neg"), ("one\r\n\r\ntwo \n", "pos/1.txt", "pos")
    ]  # fmt: skip
    assert not refused and any("not valid UTF-8" in note for note in source.describe().notes)


def test_lines_and_paragraphs(tmp_path: Path) -> None:
    put(tmp_path, a_txt="one\r\ntwo\n\n \nthree\rfour\n\n\n")
    lines = text(tmp_path / "a.txt", per="line")
    assert [row["text"] for row in rows(lines)[0]] == ["one", "two", "three", "four"]
    assert lines.describe().notes == ("4 blank lines passed over",)
    paragraphs = text(tmp_path / "a.txt", per="paragraph")
    assert [row["text"] for row in rows(paragraphs)[0]] == ["one\ntwo", "three\nfour"]


def test_one_bad_file_costs_itself_and_not_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_text, "MAX_CHARS", 100)
    put(tmp_path, a_txt="good", b_txt="", c_txt=b"%PDF-1.7 ...", d_txt="long " * 100, e_txt="last")
    found, refused = rows(text(tmp_path))
    assert [row["text"] for row in found] == ["good", "last"]
    assert [(one.position, one.reason) for one in refused] == [
        (2, "a file that cannot be read"), (3, "a file that cannot be read"),
        (4, "a document of more than 0 million characters"),
    ]  # fmt: skip
    assert refused[1].record == "c.txt: the file is a PDF file, not text"
    with pytest.raises(DataError, match="PDF"):
        rows(text(tmp_path / "c.txt"))


def test_a_text_of_blank_lines_has_no_rows(tmp_path: Path) -> None:
    put(tmp_path, a_txt="\n \n")
    with pytest.raises(DataError, match="no rows"):
        rows(text(tmp_path / "a.txt", per="line"))


def test_real_text_files_and_gzip(shared_data: Path) -> None:
    minutes = text(shared_data / "fomc_minutes" / "MeetingDate*.txt")
    found, refused = rows(minutes)
    assert len(found) == 45 and not refused
    assert all(row["text"] and not row["text"].startswith("\ufeff") for row in found), "byte-order marks are no text"
    path = shared_data / "hh_rlhf_harmless" / "harmless-base_test.jsonl.gz"
    pairs = open_files(JsonlConfig(name="s", path=str(path)))
    assert pairs.describe().format == "jsonl (utf-8, gzip)"
    assert len(rows(pairs)[0]) == 2312
    trees = open_files(JsonlConfig(name="s", path=str(shared_data / "oasst_trees" / "en_100_tree.jsonl")))
    assert len(json.loads(rows(trees)[0][0]["prompt"])) > 3
