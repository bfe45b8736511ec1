"""Repairs change how a value is written and count the rows they changed."""

from __future__ import annotations

import polars as pl
import pytest

from tunesmith.data.clean import comparable, repair
from tunesmith.data.prepare_config import CleanConfig

ON = CleanConfig()


def repaired(text: str, clean: CleanConfig = ON) -> str:
    frame, _ = repair(pl.DataFrame({"text": [text]}), ["text"], clean)
    return str(frame["text"][0])


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("the cafÃ© in ZÃ¼rich", "the café in Zürich"),
        ("salt &amp; pepper", "salt & pepper"),
        ("it doesnâ€™t work", "it doesn’t work"),
        ("cafe\u0301", "café"),
        ("bell\x07 rings", "bell rings"),
        ("  two\u00a0 \t words\r\n", "two words"),
        ("zero\u200bwidth \ufeffmark", "zerowidth mark"),
        ("“curly” ﬁt ｆｕｌｌ", "“curly” ﬁt ｆｕｌｌ"),
        ("👩\u200d💻 می\u200cخواهم", "👩\u200d💻 می\u200cخواهم"),
        ("plain", "plain"),
    ],
)
def test_what_is_broken_is_mended_and_the_rest_stays(broken: str, whole: str) -> None:
    assert repaired(broken) == whole


def test_switched_off_repairs_change_nothing() -> None:
    off = CleanConfig(unicode=False, whitespace=False)
    assert repaired(" cafÃ©  &amp; ", off) == " cafÃ©  &amp; "


def test_rows_are_counted_once_for_each_kind_of_repair() -> None:
    frame = pl.DataFrame(
        {"text": ["cafÃ©", " b ", "c", None], "label": ["cafÃ©", " x", "y ", None], "age": [1, 2, 3, 4]}
    )
    tidy, counts = repair(frame, ["text", "label", "age"], ON)
    assert counts == {"unicode": 1, "whitespace": 2}
    assert tidy.rows() == [("café", "café", 1), ("b", "x", 2), ("c", "y", 3), (None, None, 4)]


def test_ftfy_is_not_asked_about_plain_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    import ftfy

    asked: list[str] = []
    real = ftfy.fix_text
    monkeypatch.setattr(ftfy, "fix_text", lambda text, config: asked.append(text) or real(text, config))
    repair(pl.DataFrame({"text": ["plain", "tab\there", "AT&T", "ä", "ä", "&lt;"]}), ["text"], ON)
    assert asked == ["ä", "&lt;"]


def test_equal_up_to_case_and_white_space() -> None:
    texts = pl.DataFrame({"text": ["Größe  XL ", "größe xl", "grösse xl"]}).select(comparable(pl.col("text")))
    assert texts["text"].to_list() == ["größe xl", "größe xl", "grösse xl"]
