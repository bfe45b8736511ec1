"""What every verb has in common: four options, and errors that become exit codes."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tunesmith.cli.screen import Screen, Verb

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value on stdout, and nothing else there.")]
Home = Annotated[
    Path | None,
    typer.Option("--home", help="The workspace. Default: $TUNESMITH_HOME, or ./.tunesmith.", show_default=False),
]
Project = Annotated[str, typer.Option("--project", help="The project inside the workspace.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Recipe = Annotated[Path, typer.Argument(help="The recipe.", metavar="RECIPE")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a key: --set train.optimizer.lr=1e-4. Repeatable.", metavar="KEY=VALUE"),
]
Until = Annotated[
    Literal["evaluate", "release"], typer.Option("--until", help="Stop after the evaluation, or go on to the release.")
]
Reference = Annotated[
    str, typer.Argument(help="name@alias, name@version, name (its newest version) or run:ID.", metavar="MODEL")
]
TextColumn = Annotated[
    str | None,
    typer.Option("--text-column", help="The column of the texts. Default: as in training.", show_default=False),
]
MaxNewTokens = Annotated[
    int, typer.Option("--max-new-tokens", min=1, help="A language model: tokens of an answer at most.", metavar="N")
]

COMMON = [
    inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json),
    inspect.Parameter("home", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Home),
    inspect.Parameter("project", inspect.Parameter.KEYWORD_ONLY, default="default", annotation=Project),
    inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Quiet),
]


def verb(function: Verb) -> Verb:
    """The function as a command: its first parameter, the screen, is made from the options all verbs share."""
    own = inspect.signature(function, eval_str=True)
    _, *parameters = own.parameters.values()

    @functools.wraps(function)
    def command(*, json: bool, home: Path | None, project: str, quiet: bool, **given: Any) -> None:
        screen = Screen(is_json=json, home=home, project=project, is_quiet=quiet)
        try:
            function(screen, **given)
        except (typer.Exit, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as error:
            raise typer.Exit(screen.fail(error)) from error

    # Typer reads the signature, so the shared options are written into it and not into every verb.
    signature = own.replace(parameters=[*parameters, *COMMON])
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
    return command
