"""The table of formats: what each is called, which columns it has, and how its rows are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.data.formats import alpaca, messages, plain_text, prompt_completion, sharegpt
from tunesmith.data.formats.draft import Draft
from tunesmith.data.formats.reading import Reading

LIST_NAMES = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "chat", "traj", "trajectory")
TOOL_NAMES = ("tools", "functions", "function")
SYSTEM_NAMES = ("system", "system_prompt", "system_message")

PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("prompt", "output"),
    ("prompt", "answer"),
    ("prompt", "target"),
    ("question", "answer"),
    ("question", "response"),
    ("query", "response"),
    ("query", "answer"),
    ("input", "output"),
    ("input", "target"),
    ("input", "response"),
    ("source", "target"),
    ("src", "tgt"),
    ("mr", "ref"),
    ("meaning_representation", "human_reference"),
    ("original_text", "reference_summary"),
    ("document", "summary"),
    ("article", "highlights"),
    ("dialogue", "summary"),
    ("text", "summary"),
    ("question", "long_answer"),
    ("text", "completion"),
    ("text", "target"),
    ("text", "label"),
)
"""Names of what is asked with what is answered, as the data sets in use have them; the first that fits counts."""


@dataclass(frozen=True)
class DataFormat:
    """A form that the rows of a source may have."""

    kind: str
    """What a recipe calls it."""
    title: str
    """What people call it."""
    needed: tuple[str, ...]
    """The roles a column must have."""
    names: Mapping[str, tuple[str, ...]]
    """Role → what its column is often called, likeliest first; for optional roles too."""
    read: Callable[[Mapping[str, Any], Reading], Draft]
    """The turns of one row's cells, by role."""
    nested: frozenset[str] = frozenset()
    """Roles whose cells are lists."""


FORMATS: dict[str, DataFormat] = {
    one.kind: one
    for one in (
        DataFormat(
            "messages",
            "OpenAI messages",
            ("messages",),
            {"messages": LIST_NAMES, "tools": TOOL_NAMES, "system": SYSTEM_NAMES},
            messages.read,
            frozenset({"messages", "tools"}),
        ),
        DataFormat(
            "sharegpt",
            "ShareGPT",
            ("messages",),
            {"messages": LIST_NAMES, "tools": TOOL_NAMES, "system": SYSTEM_NAMES},
            sharegpt.read,
            frozenset({"messages", "tools"}),
        ),
        DataFormat(
            "alpaca",
            "Alpaca",
            ("instruction", "output"),
            {
                "instruction": ("instruction", "instructions"),
                "output": ("output", "response", "completion", "answer", "target"),
                "input": ("input", "context"),
                "system": SYSTEM_NAMES,
                "history": ("history",),
            },
            alpaca.read,
            frozenset({"history"}),
        ),
        DataFormat(
            "prompt_completion",
            "prompt and completion",
            ("prompt", "completion"),
            {
                "prompt": tuple(dict.fromkeys(asked for asked, _ in PAIRS)),
                "completion": tuple(dict.fromkeys(answered for _, answered in PAIRS)),
                # Not looked for: `system` may as well be an operating system.
                "system": (),
                "tools": (),
            },
            prompt_completion.read,
            frozenset({"tools"}),
        ),
        DataFormat(
            "text",
            "text",
            ("text",),
            {"text": ("text", "content", "document", "body", "article", "story")},
            plain_text.read,
        ),
    )
}


def said_as(section: str) -> str:
    """What a recipe writes to say something of its format."""
    return f"`data: {{format: {{{section}}}}}`"


@dataclass(frozen=True)
class LaterFormat:
    """A form that is known and not learned from in this version."""

    title: str
    columns: tuple[frozenset[str], ...]
    """The sets of columns it has; one of them is enough."""
    next: str
    """What to do."""


LATER: tuple[LaterFormat, ...] = (
    LaterFormat(
        "preference pairs (chosen and rejected)",
        (frozenset({"prompt", "chosen", "rejected"}),),
        f"to learn the better answers only, write {said_as('columns: {prompt: prompt, completion: chosen}')}",
    ),
    LaterFormat(
        "preference pairs (chosen and rejected transcripts)",
        (frozenset({"chosen", "rejected"}),),
        f"to learn the better conversations only, write {said_as('columns: {messages: chosen}')} where they are lists "
        f"of messages, or {said_as('columns: {text: chosen}')} where they are texts",
    ),
    LaterFormat(
        "preference pairs in OpenAI's form",
        (frozenset({"input", "preferred_output", "non_preferred_output"}),),
        "to learn the better answers only, write each conversation with its `preferred_output` as `messages`",
    ),
    LaterFormat(
        "two answers with a verdict",
        tuple(map(frozenset, (("output_1", "output_2"), ("response_0", "response_1"), ("response_a", "response_b")))),
        "to learn the better answers only, write them in a column of their own and map it as `completion`",
    ),
    LaterFormat(
        "KTO (answers that are wanted or not)",
        (frozenset({"prompt", "completion", "label"}),),
        "to learn the wanted answers only, keep their rows and write "
        f"{said_as('columns: {prompt: prompt, completion: completion}')}",
    ),
    LaterFormat(
        "trees of replies",
        (frozenset({"message_tree_id", "prompt"}),),
        "write one conversation for each path that is to be learned, as `messages`",
    ),
)  # fmt: skip
