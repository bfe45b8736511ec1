"""Lines that are longer than the terminal go on under their words."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from tunesmith.cli.tables import hung, table


def wrapped(text: str, width: int = 40) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    return [line.rstrip() for line in hung(Text(text), console).plain.split("\n")]


def test_the_rest_hangs_under_the_words() -> None:
    line = "removed       15 exact duplicate · 10 near duplicate · 1 other"
    assert wrapped(line) == ["removed       15 exact duplicate · 10", " " * 14 + "near duplicate · 1 other"]
    assert wrapped(" " * 14 + "fifty per cent of the rows have no value") == [
        " " * 14 + "fifty per cent of the rows",
        " " * 14 + "have no value",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "short         fits",
        "report   /a/path/that/is/far/too/long/for/any/terminal/report.html",
        "next: tunesmith run recipe.yaml --home somewhere/else",
        "",
    ],
)
def test_what_fits_and_what_is_copied_whole_stays(line: str) -> None:
    assert wrapped(line) == [line]


@given(st.text(alphabet="ab ·\n", max_size=200), st.integers(20, 100))
def test_no_word_is_lost(text: str, width: int) -> None:
    assert " ".join(wrapped(text, width)).split() == text.split()


def test_styles_stay_with_their_words() -> None:
    console = Console(file=io.StringIO(), width=30, force_terminal=True)
    line = hung(Text.assemble(("splits      ", "bold"), "  train 428 · ", ("validation 66", "red")), console)
    red = " ".join(line.plain[span.start : span.end] for span in line.spans if span.style == "red")
    assert red.split() == ["validation", "66"]


def test_words_stand_at_the_left_and_figures_at_the_right() -> None:
    made = table("user", "role", "keys", words=("role",))
    made.add_row("ana", "viewer", "3")
    assert [column.justify for column in made.columns] == ["left", "left", "right"]
