"""Templates of our own, for models that bring none: ``chatml`` for conversations, ``plain`` for pairs and texts."""

from __future__ import annotations

IM_START, IM_END = "<|im_start|>", "<|im_end|>"

_TOOL_CALLS = """\
    {%- for call in message.tool_calls or [] %}
        {{- ('\\n' if message.content or not loop.first else '') + '<tool_call>\\n' }}
        {{- {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}
        {{- '\\n</tool_call>' }}
    {%- endfor %}
"""

_TOOLS = """\
{%- if tools %}
    {%- set tools_text %}
        {{- '# Tools\\n\\nYou may call these functions, each call as '}}
        {{- '<tool_call>\\n{"name": <name>, "arguments": <object>}\\n</tool_call>:\\n<tools>' }}
        {%- for tool in tools %}{{ '\\n' + tool | tojson }}{% endfor %}
        {{- '\\n</tools>' }}
    {%- endset %}
    {%- if messages and messages[0].role == 'system' %}
        {{- start + 'system\\n' + messages[0].content + '\\n\\n' + tools_text + end + '\\n' }}
        {%- set messages = messages[1:] %}
    {%- else %}
        {{- start + 'system\\n' + tools_text + end + '\\n' }}
    {%- endif %}
{%- endif %}
"""


def chatml(*, has_bos: bool, end: str | None) -> str:
    """The text of ChatML (OpenAI's form, as Qwen writes it).

    ``has_bos``: the model's texts begin with its start token. ``end``: the token that ends a turn; None: the
    tokenizer's end token, for vocabularies without one for turns.
    """
    closing = f"'{end}'" if end else "eos_token"
    return (
        ("{{- bos_token }}\n" if has_bos else "")
        + f"{{%- set start = '{IM_START}' %}}\n{{%- set end = {closing} %}}\n"
        + _TOOLS
        + "{%- for message in messages %}\n"
        + "    {{- start + message.role + '\\n' + message.content }}\n"
        + _TOOL_CALLS
        + "    {{- end + '\\n' }}\n"
        + "{%- endfor %}\n"
        + "{%- if add_generation_prompt %}{{ start + 'assistant\\n' }}{% endif %}"
    )


def plain(*, has_bos: bool) -> str:
    """The text of the plain form: what is asked, a line break, the answer, the end token."""
    return (
        ("{{- bos_token }}\n" if has_bos else "")
        + "{%- if tools %}{{ raise_exception('the template `plain` shows no tools: write `template: chatml`') }}"
        + "{% endif %}\n"
        + "{%- for message in messages %}\n"
        + "    {%- if message.tool_calls %}"
        + "{{ raise_exception('the template `plain` shows no calls of tools: write `template: chatml`') }}{% endif %}\n"
        + "    {{- message.content }}\n"
        + "    {%- if message.role == 'assistant' %}{{ eos_token }}{% endif %}\n"
        + "    {%- if message.role != 'assistant' or not loop.last %}{{ '\\n' }}{% endif %}\n"
        + "{%- endfor %}"
    )
