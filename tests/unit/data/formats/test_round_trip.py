"""Any conversation comes back from its texts as it was, whatever form it had."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.data.formats.formatted import formatted

from tunesmith.core.conversation import Conversation, Turn
from tunesmith.data.formats.convert import LIKE_MISSING
from tunesmith.data.formats.readable import readable

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30).filter(
    lambda one: not one.isspace()
)
WORDS = TEXTS.map(lambda one: f"{one}a")
"""Texts that are not empty once they are repaired."""
JSON = st.dictionaries(
    TEXTS, st.none() | st.booleans() | st.integers(-9, 9) | TEXTS | st.lists(TEXTS, max_size=2), max_size=2
)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """A conversation whose speakers alternate, with calls and results, weights and tools."""
    turns = [Turn("system", draw(TEXTS))] if draw(st.booleans()) else []
    for number in range(draw(st.integers(1, 3))):
        turns.append(Turn("user", draw(TEXTS), name=draw(st.none() | TEXTS)))
        if draw(st.booleans()):
            listed: list[dict[str, Any]] = [
                {
                    "id": f"{number}-{at}",
                    "type": "function",
                    "function": {"name": draw(TEXTS), "arguments": json.dumps(draw(JSON))},
                }
                for at in range(draw(st.integers(1, 2)))
            ]
            turns.append(Turn("assistant", draw(st.just("") | TEXTS), tool_calls=tuple(listed)))
            turns += [Turn("tool", draw(st.just("") | TEXTS), tool_call_id=one["id"]) for one in reversed(listed)]
        turns.append(Turn("assistant", draw(TEXTS), weight=draw(st.sampled_from([None, 0.25, 1.0]))))
    tools = (
        [{"type": "function", "function": {"name": draw(TEXTS), "parameters": draw(JSON)}}]
        if draw(st.booleans())
        else []
    )
    return Conversation(tuple(turns), tuple(tools))


@given(st.lists(conversations(), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_messages_come_back_as_they_were(given_: list[Conversation]) -> None:
    columns = {
        "messages": [
            json.dumps([turn.to_message() for turn in one.turns], ensure_ascii=len(given_) % 2 == 0) for one in given_
        ],
        "tools": [one.tools_json() for one in given_],
    }
    with TemporaryDirectory() as folder:
        facts, rows, _ = formatted(Path(folder), columns, unicode=False, whitespace=False)
    back = [Conversation.read(*row) for row in rows.select("messages", "tools").iter_rows()]
    assert back == given_ and facts["refused"] == {}
    # An answer `none` is kept, and told.
    assert set(facts["conversations"]["changed"]) <= {LIKE_MISSING}
    assert [one.messages_json() for one in back] == rows["messages"].to_list()
    assert [one.tools_json() for one in back] == rows["tools"].to_list()
    assert rows["text"].to_list() == [readable(one) for one in back]


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_the_same_pair_in_every_form_is_the_same_conversation(pairs: list[tuple[str, str]]) -> None:
    forms: list[dict[str, list[Any]]] = [
        {"prompt": [one for one, _ in pairs], "completion": [one for _, one in pairs]},
        {"instruction": [one for one, _ in pairs], "output": [one for _, one in pairs]},
        {"conversations": [[{"from": "human", "value": a}, {"from": "gpt", "value": b}] for a, b in pairs]},
        {"messages": [[{"role": "user", "content": a}, {"role": "assistant", "content": b}] for a, b in pairs]},
    ]
    seen = []
    for cells in forms:
        with TemporaryDirectory() as folder:
            facts, rows, _ = formatted(Path(folder), cells)
        seen.append((facts["conversations"]["repaired"], rows.select("text", "messages", "tools").rows()))
        assert rows.height == len(pairs)
    assert all(one == seen[0] for one in seen)
