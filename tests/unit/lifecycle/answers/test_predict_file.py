"""A file comes back with the same rows in the same order, every cell as it was."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.lifecycle.answers.conftest import rule_model

from tunesmith.core.errors import DataError, Interrupted, RecipeError
from tunesmith.core.events import Event
from tunesmith.lifecycle.model import Model
from tunesmith.lifecycle.predict_file import FileAnswers, predict_file
from tunesmith.lifecycle.session import Session, open_session


def answered(session: Session, model: Model, path: Path, **more: object) -> tuple[FileAnswers, Path]:
    out = path.with_name(f"out{path.suffix}")
    return predict_file(session, model, path, out, **more), out  # type: ignore[arg-type]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), delimiter=delimiter))


def test_same_rows_same_order_with_label_and_probability(session: Session, classifier: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", "id,text\n1,my money please\n2,\n3,good day\n")
    told, out = answered(session, classifier, path)
    assert out.read_text() == (
        "id,text,label,probability\n1,my money please,refund,0.75\n2,,,\n3,good day,greeting,0.875\n"
    )
    assert told.rows == {"read": 3, "predicted": 2, "empty": 1, "refused": 0}
    assert told.labels == {"refund": 1, "greeting": 1}
    assert told.added_columns == ["label", "probability"]


def test_numbers_get_a_value_and_negative_ones_stay_numbers(session: Session, regressor: Model, tmp_path: Path) -> None:
    _, out = answered(session, regressor, write(tmp_path / "in.csv", "text\nhello\n"))
    assert out.read_text() == "text,value\nhello,-5\n"


def test_names_that_are_taken_get_another(session: Session, classifier: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", "text,label,probability,predicted_label\nhi you,a,1,b\n")
    _, out = answered(session, classifier, path)
    assert read(out)[0] == [
        "text", "label", "probability", "predicted_label", "predicted_label_2", "predicted_probability",
    ]  # fmt: skip


def test_the_users_own_cells_are_never_changed_but_ours_are_harmless(session: Session, tmp_path: Path) -> None:
    evil = rule_model("classify", ("=cmd()", "@refund"))
    path = write(tmp_path / "in.csv", 'text,note\nhello there,"=1+1"\n')
    told, out = answered(session, evil, path)
    assert read(out)[1] == ["hello there", "=1+1", "'=cmd()", "0.875"]
    assert any("formulas" in note for note in told.notes)


def test_texts_are_repaired_as_in_training_and_cells_stay_as_they_were(session: Session, tmp_path: Path) -> None:
    model = rule_model("classify", ("greeting", "refund"))
    path = write(tmp_path / "in.csv", "text\n  my   donâ€™t&nbsp;money\u200b  \n")
    _, out = answered(session, model, path)
    assert read(out)[1][0] == "  my   donâ€™t&nbsp;money\u200b  "
    assert model._engine.asked == [["my don’t money"]]  # type: ignore[attr-defined]


def test_records_that_are_no_rows_stay_in_their_place(session: Session, classifier: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", "id,text\n1,hello\n2,too,many,cells\n3,money\n4\n5,bye\n")
    told, out = answered(session, classifier, path)
    rows = read(out)
    assert rows[0] == ["id", "text", "label", "probability", "tunesmith_error"]
    assert rows[2] == ["", "", "", "", "too many fields: 2,too,many,cells"]
    assert rows[4] == ["", "", "", "", "too few fields: 4"]
    assert [row[0] for row in rows[1:]] == ["1", "", "3", "", "5"]
    assert told.rows == {"read": 5, "predicted": 3, "empty": 0, "refused": 2}


def test_delimiter_line_end_header_and_mark_are_kept(session: Session, classifier: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", b"\xef\xbb\xbfid;text;text\r\n1;gr\xc3\xbc\xc3\x9fe;x\r\n")
    _, out = answered(session, classifier, path)
    assert out.read_bytes() == (
        b"\xef\xbb\xbfid;text;text;label;probability\r\n1;gr\xc3\xbc\xc3\x9fe;x;greeting;0.875\r\n"
    )


def test_cp1252_comes_back_as_utf8_that_excel_knows(session: Session, classifier: Model, tmp_path: Path) -> None:
    told, out = answered(session, classifier, write(tmp_path / "in.csv", "id,text\n1,café money\n".encode("cp1252")))
    assert out.read_bytes() == "\ufeffid,text,label,probability\n1,café money,refund,0.75\n".encode()
    assert any("cp1252" in note for note in told.notes)


def test_tabs_without_quotes_stay_as_they_are(session: Session, classifier: Model, tmp_path: Path) -> None:
    content = 'id\ttext\n1\tthe 5" one\n2\t"open quote\n3\tmoney "back\n'
    _, out = answered(session, classifier, write(tmp_path / "in.tsv", content))
    assert [line.rsplit("\t", 2)[0] for line in out.read_text().splitlines()] == content.splitlines()


def test_a_file_without_header_gets_none(session: Session, classifier: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", "1,I want my money back now\n2,good day to all of you\n")
    told, out = answered(session, classifier, path)
    assert told.text_column == "column_2"
    assert read(out) == [
        ["1", "I want my money back now", "refund", "0.75"],
        ["2", "good day to all of you", "greeting", "0.875"],
    ]


def test_json_lines_keep_every_member_as_it_is_written(session: Session, classifier: Model, tmp_path: Path) -> None:
    lines = ['{"n": 1.10, "text":"money", "tags": ["a",  "b"]}', "{}", "not json", '{ "text" : "hi", "label":"x" } ']
    told, out = answered(session, classifier, write(tmp_path / "in.jsonl", "\n".join(lines) + "\n"))
    got = out.read_text().splitlines()
    assert (
        got[0] == '{"n": 1.10, "text":"money", "tags": ["a",  "b"], "predicted_label": "refund", "probability": 0.75}'
    )
    assert json.loads(got[1]) == {"predicted_label": None, "probability": None}
    assert json.loads(got[2])["tunesmith_error"] == "invalid JSON: not json"
    assert json.loads(got[3]) == {"text": "hi", "label": "x", "predicted_label": "greeting", "probability": 0.875}
    assert told.rows == {"read": 4, "predicted": 2, "empty": 1, "refused": 1}


def test_cut_texts_are_counted(session: Session, classifier: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", f"text\n{'word ' * 13}\nshort\n")
    told, _ = answered(session, classifier, path)
    assert (told.truncated_rows, told.num_truncated_tokens) == (1, 3)


@pytest.mark.parametrize(
    ("content", "trained_on", "column"),
    [
        ("id,body,text\n1,a b c,d e f\n", ["body"], "body"),
        ("id,body,text\n1,a b c,d e f\n", ["message"], "text"),
        ("id,body\n1,a b c\n2,d e f\n", ["message"], "body"),
        ("words\nhello\n", [], "words"),
    ],
)
def test_which_column_is_the_text(
    session: Session, classifier: Model, tmp_path: Path, content: str, trained_on: list[str], column: str
) -> None:
    told, _ = answered(session, classifier, write(tmp_path / "in.csv", content), trained_on=trained_on)
    assert told.text_column == column


def test_two_columns_of_texts_are_a_question(session: Session, classifier: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", "subject,body\nhelp me now,I want my money\nsay hello,good day to you\n")
    with pytest.raises(RecipeError) as caught:
        answered(session, classifier, path)
    assert caught.value.allowed == "subject, body"
    assert "--text-column" in str(caught.value.next)


def test_an_unknown_column_names_the_nearest(session: Session, classifier: Model, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="mesage") as caught:
        answered(session, classifier, write(tmp_path / "in.csv", "message,id\na b,1\n"), text_column="mesage")
    assert caught.value.next == "--text-column message"


def test_the_input_is_never_replaced(session: Session, classifier: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", "text\nhello\n")
    with pytest.raises(RecipeError, match="replace the input"):
        predict_file(session, classifier, path, path)
    with pytest.raises(RecipeError, match="format"):
        predict_file(session, classifier, path, tmp_path / "out.jsonl")
    with pytest.raises(RecipeError, match="folder of the output"):
        predict_file(session, classifier, path, tmp_path / "nowhere" / "out.csv")
    assert path.read_text() == "text\nhello\n"


def test_interrupted_work_leaves_the_old_output(classifier: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", "text\n" + "hello there\n" * 1200)
    out = write(tmp_path / "out.csv", "old")
    told: list[Event] = []
    with open_session(tmp_path / "home") as opened:

        def listen(event: Event) -> None:
            told.append(event)
            opened.cancel.set()

        watched = Session(opened.workspace, opened.ledger, listen, opened.cancel)
        with pytest.raises(Interrupted):
            predict_file(watched, classifier, path, out)
    assert out.read_text() == "old"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["home", "in.csv", "out.csv"]
    assert [(event["done"], event["total"]) for event in told] == [(512, 1200)]


def test_a_file_that_changes_meanwhile_is_refused(classifier: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", "text\nhello there\n")
    changing = open_session(tmp_path / "home", listener=lambda event: write(path, "text\nother\nrows\n"))  # type: ignore[arg-type, return-value]
    with changing as opened, pytest.raises(DataError, match="changed"):
        predict_file(opened, classifier, path, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


CELL = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(CELL, CELL, st.sampled_from(["a\nb", "a\rb", 'q"uote', ";", "", " x "])), min_size=1, max_size=9
    )
)
def test_any_cells_come_back(session: Session, classifier: Model, tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    with (tmp_path / "in.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("id", "text", "more"), *rows])
    told, out = answered(session, classifier, tmp_path / "in.csv", text_column="text")
    got = read(out)
    assert [tuple(row[:3]) for row in got[1:]] == rows
    for row, (_, text, _) in zip(got[1:], rows, strict=True):
        assert row[3] == ("" if not text.strip() else "refund" if "money" in text else "greeting")
    assert told.rows["read"] == len(rows)
