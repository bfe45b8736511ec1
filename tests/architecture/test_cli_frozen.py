"""The command line is a promise: its verbs and options change only together with the list in cli.txt."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from typer.main import get_command

from tunesmith.cli.main import VERBS, app

LIST = Path(__file__).with_name("cli.txt")
SOURCE = Path(__file__).parents[2] / "src" / "tunesmith"
COMMAND = re.compile(r"(?:^|`)tunesmith (?!does\b)([a-z]+)\b")


def surface() -> str:
    """Every verb with its arguments and options, a line each."""
    lines = []
    for verb, command in sorted(get_command(app).commands.items()):  # type: ignore[attr-defined]
        lines.append(verb)
        for parameter in command.params:
            names = ", ".join(sorted((*parameter.opts, *parameter.secondary_opts)))
            kind = "argument" if parameter.param_type_name == "argument" else "option"
            lines.append(f"  {kind} {names} ({'required' if parameter.required else f'default {parameter.default}'})")
    return "\n".join(lines) + "\n"


def test_the_command_line_is_as_promised() -> None:
    assert surface() == LIST.read_text(encoding="utf-8"), (
        "the command line changed; if that is meant, write the new list: "
        "python -m tests.architecture.test_cli_frozen > tests/architecture/cli.txt"
    )


def test_every_verb_has_the_shared_options_and_a_help_text() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert set(commands) == set(VERBS)
    for verb, command in commands.items():
        options = {name for parameter in command.params for name in parameter.opts}
        assert {"--json", "--home", "--project", "--quiet"} <= options, verb
        assert command.help, verb
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{verb} {parameter.name} has no help"


def told_commands(path: Path) -> Iterator[tuple[int, str]]:
    """The verbs of the commands that a module tells its users, each with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from ((node.lineno, verb) for verb in COMMAND.findall(node.value))


def test_every_command_that_is_told_exists() -> None:
    told = [(path.name, line, verb) for path in sorted(SOURCE.rglob("*.py")) for line, verb in told_commands(path)]
    assert len(told) > 50
    assert [one for one in told if one[2] not in VERBS] == []


if __name__ == "__main__":
    print(surface(), end="")
