"""The turns of assistants in rendered texts: found exactly or refused, whatever is said in them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.models.templates import built_in, environment
from tunesmith.models.templates.spans import Finder, Unclear

GOLDEN = Path(__file__).resolve().parents[3] / "golden"
CHATML = built_in.chatml(has_bos=False, end=built_in.IM_END)
QWEN3 = (GOLDEN / "qwen3.jinja").read_text(encoding="utf-8")
SAID = st.lists(
    st.sampled_from(
        ["Hi", " ", "\n", "<|im_end|>", "<|im_start|>", "assistant", "</think>", "<think>", "</s>", "ü", "Hi"]
    ),
    max_size=6,
).map("".join)


compiled = functools.cache(environment.compile_template)


def finder(text: str, messages: list[dict[str, Any]], eos: str = "</s>", **more: Any) -> Finder:
    template = compiled(text)

    def render(some: Sequence[Any], is_asked: bool) -> str:
        given = {"messages": list(some), "tools": None, "add_generation_prompt": is_asked, "eos_token": eos}
        return environment.render(template, given)

    return Finder(messages, render(messages, False), render, ("<|im_end|>", eos), eos, **more)


def conversation(*said: str) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[place % 2], "content": one} for place, one in enumerate(said)]


@settings(max_examples=60, deadline=None)
@given(st.lists(SAID, min_size=2, max_size=5))
def test_chatml_is_found_where_it_was_written(said: list[str]) -> None:
    messages = conversation(*said)
    expected, text = [], ""
    for message in messages:
        text += f"<|im_start|>{message['role']}\n"
        if message["role"] == "assistant":
            expected.append((len(text), len(text) + len(message["content"]) + len("<|im_end|>")))
        text += f"{message['content']}<|im_end|>\n"
    found = finder(CHATML, messages)
    assert found.text == text
    assert [(one.start, one.end) for one in found.find(range(1, len(said), 2))] == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(SAID, min_size=2, max_size=6))
def test_what_is_known_of_other_turns_changes_nothing(said: list[str]) -> None:
    messages, turns = conversation(*said), range(1, len(said), 2)

    def spans(closings: dict[Any, str] | None) -> list[Any] | str:
        try:
            more = {} if closings is None else {"closings": closings}
            return finder(QWEN3, messages, "<|im_end|>", **more).find(turns)
        except Unclear as error:
            return str(error)

    fresh: list[Any] | str = []
    try:
        fresh = [finder(QWEN3, messages, "<|im_end|>").find([turn])[0] for turn in turns]
    except Unclear as error:
        fresh = str(error)
    known = {(True, 0, "user"): "<|im_end|>\n"}
    if not isinstance(fresh, str):
        assert spans(known) == fresh
    assert spans(None) == fresh


def shown(found: Finder, turns: Sequence[int]) -> list[str]:
    return [found.text[one.start : one.end] for one in found.find(turns)]


def test_an_end_written_only_between_turns_belongs_to_the_turn() -> None:
    text = "{% for m in messages %}{{ m.content }}{% if not loop.last %}</s>{% endif %}{% endfor %}"
    found = finder(text, conversation("a", "b", "c", "d"))
    assert shown(found, [1, 3]) == ["</s>b</s>", "</s>d"]  # no one is asked with an end before the answer
    assert [one.is_closed for one in found.find([1, 3])] == [True, False]


def test_an_end_token_of_the_whole_text_is_not_taken_for_that_of_a_turn() -> None:
    text = "{% for m in messages %}[{{ m.role }}]{{ m.content }}|{% endfor %}"
    text += "{% if add_generation_prompt %}[assistant]{% else %}</s>{% endif %}"
    found = finder(text, conversation("a", "b", "c", "d"))
    assert shown(found, [1, 3]) == ["b|", "d|</s>"]


def test_another_end_while_others_follow_is_found_by_asking() -> None:
    text = "{% for m in messages %}[{{ m.role }}]{{ m.content }}"
    text += "{{ '</s>' if m.role == 'assistant' and loop.last and not add_generation_prompt else '<|im_end|>' }}"
    text += "{% endfor %}"
    text += "{% if add_generation_prompt %}[assistant]{% endif %}"
    found = finder(text, conversation("a", "b", "c", "d"))
    assert shown(found, [1, 3]) == ["b<|im_end|>", "d</s>"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", "does not show turn 2"),
        ("{% for m in messages %}[{{ m.role }}]</s>{% endfor %}", "does not show the content of turn 2"),
        ("{% for m in messages[::-1] %}[{{ m.role }}]{{ m.content }}</s>{% endfor %}", "turn 4 overlaps"),
        ("{{ messages | length }}{% for m in messages %}[{{ m.role }}]{{ m.content | length }}{% endfor %}", "turn 2"),
        ("{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ m.content }}|{{ loop.length }}{% endfor %}", "turn 2"),
    ],
)
def test_what_cannot_be_told_is_refused(text: str, why: str) -> None:
    with pytest.raises(Unclear, match=why):
        finder(text, conversation("Hello", "World", "Bye", "Gone")).find([1, 3])


def test_calls_that_are_not_shown_are_refused() -> None:
    call = {"function": {"name": "rain", "arguments": {}}}
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "tool_calls": [call]}]
    with pytest.raises(Unclear, match="calls of tools in turn 2"):
        finder("{% for m in messages %}{{ m.content }}</s>{% endfor %}", messages).find([1])


def test_a_heading_that_no_one_is_asked_with_is_seen_only_where_it_stands_before_the_content() -> None:
    # As DeepSeek R1: the request begins a thought that finished turns do not have.
    text = "{% for m in messages %}[{{ m.role }}]{{ m.content }}</s>{% endfor %}"
    text += "{% if add_generation_prompt %}[assistant]<think>{% endif %}"
    found = finder(text, conversation("a", "b", "c", "d"))
    assert shown(found, [1, 3]) == ["b</s>", "d</s>"]
    assert [one.is_asked for one in found.find([1, 3])] == [False, False]
