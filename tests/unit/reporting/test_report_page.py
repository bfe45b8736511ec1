"""The page as a whole: complete, self-contained, the same every time, and deaf to hostile texts."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.unit.reporting.report_views import classify_view, denied, regress_view

from tunesmith.reporting.report import render, write_report

HOSTILE = (
    '<script>alert(1)</script>"onmouseover="alert(2)\' <img src=x onerror=alert(3)>'
    "\x00\x1b[31m\u202egnp.exe\u2066 {{ 7*7 }}"
)
VOID = {"meta", "input", "br", "img"}


class Tree(HTMLParser):
    """The elements and attributes of a page, and whether every one is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_self_contained(tree: Tree) -> None:
    assert not tree.names & {"script", "img", "iframe", "link", "object", "embed", "base", "form"}
    for name, value in tree.attributes:
        assert not name.startswith("on")
        if name in ("href", "src", "action"):
            assert (value or "").startswith("#")


def test_the_page_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    page = render(classify_view(tmp_path))
    assert_self_contained(Tree(page))
    assert "http" not in re.sub(r"http-equiv", "", page)
    assert "default-src 'none'" in page
    for words in ("What to do next", "Data", "Training", "Scores", "Examples", "Lineage and cost"):
        assert words in page


def test_equal_views_give_equal_bytes(tmp_path: Path) -> None:
    view = classify_view(tmp_path)
    write_report(view, tmp_path / "one.html")
    write_report(view, tmp_path / "two.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_hostile_texts_and_labels_are_only_shown(tmp_path: Path) -> None:
    view = classify_view(tmp_path, labels=[HOSTILE, "b`<b>", "c\u202e"], texts=[HOSTILE])
    view = replace(view, name=HOSTILE, recipe_yaml=HOSTILE, warnings=(HOSTILE,), run_id="x'; rm -rf ~ #")
    page = render(view)
    tree = Tree(page)
    assert_self_contained(tree)
    assert "alert(1)" in tree.text
    assert "{{ 7*7 }}" in tree.text
    assert not set(page) & {"\x00", "\x1b", "\u202e", "\u2066"}
    assert "⟨U+202E⟩" in tree.text


def test_a_lone_surrogate_does_not_stop_the_page(tmp_path: Path) -> None:
    write_report(replace(classify_view(tmp_path), warnings=("cut \ud83d here",)), tmp_path / "page.html")
    assert "⟨U+D83D⟩" in (tmp_path / "page.html").read_text("utf-8")


def test_a_name_is_quoted_in_commands(tmp_path: Path) -> None:
    tree = Tree(render(replace(classify_view(tmp_path), reference="a b; reboot@production")))
    assert "'a b; reboot@production'" in " ".join(tree.text.split())


def test_77_classes_stay_small_and_are_drawn_as_squares(tmp_path: Path) -> None:
    page = render(classify_view(tmp_path, num_labels=77, num_rows=1540))
    tree = Tree(page)
    assert len(page.encode()) < 600_000
    assert "77 classes in alphabetical order" in tree.text
    assert 'class="confusion"' not in page
    assert page.count('class="hit"') == 77
    assert tree.text.count("class_76") >= 2


def test_too_many_classes_to_draw_are_said(tmp_path: Path) -> None:
    page = render(classify_view(tmp_path, num_labels=230, num_rows=460))
    assert "230 classes are too many to draw" in page
    assert 'class="matrix"' not in page
    assert "and 30 rarer labels" in page


@pytest.mark.parametrize("num_rows", [120, 1500])
def test_a_regression_shows_a_scatter_and_residuals(tmp_path: Path, num_rows: int) -> None:
    page = render(regress_view(tmp_path, num_rows=num_rows))
    tree = Tree(page)
    assert "Predicted against actual" in tree.text
    assert "Farthest off" in tree.text
    assert "lower is better" in tree.text
    assert "Class by class" not in tree.text
    assert page.count("<circle") > 120 if num_rows == 120 else "<rect" in page
    assert "pearson of mean" in tree.text


def test_what_was_not_measured_is_said_and_crashes_nothing(tmp_path: Path) -> None:
    view = classify_view(tmp_path)
    gap = {"value": math.nan, "low": math.nan, "high": math.nan}
    report = {
        **view.report,
        "metrics": {"test": {"f1_macro": gap}},
        "baselines": {"tfidf": {"accuracy": gap}},
        "comparisons": [],
        "not_measured": {"f1_macro": "a reason"},
    }
    text = Tree(render(replace(view, report=report, steps=[], hardware={}, versions={}, settings={}))).text
    assert "Macro F1 was not measured on 200 test rows: a reason." in text
    assert "nan" not in text.lower().replace("financ", "")


def test_an_empty_history_draws_no_curve(tmp_path: Path) -> None:
    view = classify_view(tmp_path)
    view.history.write_text('{"step": 1, "epoch": 0.1, "loss": null, "lr": null}\n')
    assert "No curve" in render(view)


def test_a_denied_run_says_so_first_and_why(tmp_path: Path) -> None:
    text = Tree(render(denied(classify_view(tmp_path, right={"model": 0.4, "tfidf": 0.9})))).text
    assert (
        text.index("Worse than TF-IDF") < text.index("Not released: the gate denied it") < text.index("What to do next")
    )
    assert "Do not use this model" in text


def test_lost_rows_are_shown_with_what_they_repeat(tmp_path: Path) -> None:
    text = " ".join(Tree(render(classify_view(tmp_path, texts=["the very same words"]))).text.split())
    assert "exact duplicate" in text
    assert "repeats the very same words" in text
    assert "crm, record 7" in text
