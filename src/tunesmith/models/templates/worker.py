"""The process that runs templates: a template is a stranger's program, so it has no business in ours.

It reads a line of JSON and answers with one, until its input ends. The first line says which template; every other is
a list of conversations.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import jinja2

from tunesmith.models.templates import environment, spans

TrainOn = Literal["assistant", "all", "last"]


class Refusal(Exception):
    """A conversation that the template or we cannot take: the reason."""


@dataclass
class Work:
    """A template with what it is always given."""

    template: jinja2.Template
    tools_template: jinja2.Template
    named: Mapping[str, str]
    ends: Sequence[str]
    closings: dict[spans.Shape, str] = field(default_factory=dict)

    @classmethod
    def start(cls, told: Mapping[str, Any]) -> Work:
        """The work that a first line describes."""
        template = environment.compile_template(told["text"], told["today"])
        more = told["tools_text"]
        tools = template if more is None else environment.compile_template(more, told["today"])
        return cls(template, tools, told["named"], told["ends"])

    def render(self, messages: Sequence[Any], tools: Sequence[Any], is_asked: bool) -> str:
        """The text of messages."""
        environment.bound_processor()
        given = {"messages": list(messages), "tools": list(tools) or None, "documents": None}
        try:
            return environment.render(
                self.tools_template if tools else self.template,
                {**self.named, **given, "add_generation_prompt": is_asked},
            )
        except (environment.Exceeded, MemoryError):
            raise
        except jinja2.TemplateError as error:
            raise Refusal(f"the template says: {_bounded(error.message or type(error).__name__)}") from error
        except Exception as error:
            raise Refusal(f"the template fails: {type(error).__name__}: {_bounded(str(error))}") from error

    def marked(self, messages: Sequence[Any], tools: Sequence[Any], train_on: TrainOn) -> dict[str, Any]:
        """The text of a conversation, and the weight of every part that is trained."""
        cleaned = [_for_template(one) for one in messages]
        text = self.render(cleaned, tools, False)
        if tools and self.tools_template is self.template and self.render(cleaned, (), False) == text:
            raise Refusal("the template does not show the tools")
        turns = [place for place, one in enumerate(messages) if one["role"] == "assistant"]
        weights = {turn: float(messages[turn].get("weight", 1.0)) for turn in turns}
        if train_on == "last":
            turns = turns[-1:]
        if train_on == "all":
            # Of what is trained anyhow, only turns with another weight have to be found, and how the last one ends.
            turns = [turn for turn in turns if weights[turn] != 1.0 or turn == len(messages) - 1]
        else:
            turns = [turn for turn in turns if weights[turn] > 0]
            if not turns:
                raise Refusal("no answer to train on")
        rendered: dict[tuple[int, bool], str] = {}

        def render(some: Sequence[Any], is_asked: bool) -> str:
            # The same beginnings are asked for several times; they are told by their length where nothing is replaced.
            if len(some) and some[-1] is not cleaned[len(some) - 1]:
                return self.render(some, tools, is_asked)
            if len(some) == len(cleaned) and any(one is not own for one, own in zip(some, cleaned, strict=True)):
                return self.render(some, tools, is_asked)
            key = len(some), is_asked
            if key not in rendered:
                rendered[key] = text if key == (len(cleaned), False) else self.render(some, tools, is_asked)
            return rendered[key]

        try:
            finder = spans.Finder(cleaned, text, render, self.ends, self.named.get("eos_token"), self.closings)
            found = finder.find(turns)
        except spans.Unclear as error:
            raise Refusal(str(error)) from error
        return {
            "text": text,
            "spans": [[one.start, one.end, weights[one.turn]] for one in found],
            "is_closed": not found or found[-1].turn != len(messages) - 1 or found[-1].is_closed,
            "num_changed": sum(one.is_changed for one in found),
            "num_unlike_asked": sum(not one.is_asked for one in found),
            "num_unshown": sum(one["role"] != "assistant" and not _is_shown(one["content"], text) for one in messages),
            "num_open": sum(not one.is_closed for one in found if one.turn != len(messages) - 1),
        }


def _is_shown(content: str, text: str) -> bool:
    content = content.strip()
    return content in text or json.dumps(content, ensure_ascii=False)[1:-1] in text


def _for_template(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as templates expect it: arguments of calls as objects, no weight."""
    found = {key: value for key, value in message.items() if key != "weight"}
    calls = found.get("tool_calls")
    if calls:
        found["tool_calls"] = [{**call, "function": _function(call["function"])} for call in calls]
    return found


def _function(function: Mapping[str, Any]) -> dict[str, Any]:
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            parsed = json.loads(arguments)
        except ValueError:
            parsed = None
        if isinstance(parsed, dict):
            arguments = parsed
    return {**function, "arguments": arguments}


def _bounded(words: str, most: int = 300) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def answer(work: Work, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The answers to a line of conversations, up to the first that took too much."""
    found: list[dict[str, Any]] = []
    for messages_json, tools_json in asked["items"]:
        messages, tools = json.loads(messages_json), json.loads(tools_json) if tools_json else []
        try:
            if asked["train_on"] is None:
                cleaned = [_for_template(one) for one in messages]
                found.append({"text": work.render(cleaned, tools, asked["is_asked"])})
            else:
                found.append(work.marked(messages, tools, asked["train_on"]))
        except Refusal as error:
            found.append({"refused": str(error)})
        except environment.Exceeded as error:
            found.append({"exceeded": str(error)})
            break
        except MemoryError:
            found.append({"exceeded": f"more than {environment.MAX_MEMORY_BYTES // 1_000_000} MB of memory"})
            break
    return found


def main() -> None:
    """Answer lines until there are no more."""
    environment.bound_memory()
    environment.bound_processor()
    work: Work | None = None
    for line in sys.stdin.buffer:
        told = json.loads(line)
        answered: Any
        if work is None:
            try:
                work = Work.start(told)
                answered = {"ready": True}
            except jinja2.TemplateSyntaxError as error:
                answered = {"wrong": f"line {error.lineno}: {error.message}"}
            except environment.Exceeded as error:
                answered = {"wrong": f"reading it takes {error}"}
            except (RecursionError, MemoryError) as error:
                answered = {"wrong": f"it cannot be read: {type(error).__name__}"}
        else:
            answered = answer(work, told)
        sys.stdout.buffer.write(json.dumps(answered, separators=(",", ":")).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
