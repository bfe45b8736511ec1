"""The turns we find by rendering, against those that TRL's training templates mark with ``{% generation %}``.

Two differences are meant: white space behind the end of a turn, which no model is asked for, is not ours; and where the
request for an answer goes further than the marker (``<think>``), a turn of ours begins behind it.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.conversation import Conversation, Turn
from tunesmith.models.templates.render import Marked, Renderer
from tunesmith.models.templates.template import ChatTemplate

SPEC = importlib.util.find_spec("trl")
FOLDER = Path(SPEC.origin).parent / "chat_templates" if SPEC is not None and SPEC.origin else Path("/nowhere")
MARKED = sorted(path.stem for path in FOLDER.glob("*.jinja") if "generation %}" in path.read_text(encoding="utf-8"))

NAMED = {"bos_token": "<s>", "eos_token": "</s>"}
ENDS = [
    "<|im_end|>",
    "<|eot_id|>",
    "</s>",
    "<end_of_turn>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<turn|>",
    "<|eot|>",
    "<|END_OF_TURN_TOKEN|>",
    "<｜end▁of▁sentence｜>",
]
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "rain", "arguments": '{"city": "Bonn"}'}}
TOOL = {"type": "function", "function": {"name": "rain", "description": "Rain?", "parameters": {"type": "object"}}}
BYE, GONE = Turn("user", "Bye now"), Turn("assistant", "Bye.")
CONVERSATIONS = {
    "chat": Conversation((Turn("user", "Hi"), Turn("assistant", "Hello there."), BYE, GONE)),
    "thoughts": Conversation(
        (
            Turn("user", "Hi"),
            Turn("assistant", "<think>\nhm\n</think>\n\nHello there."),
            BYE,
            Turn("assistant", "<think>\nwell\n</think>\n\nBye."),
        )
    ),
    "tools": Conversation(
        (
            Turn("user", "Rain in Bonn?"),
            Turn("assistant", "", tool_calls=(CALL,)),
            Turn("tool", "yes", tool_call_id="abcdefghi", name="rain"),
            Turn("assistant", "It rains."),
            BYE,
            GONE,
        ),
        (TOOL,),
    ),
}
REFUSED = {
    # They want contents as lists of parts, as of images.
    *(
        (name, what)
        for name in ("idefics3_training", "llava_next_training", "smolvlm_training")
        for what in CONVERSATIONS
    ),
    # They show no tools, no calls, or speak of users and assistants only.
    *(
        (f"{name}_training", "tools")
        for name in ("cohere", "cohere2", "deepseek_r1_distill", "deepseekv3", "gemma", "gemma3", "lfm2", "llama3")
    ),
    *((f"{name}_training", "tools") for name in ("phi3", "phi3_5", "qwen2_5_vl")),
    # Its request writes an empty thought that answers with a thought do not have.
    ("qwen3_5_nothink_training", "thoughts"),
}
# Behind the result of a tool it goes on in the same turn when it is asked, and begins a new one when it is trained.
OTHER_REQUEST = {("diffusion_gemma_training", "tools")}


class _Named:
    named = NAMED
    control = tuple(ENDS)


def marked_by_transformers(text: str, conversation: Conversation) -> tuple[str, list[str]]:
    """The text and what stands within the markers, those that touch joined."""
    from transformers.utils.chat_template_utils import render_jinja_template

    messages = []
    for turn in conversation.turns:
        message: dict[str, Any] = turn.to_message()
        for call in message.get("tool_calls", ()):
            call["function"] = {**call["function"], "arguments": json.loads(call["function"]["arguments"])}
        messages.append(message)
    tools = [dict(tool) for tool in conversation.tools] or None
    [rendered], [places] = render_jinja_template(
        [messages], tools=tools, chat_template=text, return_assistant_tokens_mask=True, **NAMED
    )
    joined: list[list[int]] = []
    for start, end in places:
        if joined and joined[-1][1] == start:
            joined[-1][1] = end
        elif start < end:
            joined.append([start, end])
    return rendered, [rendered[start:end] for start, end in joined]


@pytest.mark.skipif(not MARKED, reason="TRL is not installed")
@pytest.mark.parametrize("name", MARKED)
def test_turns_are_those_that_the_template_marks(name: str) -> None:
    text = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    with Renderer(ChatTemplate("own", name, text), _Named()) as renderer:  # type: ignore[arg-type]
        for what, conversation in CONVERSATIONS.items():
            [found] = renderer.marked([(conversation.messages_json(), conversation.tools_json())], "assistant")
            assert isinstance(found, Marked) == ((name, what) not in REFUSED), f"{what}: {found}"
            if not isinstance(found, Marked) or (name, what) in OTHER_REQUEST:
                continue
            rendered, theirs = marked_by_transformers(text, conversation)
            ours = [found.text[start:end] for start, end, _ in found.spans]
            if found.text == rendered:  # gpt-oss and others write the time of day
                assert len(ours) == len(theirs)
            for (start, _, _), own, other in zip(found.spans, ours, theirs, strict=True):
                assert other.rstrip().endswith(own.rstrip()), what
                more = other.rstrip()[: len(other.rstrip()) - len(own.rstrip())]
                assert found.text[:start].endswith(more)  # they also train what the request says already
