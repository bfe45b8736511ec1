"""Delimited text: what is detected, what is refused, and that nothing else changes."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.source import Refused
from tunesmith.data.sources import records, text
from tunesmith.data.sources.csv import CsvConfig, CsvSource


def source(path: Path, content: str | bytes, **more: Any) -> CsvSource:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return CsvSource(CsvConfig(name="s", path=str(path), **more))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


def read(opened: CsvSource) -> tuple[list[tuple[str, ...]], list[Refused]]:
    batches = list(opened.read())
    rows = [row for batch in batches for row in zip(*batch.columns.values(), strict=True)]
    return rows, [one for batch in batches for one in batch.refused]


@pytest.mark.parametrize(("delimiter", "name"), [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "pipe")])
def test_delimiter_is_detected(file: Path, delimiter: str, name: str) -> None:
    rows = [("text", "label", "id"), ("a, b; c | d", "x", "1"), ("e", "y", "2")]
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    opened = source(file, buffer.getvalue())
    assert opened.describe().format == f"csv ({name}, utf-8, header)"
    assert read(opened)[0] == rows[1:]


def test_one_column_of_sentences_is_not_cut_at_its_commas(file: Path) -> None:
    opened = source(file, "text\nHello, you\nOne, two, three\nnone\nFour, five\n")
    assert opened.describe().columns == ("text",)
    rows, refused = read(opened)
    # Quoted or not, a comma inside the only column is the delimiter of CSV: said, not hidden.
    assert len(rows) + len(refused) == 4
    assert [one.reason for one in refused] == ["too many fields"] * 3
    tabbed = source(file, "text\nHello, you\nOne, two, three\n", delimiter="tab")
    assert read(tabbed) == ([("Hello, you",), ("One, two, three",)], [])


ENCODED = "text;label\nGrüße, 5 €;gruß\nÀ bientôt;adieu\n"


@pytest.mark.parametrize(
    ("codec", "label"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8 with BOM"),
        ("utf-16", "utf-16-le with BOM"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32-le with BOM"),
        ("cp1252", "cp1252"),
    ],
)
def test_encoding_is_detected(file: Path, codec: str, label: str) -> None:
    opened = source(file, ENCODED.encode(codec))
    assert opened.describe().format == f"csv (semicolon, {label}, header)"
    assert read(opened) == ([("Grüße, 5 €", "gruß"), ("À bientôt", "adieu")], [])


def test_mixed_encodings_are_decoded_line_by_line_and_counted(file: Path) -> None:
    content = b"text;label\n" + "café;é\n".encode() + "naïve 5 €;ï\n".encode("cp1252") + b"\x81;plain\n"
    opened = source(file, content)
    description = opened.describe()
    assert description.format == "csv (semicolon, mixed utf-8 and cp1252, header)"
    assert description.notes[0].startswith("2 lines are not valid UTF-8, read as cp1252")
    assert read(opened)[0] == [("café", "é"), ("naïve 5 €", "ï"), ("\x81", "plain")]


def test_the_odd_encoding_at_the_end_of_a_large_file_is_found(file: Path) -> None:
    lines = b"text;label\n" + b"plain ascii text;label\n" * 120_000
    assert len(lines) > 2 * text.CHUNK_BYTES
    opened = source(file, lines + "dernière;é\n".encode("cp1252"))
    assert "cp1252" in opened.describe().format
    assert read(opened)[0][-1] == ("dernière", "é")


def test_a_declared_encoding_refuses_what_it_cannot_decode(file: Path) -> None:
    content = b"text;label\nok;a\n" + "café;b\n".encode("cp1252") + "déjà;c\n".encode()
    rows, refused = read(source(file, content, encoding="utf-8"))
    assert rows == [("ok", "a"), ("déjà", "c")]
    assert refused == [Refused("not valid utf-8", "caf\\xe9;b", 2)]
    assert read(source(file, "text;label\nžluť;ž\n".encode("cp1250"), encoding="cp1250"))[0] == [("žluť", "ž")]
    assert read(source(file, ENCODED.encode("utf-16"), encoding="utf-16"))[0][0] == ("Grüße, 5 €", "gruß")


def test_truncated_utf16_is_an_error(file: Path) -> None:
    with pytest.raises(DataError, match="not valid utf-16"):
        read(source(file, ENCODED.encode("utf-16")[:-1]))


@pytest.mark.parametrize(
    ("content", "has_header"),
    [
        ("text,label\nhello there,a\nbye,b\n", True),
        ("v1,v2\nham,ok\nspam,win\n", True),
        ("id,score\n1,2.5\n2,3\n", True),
        ("I want my money back please and now,refund\nwhere is it,refund\n", False),
        ("hello,lost\nbye,found\nhello again,lost\n", False),
        ("1,2.5,hello\n2,3,bye\n", False),
        ("text,label\n", True),
    ],
)
def test_header_is_detected(file: Path, content: str, has_header: bool) -> None:
    opened = source(file, content)
    if content.count("\n") == 1:
        with pytest.raises(DataError, match="a header but no rows"):
            opened.describe()
        return
    description = opened.describe()
    assert ("no header" in description.format) == (not has_header)
    assert (description.columns[0] == "column_1") == (not has_header)
    assert len(read(opened)[0]) == content.count("\n") - has_header


def test_what_is_given_is_not_detected(file: Path) -> None:
    opened = source(file, "'a;b'|c\n'd'|e\n", delimiter="pipe", quote="'", header=False, encoding="cp1252")
    assert opened.describe().format == "csv (pipe, cp1252, no header)"
    assert read(opened)[0] == [("a;b", "c"), ("d", "e")]
    mapped = source(file, "hello,lost\nbye,lost\n", columns={"text": "hello", "label": "lost"})
    assert "no header" not in mapped.describe().format, "a mapped name in the first record makes it the header"


def test_unnamed_and_repeated_columns_get_names(file: Path) -> None:
    opened = source(file, "text,label,label,,column_4\na,b,c,d,e\n", header=True)
    description = opened.describe()
    assert description.columns == ("text", "label", "label_2", "column_4_2", "column_4")
    assert any("have no name" in note for note in description.notes)
    assert any("repeat" in note for note in description.notes)


def test_ragged_records_are_refused_with_reason_and_number(file: Path) -> None:
    rows, refused = read(source(file, "text,label\na,1\nb\nc,2,3\n\nd,4\n"))
    assert rows == [("a", "1"), ("d", "4")]
    assert refused == [Refused("too few fields", "b", 2), Refused("too many fields", "c,2,3", 3)]


def test_blank_lines_between_records_are_counted(file: Path) -> None:
    opened = source(file, "text,label\n\na,1\n\n\nb,2\n\n\n")
    assert len(read(opened)[0]) == 2
    assert "3 blank lines passed over" in opened.describe().notes


def test_cells_are_not_altered(file: Path) -> None:
    cells = [
        "a\x00b",
        " padded ",
        "two\nlines",
        "two\r\nlines",
        'in "quotes"',
        "\u2028\x85\x0c",
        "N/A",
        "0012",
        "\ufeff",
    ]
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["text", "label"], *([cell, "x"] for cell in cells)])
    assert read(source(file, buffer.getvalue())) == ([(cell, "x") for cell in cells], [])


def test_old_mac_line_breaks(file: Path) -> None:
    assert read(source(file, "text,label\ra,1\rb,2\r"))[0] == [("a", "1"), ("b", "2")]


def test_a_quote_that_is_never_closed_costs_its_own_line_only(file: Path) -> None:
    good = "".join(f'"text {number}",label\n' for number in range(100))
    rows, refused = read(source(file, f'text,label\n{good}"never closed,label\n{good}'))
    assert len(rows) == 200
    assert refused == [Refused("quote never closed", '"never closed,label', 101)]


def test_a_stray_quote_does_not_swallow_the_record_it_meets(file: Path) -> None:
    content = 'id,text,label\n1,"stray,a\n2,"fine",b\n3,"two\nlines",c\n'
    rows, refused = read(source(file, content))
    assert rows == [("2", "fine", "b"), ("3", "two\nlines", "c")]
    assert [(one.position, one.reason) for one in refused] == [(1, "quote never closed")]


def test_quotes_that_mean_nothing_are_kept(file: Path) -> None:
    opened = source(file, 'text\tlabel\n"so he said\ta\n5" pipe\tb\n')
    assert opened.describe().format == "csv (tab, utf-8, header, no quotes)"
    assert read(opened)[0] == [('"so he said', "a"), ('5" pipe', "b")]


def test_a_record_of_many_lines_without_end_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RECORD_CHARS", 1000)
    body = "".join(f"line {number},x\n" for number in range(500))
    rows, refused = read(source(file, 'text,label\n"open,x\n' + body, quote='"'))
    assert len(rows) == 500 and [one.position for one in refused] == [1]


def test_a_line_too_long_is_refused_and_the_next_ones_are_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "LINE_BYTES", 3 * 1024 * 1024)
    content = "text,label\na,1\n" + "x" * (5 * 1024 * 1024) + ",2\nb,3\n" + "y" * (3 * 1024 * 1024 - 10) + ",4\nc,5\n"
    rows, refused = read(source(file, content))
    assert [row[1] for row in rows] == ["1", "3", "4", "5"]
    assert [(one.position, one.reason) for one in refused] == [(2, "line longer than 3 MB")]
    assert len(refused[0].record) < 1100


@given(
    rows=st.lists(
        st.tuples(
            *[
                st.text(
                    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\r\t\x0b\x0c\x85"), max_size=12
                )
            ]
            * 3
        ),
        min_size=1,
        max_size=30,
    ),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]),
)
def test_what_a_writer_wrote_is_read_back(
    rows: list[tuple[str, str, str]], delimiter: str, codec: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("text", "label", "id"), *rows])
    file = tmp_path_factory.getbasetemp() / "property.csv"
    opened = source(file, buffer.getvalue().encode(codec), delimiter=delimiter, quote='"', encoding=codec)
    assert read(opened) == (rows, [])


@pytest.mark.parametrize(
    "head", [b"BZh9rest", b"\x89PNG\r\n\x1a\n", b"PAR1xx", b"SQLite format 3\0", b"\xfd7zXZ\0", b"x" * 257 + b"ustar"]
)
def test_binary_files_are_named(file: Path, head: bytes) -> None:
    with pytest.raises(DataError, match="not text") as caught:
        source(file, head + bytes(range(256)) * 4).describe()
    assert caught.value.allowed and caught.value.next


def test_unknown_binary_is_told_by_its_bytes(file: Path) -> None:
    with pytest.raises(DataError, match="a binary file, not text"):
        source(file, bytes(range(256)) * 100).describe()


@pytest.mark.parametrize("content", ['{"text": "a, b", "label": "c"}\n', '[\n  {"text": "a"}\n]', '[{"text": "a"}]'])
def test_json_is_named(file: Path, content: str) -> None:
    with pytest.raises(DataError, match="JSON, not separated text") as caught:
        source(file, content).describe()
    assert "kind: json" in str(caught.value.next)
    assert read(source(file, 'text,label\n{"a": 1},x\n'))[0] == [('{"a": 1}', "x")], "in a cell it is text"


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text("text,label\na,b\n")
    with pytest.raises(DataError, match="no such file") as caught:
        CsvSource(CsvConfig(name="s", path=str(tmp_path / "tikets.csv"))).describe()
    assert "tickets.csv" in str(caught.value.next)
    with pytest.raises(DataError, match="no such file"):
        CsvSource(CsvConfig(name="s", path=str(tmp_path / "tikets.csv"))).fingerprint()
    with pytest.raises(DataError, match="folder of the file does not exist"):
        CsvSource(CsvConfig(name="s", path=str(tmp_path / "nowhere" / "at" / "all.csv"))).describe()
    with pytest.raises(DataError, match="a folder, not a file"):
        CsvSource(CsvConfig(name="s", path=str(tmp_path))).describe()


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n\n\n", b"text,label\n", b"text,label"])
def test_files_without_rows_are_errors(file: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"empty|no rows|no records"):
        source(file, content).describe()


@pytest.mark.parametrize(
    "wrong", [{"delimiter": "::"}, {"quote": "''"}, {"encoding": "utf-99"}, {"encoding": "base64"}]
)
def test_settings_are_checked(wrong: dict[str, str]) -> None:
    with pytest.raises(RecipeError):
        CsvConfig(name="s", path="x.csv", **wrong)  # type: ignore[arg-type]


def test_lineage_names_cannot_be_mapped() -> None:
    with pytest.raises(RecipeError, match="lineage"):
        CsvConfig(name="s", path="x.csv", columns={"row_id": "id"})
