"""The report says what the rows of each source were read as; names from the data are shown, never carried out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.unit.data.formats.formatted import chat, formatted
from tests.unit.reporting.report_views import classify_view

from tunesmith.reporting.report import render
from tunesmith.reporting.sections.conversations import conversations_of


def test_the_conversations_of_every_source_are_shown(tmp_path: Path) -> None:
    view = classify_view(tmp_path / "view")
    assert conversations_of(view) is None
    odd = [{"role": "user", "content": "Hi ", "<b>mood</b>": "good"}, {"role": "assistant", "content": "Hello"}]
    rows = [chat("Hi", "Hello"), odd, [{"role": "<script>", "content": "Hu"}]]
    facts, _, _ = formatted(tmp_path / "rows", {"log": rows})
    view = replace(view, made={**view.made, "format:chats": {"dataset": facts}, "ingest:chats": {"dataset": {}}})
    (part,) = conversations_of(view) or ()
    assert (part.source, part.title, part.is_told, part.mapping) == (
        "chats", "OpenAI messages", False, (("messages", "log"),),
    )  # fmt: skip
    assert part.turns == (("user", "2"), ("assistant", "2"))
    assert part.events == (
        ("rows repaired: whitespace", "1"),
        ("key `<b>mood</b>` of a turn left out", "1"),
        ("rows refused: nobody is known as <script>", "1"),
    )
    page = render(view)
    assert 'id="conversations"' in page and "<script" not in page and "&lt;b&gt;mood" in page
