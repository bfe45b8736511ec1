"""``tunesmith demo``: the whole job on the example that comes along."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import verb
from tunesmith.core.errors import Denied


@verb
def demo(
    screen: Screen,
    folder: Annotated[Path, typer.Argument(help="Where the example goes.", metavar="FOLDER")] = Path("tunesmith-demo"),
) -> None:
    """Run a support desk's example: two sources, plan, training, report, released model, three predictions."""
    from tunesmith import api
    from tunesmith.cli import plan_screen, run_screen
    from tunesmith.cli.predict import answered

    def show_plan(planned: Any) -> None:
        if not screen.is_json:
            for one in plan_screen.shown(planned):
                screen.out.print(one, soft_wrap=isinstance(one, Text))

    # The commands shown at the end, and the one that resumes, go on in the demo's own workspace.
    screen.home = api.demo_home(folder, screen.home)
    with screen.working() as work:
        done = api.demo(folder, on_plan=show_plan, listener=work.listener, cancel=work.cancel, **screen.where)
    answers = [api.Prediction(**{name: one[name] for name in one if name != "text"}) for one in done.predictions]
    lines = [answered(one["text"], answer) for one, answer in zip(done.predictions, answers, strict=True)]
    screen.result(
        done.to_dict(),
        Text("\nThree fresh messages", "bold"),
        *lines,
        *run_screen.shown(done.run, screen),
    )
    if done.run.status == "denied":
        raise typer.Exit(Denied.exit_code)
