"""``tunesmith demo``: the whole loop on the example that comes along, each part by the verb that does it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import verb
from tunesmith.core.errors import Denied

if TYPE_CHECKING:
    from tunesmith.api import Demo

QUESTION = "The code on my parcel says returned to sender, please tell me where it is now"
"""Asked over HTTP, and explained."""


@verb
def demo(
    screen: Screen,
    folder: Annotated[Path, typer.Argument(help="Where the example goes.", metavar="FOLDER")] = Path("tunesmith-demo"),
) -> None:
    """Run a support desk's example: from dirty data to a model released, served, explained, watched, trained again."""
    from tunesmith import api

    # The commands shown at the end, and the one that resumes, go on in the demo's own workspace.
    screen.home = api.demo_home(folder, screen.home)
    done = _released(screen, folder)
    found: dict[str, Any] = done.to_dict()
    if done.run.status == "denied" or done.run.model is None:
        screen.result(found)
        raise typer.Exit(Denied.exit_code)
    name = done.run.model.partition("@")[0]
    found["served"] = _served(screen, done.run.model)
    found["drift"] = _watched(screen, done.run.model, folder)
    found["challenger"] = _challenged(screen, f"{name}@1", folder)
    if screen.is_json:
        screen.write_json(found)
        return
    screen.out.print(Text.assemble("\nreport   ", (done.run.report, "bold")), soft_wrap=True)
    screen.out.print(Text.assemble("serve    ", (screen.command("serve", done.run.model), "bold")), soft_wrap=True)
    screen.out.print(Text.assemble("models   ", (screen.command("models"), "bold")), soft_wrap=True)


def _released(screen: Screen, folder: Path) -> Demo:
    """Plan, run and three predictions."""
    from tunesmith import api
    from tunesmith.cli import plan_screen, run_screen
    from tunesmith.cli.predict import answered

    def show_plan(planned: Any) -> None:
        _show(screen, *plan_screen.shown(planned))

    _title(screen, "1. From two dirty sources to a model that is better than the cheap ones")
    with screen.working() as work:
        done = api.demo(folder, on_plan=show_plan, listener=work.listener, cancel=work.cancel, **screen.where)
    answers = [api.Prediction(**{name: one[name] for name in one if name != "text"}) for one in done.predictions]
    lines = [answered(one["text"], answer) for one, answer in zip(done.predictions, answers, strict=True)]
    _show(screen, *run_screen.shown(done.run, screen), Text("\nThree fresh messages", "bold"), *lines)
    return done


def _served(screen: Screen, model: str) -> dict[str, Any]:
    """A question to a server process over HTTP, and the words behind its answer."""
    from tunesmith.cli.demo_server import asked

    _title(screen, "2. Served over HTTP, and the words behind the answer")
    answer = asked(model, screen.home, screen.project, QUESTION)
    one = answer["predictions"][0]
    words = sorted(one["attribution"]["words"], key=lambda word: -abs(word["value"]))[:6]
    _show(
        screen,
        Text(f"POST /v1/predict  {QUESTION}"),
        Text.assemble("  → ", (one["label"], "bold"), f" {one['probability']:.2f}  from {answer['model']}"),
        Text("  because of " + " · ".join(f"{word['text']} {word['value']:+.2f}" for word in words), "dim"),
    )
    return answer


def _watched(screen: Screen, model: str, folder: Path) -> dict[str, Any]:
    """A batch from another trade beside what the model was made with."""
    from tunesmith import api
    from tunesmith.cli.monitor import shown

    _title(screen, "3. Watched: sixty messages to a hotel, sent to the bicycle shop's model")
    with screen.working() as work:
        drift = api.monitor(
            model, file=folder / "shifted.csv", listener=work.listener, cancel=work.cancel, **screen.where
        )
    _show(screen, *shown(drift))
    return drift.to_dict()


def _challenged(screen: Screen, champion: str, folder: Path) -> dict[str, Any]:
    """The model trained again with later messages, one intent of them new, and judged against itself as it was."""
    from tunesmith import api
    from tunesmith.cli import run_screen

    _title(screen, "4. Trained again with later messages and a thirteenth intent: champion against challenger")
    with screen.working() as work:
        again = api.retrain(
            champion, add=[folder / "later.csv"], listener=work.listener, cancel=work.cancel, **screen.where
        )
    if again.result is not None:
        _show(screen, *run_screen.shown(again.result, screen))
    return again.to_dict()


def _title(screen: Screen, words: str) -> None:
    _show(screen, Text(f"\n{words}", "bold cyan"))


def _show(screen: Screen, *parts: Any) -> None:
    if not screen.is_json:
        for one in parts:
            screen.out.print(one, soft_wrap=isinstance(one, Text))
