"""Words as people see them: pieces are merged, places are the text's own, nothing of a sum is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.explanation import words as words_of
from tunesmith.explanation.words import Span, gathered, read_part, runs_of, spans_of, without


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in spans_of(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My card, please!", ["My", "card", ",", "please", "!"]),
        ("don't e-mail 3.50", ["don't", "e-mail", "3.50"]),
        ('"(why)?"', ['"', "(", "why", ")", "?", '"']),
        ("कार्ड नहीं", ["कार्ड", "नहीं"]),
        ("卡在哪里 now", ["卡", "在", "哪", "里", "now"]),
        ("...", [".", ".", "."]),
        (" \n\t", []),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_pieces_of_a_word_are_summed_and_white_space_belongs_to_the_word_behind_it() -> None:
    text = "re load  cards"
    pieces = [(0, 0), (0, 2), (2, 5), (5, 7), (7, 9), (9, 12), (12, 14), (0, 0)]
    found, rest = gathered(text, pieces, [9.0, 1.0, 2.0, 4.0, 0.5, 8.0, 16.0, 7.0])
    assert [(one.text, one.start, one.end, one.value) for one in found] == [
        ("re", 0, 2, 1.0),
        ("load", 3, 7, 6.0),
        ("cards", 9, 14, 24.5),
    ]
    assert rest == 16.0


def test_a_piece_over_two_words_makes_them_one_and_what_was_not_read_is_no_word() -> None:
    found, _ = gathered("in front of me", [(0, 11)], [3.0])
    assert [(one.text, one.value) for one in found] == [("in front of", 3.0)]


@given(st.text(max_size=40), st.data())
def test_no_value_is_lost_and_every_place_is_in_the_text(text: str, data: st.DataObject) -> None:
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = list(zip([0, *ends], [*ends, len(text)], strict=True))
    found, rest = gathered(text, pieces, [1.0] * len(pieces))
    assert sum(one.value for one in found) + rest == len(pieces)
    assert all(text[one.start : one.end] == one.text and one.text for one in found)
    assert [one.start for one in found] == sorted({one.start for one in found})


@given(st.text(max_size=40))
def test_spans_cover_all_but_white_space(text: str) -> None:
    covered = {place for start, end in spans_of(text) for place in range(start, end)}
    assert {place for place, char in enumerate(text) if not char.isspace()} == covered


def test_words_taken_out_leave_the_others_apart() -> None:
    text = "Why, my card is  late!"
    spans = spans_of(text)
    assert without(text, spans, set()) == text
    assert without(text, spans, {1}) == "Why my card is  late!"
    assert without(text, spans, {0, 1, 2}) == "card is  late!"
    assert without(text, spans, {4}) == "Why, my card late!"
    assert without(text, spans, set(range(len(spans)))) == ""


def test_long_texts_are_cut_into_runs() -> None:
    spans = [(place, place + 1) for place in range(0, 20, 2)]
    assert runs_of(spans, 4) == [(0, 5), (6, 11), (12, 17), (18, 19)]
    assert runs_of(spans, 10) == spans
    assert runs_of([], 4) == []


def test_of_a_text_of_which_little_is_read_little_is_cut_into_words(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "one two-three. " * 100
    pieces = [(0, 0), (15, 18), (19, 22), (22, 23), (23, 28)]
    looked_at: list[Span] = []
    in_run = words_of._in_run

    def watched(text: str, start: int, end: int) -> Iterator[Span]:
        looked_at.append((start, end))
        return in_run(text, start, end)

    monkeypatch.setattr(words_of, "_in_run", watched)
    found, rest = gathered(text, pieces, [9, 1, 2, 3, 4])
    assert [(one.text, one.start, one.value) for one in found] == [("one", 15, 1), ("two-three", 19, 9)]
    assert (rest, looked_at) == (9, [(15, 18), (19, 29)])
    assert read_part(text, pieces) == (15, 28)
    assert spans_of(text, (15, 29)) == [(start + 15, end + 15) for start, end in spans_of("one two-three.")]
