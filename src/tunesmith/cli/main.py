"""The command line: ``tunesmith VERB``. Loads a verb's work only when the verb is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from tunesmith.cli import (
    approve,
    audit,
    chat,
    compare,
    data,
    demo,
    doctor,
    erase,
    evaluate,
    explain,
    export,
    init,
    models,
    monitor,
    plan,
    predict,
    resume,
    retrain,
    rollback,
    run,
    serve,
    train,
    users,
)
from tunesmith.cli.screen import Screen
from tunesmith.core.errors import RecipeError

VERBS = {
    "init": init.init,
    "plan": plan.plan,
    "run": run.run,
    "resume": resume.resume,
    "retrain": retrain.retrain,
    "train": train.train,
    "data": data.data,
    "predict": predict.predict,
    "chat": chat.chat,
    "export": export.export,
    "evaluate": evaluate.evaluate,
    "explain": explain.explain,
    "compare": compare.compare,
    "monitor": monitor.monitor,
    "models": models.models,
    "serve": serve.serve,
    "approve": approve.approve,
    "rollback": rollback.rollback,
    "erase": erase.erase,
    "users": users.users,
    "audit": audit.audit,
    "doctor": doctor.doctor,
    "demo": demo.demo,
}
FAILED = 1

app = typer.Typer(
    name="tunesmith",
    help="Turn your own data and a pre-trained language model into a model that is measurably better at your task.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong recipe or usage, 3 denied, 130 interrupted (resumable).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, function in VERBS.items():
    app.command(name)(function)


@app.callback(invoke_without_command=True)
def about(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    """Say which version this is."""
    if version:
        from tunesmith import __version__

        typer.echo(f"tunesmith {__version__}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(given, prog_name="tunesmith", standalone_mode=False)
    except TyperException as error:
        return _usage(error, given)
    except typer.Abort:
        return Screen(is_json="--json" in given).fail(KeyboardInterrupt())
    except BrokenPipeError:
        # Whoever read the output has seen enough (`tunesmith models | head`).
        sys.stderr.close()
        return FAILED
    return code if isinstance(code, int) else 0


def _usage(error: TyperException, given: list[str]) -> int:
    """A wrong call: what is wrong and the nearest that is right, with the exit code of wrong usage."""
    message = error.format_message()
    if not message:
        # Typer raises without words where it has shown the help.
        return error.exit_code
    verb = next((one for one in given if one in VERBS), None)
    way_out = f"tunesmith {verb} --help" if verb else "tunesmith --help"
    return Screen(is_json="--json" in given).fail(RecipeError(message, next=way_out))


if __name__ == "__main__":
    sys.exit(main())
