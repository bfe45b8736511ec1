"""``tunesmith serve``: released models over HTTP, until a signal."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import verb

if TYPE_CHECKING:
    from tunesmith.server.run import Started

References = Annotated[
    list[str],
    typer.Argument(
        help="Released models: name@alias (followed when it moves), name@version or name; project/name@alias of "
        "another project.",
        metavar="MODEL...",
    ),
]


@verb
def serve(
    screen: Screen,
    models: References,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen on; any but this machine's own needs keys first.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The port to listen on; 0: any that is free.")
    ] = 8080,
    rate: Annotated[
        float,
        typer.Option("--rate", min=0, help="Requests a second of one key, in the long run; 0: unbounded.", metavar="N"),
    ] = 200.0,
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(
            "--precision",
            help="bfloat16: faster on processors that have it; taken only where the model's own validation and test "
            "rows keep their answers (probabilities within 0.02).",
        ),
    ] = "float32",
) -> None:
    """Serve released models over HTTP until SIGTERM or Ctrl-C, following their aliases."""
    from tunesmith.server.limits import Limits
    from tunesmith.server.run import ServeOptions, serve

    limits = Limits(requests_per_s=rate, burst=max(1, round(2 * rate)))
    options = ServeOptions(host=host, port=port, limits=limits, precision=precision)
    with _logged(logging.WARNING if screen.is_quiet else logging.INFO):
        serve(models, options, announce=lambda started: _announce(screen, started), **screen.where)
    screen.say("every accepted request was answered; stopped", "")


@contextmanager
def _logged(level: int) -> Iterator[None]:
    """Let what the server says while it runs go to stderr, a line each with its time: whoever runs it keeps that."""
    lines = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    lines.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(lines)
    log = logging.getLogger("tunesmith")
    before = log.level
    log.addHandler(handler)
    log.setLevel(level)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


def _announce(screen: Screen, started: Started) -> None:
    lines = [Text.assemble((started.url, "bold"), "  docs at /docs, health at /healthz and /readyz")]
    lines += [
        Text(f"  {figures.shown(reference)} is {figures.shown(version)}")
        for reference, version in started.models.items()
    ]
    for project, key in started.owner_keys.items():
        lines.append(Text(f"key of project {project}, shown this once: {key}", "bold yellow"))
        lines.append(Text(f"  kept for you alone in {started.key_files[project]}"))
    screen.result(started.to_dict(), *lines)
