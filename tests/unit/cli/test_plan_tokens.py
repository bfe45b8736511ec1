"""What a plan shows of token rows."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from tunesmith.cli.plan_tokens import tokens

COUNTS = {
    "rows": 10,
    "kept": 7,
    "dropped": 2,
    "untrained_rows": 1,
    "truncated": 0,
    "split": 0,
    "sequences": 7,
    "tokens": 1200,
    "trained_tokens": 300,
    "cut_tokens": 40,
    "cut_trained_tokens": 0,
    "unknown_tokens": 0,
    "changed_turns": 3,
    "unlike_asked_turns": 0,
    "unshown_turns": 0,
    "open_turns": 0,
    "control_rows": 0,
    "num_bytes": 900,
    "reasons": {"longer than 64 tokens": 2, "no answer to train on": 1},
}
FACTS: dict[str, Any] = {
    "train_on": "assistant",
    "template": {"name": "own", "source": "tokenizer_config.json", "digest": "d"},
    "max_tokens": 64,
    "policy": "drop",
    "by_source": {"tickets": COUNTS},
    "samples": [[["<s>", 0.0], ["Hi\n", 0.0], ["Hel", 1.0], ["lo\x1b[2J", 0.5], ["</s>", 1.0]]],
}


def shown(**more: Any) -> str:
    console = Console(file=io.StringIO(), width=140, markup=False, highlight=False, emoji=False, **more)
    for line in tokens(FACTS):
        console.print(line)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_without_colours_what_is_trained_is_marked() -> None:
    words = shown(color_system=None)
    lines = [line.rstrip() for line in words.splitlines()]
    at = lines.index("              <s>Hi")
    assert lines[at + 1] == "              «Hello[2J</s>»"
    assert "«trained», the rest only seen" in words
    assert "\x1b" not in words


def test_no_color_is_marked_too() -> None:
    assert "«Hello[2J</s>»" in shown(force_terminal=True, color_system="truecolor", no_color=True)


def test_with_colours_seen_is_dim_and_trained_green() -> None:
    words = shown(force_terminal=True, color_system="truecolor")
    assert "\x1b[32mHello[2J</s>\x1b[0m" in words
    assert "\x1b[2m<s>Hi" in words
    assert "«" not in words
    assert "\x1b[2J" not in words  # a text does not command the terminal


def test_counts_reasons_and_notes_are_told() -> None:
    words = shown(color_system=None)
    assert (
        "template own (tokenizer_config.json) · every answer is trained · at most 64 a row, longer ones: drop" in words
    )
    assert "300 (25%)" in words
    assert "left out: 2 longer than 64 tokens · 1 no answer to train on" in words
    assert "3 answers are not written by the template as the data has them" in words
    assert "split" not in words  # nothing was split, so nothing is said of it
