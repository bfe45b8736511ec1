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
from dataclasses import dataclass, field
from typing import Any

Message = Mapping[str, Any]
Render = Callable[[Sequence[Message], bool], str]
"""Messages, and whether the request for an answer follows them → text."""

Shape = tuple[bool, int, str]


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
    is_asked: bool
    """What stands before it is what a model is given when it is asked for this turn."""
    is_closed: bool
    """It ends with a token that ends turns."""


@dataclass(frozen=True)
class Finder:
    """Finds turns in what a template makes of one conversation."""

    messages: Sequence[Message]
    text: str
    """What the template makes of all of it."""
    render: Render
    ends: Sequence[str]
    """Texts of tokens that can end a turn, ``eos`` among them. What the template writes behind such a token (a line
    break) is not part of the turn, as no model is asked for it."""
    eos: str | None
    closings: dict[Shape, str] = field(default_factory=dict)
    """How this template ended turns that were found by words of ours: it need not be asked again for each of many."""

    def find(self, turns: Sequence[int]) -> list[Span]:
        """The spans of the turns of assistants at these places, in order.

        Raises: Unclear; whatever ``render`` raises.
        """
        found: list[Span] = []
        for turn in turns:
            span = self._span(turn)
            if found and span.start < found[-1].end:
                raise Unclear(f"turn {turn + 1} overlaps an earlier one")
            found.append(span)
        return found

    def _span(self, turn: int) -> Span:
        asked = self._asked(turn)
        start, end = self._by_closing(turn, asked) or self._by_prefix(turn, asked) or self._by_word(turn, asked)
        end, is_closed = self._end_of_turn(start, end)
        if start >= end:
            raise Unclear(f"the template shows nothing of the answer in turn {turn + 1}")
        shown = self.text[start:end]
        content = str(self.messages[turn].get("content") or "").strip()
        is_changed = content not in shown
        calls = self.messages[turn].get("tool_calls") or ()
        if any(str(call["function"]["name"]) not in shown for call in calls):
            raise Unclear(f"the template does not show the calls of tools in turn {turn + 1}")
        if is_changed and not calls and not self._shows(turn):
            raise Unclear(f"the template does not show the content of turn {turn + 1}")
        return Span(turn, start, end, is_changed, asked == start, is_closed)

    def _asked(self, turn: int) -> int | None:
        """Where the answer begins: the length of what a model is given before it, if the text begins with that."""
        if turn == 0:
            return None
        given = self.render(self.messages[:turn], True)
        return len(given) if self.text.startswith(given) else None

    def _by_closing(self, turn: int, asked: int | None) -> tuple[int, int] | None:
        """The span of a turn whose like was found before: from what the model is given to the first token that can end
        a turn, if that begins what ended the like. None where the turn itself says such a token."""
        closing = self.closings.get(self._shape(turn))
        if asked is None or closing is None or self._says_end(turn):
            return None
        first = self._first_end(self.text, asked)
        return (asked, first + len(closing)) if first >= 0 and self.text.startswith(closing, first) else None

    def _shape(self, turn: int) -> Shape:
        """What the end of a turn can depend on: whether it says and calls something, and who is next."""
        message = self.messages[turn]
        then = str(self.messages[turn + 1]["role"]) if turn + 1 < len(self.messages) else ""
        return bool(str(message.get("content") or "").strip()), len(message.get("tool_calls") or ()), then

    def _says_end(self, turn: int) -> bool:
        message = self.messages[turn]
        said = f"{message.get('content')} {message.get('tool_calls')}"
        return any(token in said for token in self.ends)

    def _first_end(self, text: str, start: int) -> int:
        places = [text.find(token, start) for token in self.ends]
        return min((place for place in places if place >= 0), default=-1)

    def _by_prefix(self, turn: int, asked: int | None) -> tuple[int, int] | None:
        if asked is None:
            return None
        if turn == len(self.messages) - 1:
            return asked, len(self.text)
        with_turn = self.render(self.messages[: turn + 1], False)
        return (asked, len(with_turn)) if self.text.startswith(with_turn) and len(with_turn) > asked else None

    def _by_word(self, turn: int, asked: int | None) -> tuple[int, int]:
        """The span of a turn, from where words of ours in its place come out."""
        marked, words = self._marked(turn)
        whole = self.render([*self.messages[:turn], marked, *self.messages[turn + 1 :]], False)
        tail = _behind(whole, words)
        if tail is None:
            raise Unclear(f"the template does not show turn {turn + 1}")
        if not self.text.endswith(tail):
            raise Unclear(f"the end of turn {turn + 1} depends on what it says")
        is_last = turn == len(self.messages) - 1
        closing = tail if is_last else self._closing(turn, marked, words, tail)
        if not is_last and not self._says_end(turn) and (first := self._first_end(closing, 0)) >= 0:
            self.closings[self._shape(turn)] = closing[first:]
        start = asked
        if start is None:
            heading = whole.partition(words[0])[0]
            if heading == whole or not self.text.startswith(heading):
                raise Unclear(f"the beginning of turn {turn + 1} depends on what it says")
            start = len(heading)
        if start > len(self.text) - len(tail):
            raise Unclear(f"turn {turn + 1} cannot be told from what stands around it")
        return start, len(self.text) - len(tail) + len(closing)

    def _closing(self, turn: int, marked: Message, words: Sequence[str], tail: str) -> str:
        """What of the tail belongs to the turn: that which follows it too where no other turn does.

        Some templates end the whole text with the end token, and some write another end while an answer is asked for:
        what remains without the one or the other is tried as well.
        """
        upto = [*self.messages[:turn], marked]
        alone = _behind(self.render(upto, False), words)
        if alone is not None and tail.startswith(alone):
            return alone
        asked, request = _behind(self.render(upto, True), words), self._request(turn)
        if asked and request and asked.endswith(request):
            asked = asked[: -len(request)]
            if asked.strip() and tail.startswith(asked):
                return asked
        without_eos = (alone or "").removesuffix(self.eos or "")
        if without_eos.strip() and tail.startswith(without_eos):
            return without_eos
        raise Unclear(f"the end of turn {turn + 1} depends on what follows it")

    def _request(self, turn: int) -> str | None:
        """What the template adds to ask for a turn."""
        if turn == 0:
            return None
        given, without = self.render(self.messages[:turn], True), self.render(self.messages[:turn], False)
        return given[len(without) :] if given.startswith(without) else None

    def _shows(self, turn: int) -> bool:
        marked, words = self._marked(turn)
        return words[0] in self.render([*self.messages[:turn], marked, *self.messages[turn + 1 :]], False)

    def _marked(self, turn: int) -> tuple[Message, list[str]]:
        """The turn with words of ours as its content and as the names of what it calls; and the words."""
        message = self.messages[turn]
        calls = message.get("tool_calls") or ()
        words = _words(self.text, 1 + len(calls))
        named = [
            {**call, "function": {**call["function"], "name": word}}
            for call, word in zip(calls, words[1:], strict=True)
        ]
        return {**message, "content": words[0], **({"tool_calls": named} if named else {})}, words

    def _end_of_turn(self, start: int, end: int) -> tuple[int, bool]:
        """The end of a span, with the token that ends the turn and without the white space behind it."""
        stripped = start + len(self.text[start:end].rstrip())
        if any(self.text.endswith(token, start, stripped) for token in self.ends):
            return stripped, True
        # A template may write the end token only once another turn follows.
        if self.eos and self.text.startswith(self.eos, end):
            return end + len(self.eos), True
        return end, False


def _words(text: str, number: int) -> list[str]:
    """Words that are not in the text: letters alone, which no template trims, escapes or splits."""
    stem = "Qzjxv"
    while stem in text:
        stem += "Kwq"
    return [f"{stem}{'abcdefghij'[place % 10] * (1 + place // 10)}Z" for place in range(number)]


def _behind(text: str, words: Sequence[str]) -> str | None:
    """What stands behind the last of the words that came out; None where none did, or one came out twice."""
    counts = [text.count(word) for word in words]
    if not any(counts) or max(counts) > 1:
        return None
    return text[max(text.rfind(word) + len(word) for word in words if word in text) :]
