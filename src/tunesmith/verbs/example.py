"""The example that comes with tunesmith, carried out whole."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.events import Listener
from tunesmith.lifecycle import model as models_of
from tunesmith.lifecycle.planned import Plan
from tunesmith.lifecycle.run import RunResult, start_run
from tunesmith.recipe.load import load as load_recipe
from tunesmith.store.workspace import DEFAULT_FOLDER, HOME_VARIABLE
from tunesmith.verbs.opening import acting
from tunesmith.verbs.runs import plan_in

if TYPE_CHECKING:
    pass


DEMO_FOLDER = "tunesmith-demo"
DEMO_MESSAGES = (
    "The courier says delivered but there is nothing on my porch, can you see where it went?",
    "My card was declined twice at checkout although there is money on it",
    "We love the tent and would like to keep it until Sunday, what would that cost?",
)


@dataclass(frozen=True)
class Demo:
    """What the demo did."""

    recipe: str
    home: str
    run: RunResult
    predictions: list[dict[str, Any]]
    """Three fresh messages with their answers."""

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return asdict(self)


def demo_home(folder: Path | str = DEMO_FOLDER, home: Path | str | None = None) -> Path:
    """The demo's workspace: as named, else ``TUNESMITH_HOME``, else in the demo's folder."""
    return Path(home or os.environ.get(HOME_VARIABLE) or Path(folder) / DEFAULT_FOLDER)


def demo(
    folder: Path | str = DEMO_FOLDER,
    *,
    on_plan: Callable[[Plan], None] | None = None,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Demo:
    """Run the example that comes with tunesmith: plan, run, and three predictions. Done steps are not done again.

    Its workspace is ``demo_home``.
    """
    from tunesmith.lifecycle.starter import copy_example

    recipe = load_recipe(copy_example(Path(folder)))
    chosen = demo_home(folder, home)
    with acting("demo", chosen, project, listener, cancel) as session:
        planned = plan_in(session, recipe)
        if on_plan is not None:
            on_plan(planned)
        result = start_run(session, recipe)
        model = models_of.open_head(session, result.model or f"run:{result.run}")
        answers = model.predict(DEMO_MESSAGES)
    predictions = [{"text": text, **asdict(one)} for text, one in zip(DEMO_MESSAGES, answers, strict=True)]
    return Demo(str(Path(folder) / "recipe.yaml"), str(chosen), result, predictions)
