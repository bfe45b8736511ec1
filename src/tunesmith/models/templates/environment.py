"""The sandbox that templates run in: the one of transformers, with bounds on time and on what comes out."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import Any

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_SECONDS = 1.0
"""Processor time of one rendering."""
MAX_CHARS = 16_000_000
"""Of one rendering: longer than any context."""
MAX_MEMORY_BYTES = 512_000_000
"""Of the process that renders, beyond what it starts with."""


class Exceeded(BaseException):
    """A template took more than it may: what. No Exception, as Jinja swallows those of constants that it computes."""


class _Generation(jinja2.ext.Extension):
    """``{% generation %}`` marks what an assistant says. It is rendered as it is: we find the turns without it."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def compile_template(text: str, today: str | None = None) -> jinja2.Template:
    """A template ready to render.

    ``today``: the day that ``strftime_now`` writes, as ``2024-07-26``; None: the real one.

    Raises: jinja2.TemplateSyntaxError; Exceeded.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_Generation, jinja2.ext.loopcontrols],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    day = None if today is None else datetime.fromisoformat(today)
    environment.globals["strftime_now"] = lambda form: (day or datetime.now()).strftime(form)
    with _bounded_time():  # constants of a template are computed here already
        return environment.from_string(text)


def render(template: jinja2.Template, variables: Mapping[str, Any]) -> str:
    """What a template makes of its variables.

    Raises: Exceeded; jinja2.TemplateError and whatever else the template's expressions raise.
    """
    pieces: list[str] = []
    size = 0
    with _bounded_time():
        for piece in template.generate(**variables):
            size += len(piece)
            if size > MAX_CHARS:
                raise Exceeded(f"more than {MAX_CHARS:,} characters")
            pieces.append(piece)
    return "".join(pieces)


@contextmanager
def _bounded_time() -> Iterator[None]:
    def stop(signum: int, frame: FrameType | None) -> None:
        raise Exceeded(f"more than {MAX_SECONDS:g} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, MAX_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def bound_memory() -> None:
    """Let this process take no more than ``MAX_MEMORY_BYTES`` beyond what it has, where the system can bound it."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:  # noqa: PTH123 - not a file but the kernel
            now = int(stream.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MAX_MEMORY_BYTES, now + MAX_MEMORY_BYTES))
    except (OSError, ValueError):
        return


def bound_processor() -> None:
    """Let the system end this process where one single operation takes longer than a rendering may.

    Python answers signals between operations; a power of large numbers is one.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + int(MAX_SECONDS) + 2
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds if hard < 0 else min(seconds, hard), hard))


def _raise(message: object) -> None:
    raise jinja2.TemplateError(str(message))


def _to_json(value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, **more: Any) -> str:
    # Jinja's own filter escapes HTML.
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, **more)
