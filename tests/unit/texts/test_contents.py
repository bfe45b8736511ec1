"""Contents keep what their lines and indentation mean."""

from __future__ import annotations

import polars as pl
import pytest

from tunesmith.texts.contents import repair_contents, trimmed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("  a  b \t", "a  b"),
        ("\n \n    def f():\n        return 1\n\n", "    def f():\n        return 1"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("- one\n\n\n- two", "- one\n\n\n- two"),
        ("\ufeffso\u00adft\u200b", "soft"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("\n\n  a", "a"),
        (" \n\u200b\n ", ""),
        ("", ""),
    ],
)
def test_white_space_inside_stays(before: str, after: str) -> None:
    assert trimmed(pl.Series("content", [before, None])).to_list() == [after, None]
    assert trimmed(pl.Series([after])).to_list() == [after], "nothing is left to do"


def test_each_repair_may_be_off() -> None:
    texts = pl.Series("content", ["caf\u00c3\u00a9 "])
    assert repair_contents(texts, unicode=True, whitespace=True).to_list() == ["caf\u00e9"]
    assert repair_contents(texts, unicode=False, whitespace=True).to_list() == ["caf\u00c3\u00a9"]
    assert repair_contents(texts, unicode=True, whitespace=False).to_list() == ["caf\u00e9 "]
    assert repair_contents(texts, unicode=False, whitespace=False) is texts
    assert repair_contents(texts, unicode=True, whitespace=True).name == "content"
