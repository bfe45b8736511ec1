"""Which characters of a rendered conversation an assistant said: found by rendering, not by reading the template.

A template is a program. What it makes of a conversation up to a turn, with the request for an answer, is exactly what
the model is given before that turn; what it makes of the conversation up to and with the turn is what the model should
have said. Where both are beginnings of the whole text, the turn is what lies between them. Templates that write a turn
otherwise once others follow it (Qwen 3 drops its thinking) break that; there the turn is rendered again with a word of
ours in place of its content, and what stands around that word is sought in the text. What cannot be found with
certainty is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, Any]
Render = Callable[[Sequence[Message], bool], str]
"""Messages, and whether the request for an answer follows them → text."""


class Unclear(Exception):
    """A turn cannot be found in the text with certainty: the reason."""


@dataclass(frozen=True)
class Span:
    """Where a turn of an assistant stands: from behind its heading up to and with its end."""

    turn: int
    start: int
    end: int
    is_changed: bool
    """The template wrote it otherwise than its content is (dropped or rewrote a part of it)."""


def find(
    messages: Sequence[Message], turns: Sequence[int], render: Render, ends: Sequence[str], eos: str | None
) -> list[Span]:
    """The spans of the turns of assistants at these places, in order.

    ``ends``: texts of tokens that can end a turn, ``eos`` among them; what the template writes behind such a token (a
    line break) is not part of the turn, as no model is asked for it.

    Raises: Unclear; whatever ``render`` raises.
    """
    text = render(messages, False)
    found: list[Span] = []
    for turn in turns:
        start, end = _by_prefix(text, messages, turn, render) or _by_word(text, messages, turn, render)
        end = _end_of_turn(text, start, end, ends, eos)
        content = str(messages[turn].get("content") or "").strip()
        if start >= end:
            raise Unclear(f"the template shows nothing of the answer in turn {turn + 1}")
        if found and start < found[-1].end:
            raise Unclear(f"turn {turn + 1} overlaps an earlier one")
        found.append(Span(turn, start, end, content not in text[start:end]))
    return found


def _asked(text: str, messages: Sequence[Message], turn: int, render: Render) -> int | None:
    """Where the answer begins: the length of what a model is given before it, if the text begins with that."""
    if turn == 0:
        return None
    given = render(messages[:turn], True)
    return len(given) if text.startswith(given) else None


def _by_prefix(text: str, messages: Sequence[Message], turn: int, render: Render) -> tuple[int, int] | None:
    start = _asked(text, messages, turn, render)
    if start is None:
        return None
    if turn == len(messages) - 1:
        return start, len(text)
    with_turn = render(messages[: turn + 1], False)
    return (start, len(with_turn)) if text.startswith(with_turn) and len(with_turn) > start else None


def _by_word(text: str, messages: Sequence[Message], turn: int, render: Render) -> tuple[int, int]:
    """The span of a turn, from where words of ours in its place come out."""
    message = messages[turn]
    words = _words(text, 1 + len(message.get("tool_calls") or ()))
    marked = _marked(message, words)
    whole = render([*messages[:turn], marked, *messages[turn + 1 :]], False)
    alone = whole if turn == len(messages) - 1 else render([*messages[:turn], marked], False)
    tail, tail_alone = _behind(whole, words), _behind(alone, words)
    if tail is None or tail_alone is None:
        raise Unclear(f"the template does not show turn {turn + 1}")
    if not text.endswith(tail) or not tail.startswith(tail_alone):
        raise Unclear(f"the end of turn {turn + 1} depends on what it says or on what follows it")
    end = len(text) - len(tail) + len(tail_alone)
    start = _asked(text, messages, turn, render)
    if start is None:
        heading = whole.partition(words[0])[0]
        if heading == whole or not text.startswith(heading):
            raise Unclear(f"the beginning of turn {turn + 1} depends on what it says")
        start = len(heading)
    if start > len(text) - len(tail):
        raise Unclear(f"turn {turn + 1} cannot be told from what stands around it")
    return start, end


def _words(text: str, number: int) -> list[str]:
    """Words that are not in the text: letters alone, which no template trims, escapes or splits."""
    stem = "Qzjxv"
    while stem in text:
        stem += "Kwq"
    return [f"{stem}{'abcdefghij'[place % 10] * (1 + place // 10)}Z" for place in range(number)]


def _marked(message: Message, words: Sequence[str]) -> Message:
    calls = [
        {**call, "function": {**call["function"], "name": word}}
        for call, word in zip(message.get("tool_calls") or (), words[1:], strict=True)
    ]
    return {**message, "content": words[0], **({"tool_calls": calls} if calls else {})}


def _behind(text: str, words: Sequence[str]) -> str | None:
    """What stands behind the last of the words that came out; None where none did, or one came out twice."""
    counts = [text.count(word) for word in words]
    if not any(counts) or max(counts) > 1:
        return None
    last = max((text.rfind(word) + len(word) for word in words if word in text), default=0)
    return text[last:]


def _end_of_turn(text: str, start: int, end: int, ends: Sequence[str], eos: str | None) -> int:
    """The end of a span, with the token that ends the turn and without the white space behind it."""
    stripped = start + len(text[start:end].rstrip())
    for token in ends:
        if text.endswith(token, start, stripped):
            return stripped
    # A template may write the end token only once another turn follows.
    return end + len(eos) if eos and text.startswith(eos, end) else end
