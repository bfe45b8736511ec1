"""Verbs that carry out recipes: plan, run, resume, train again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.core.errors import RecipeError
from tunesmith.core.events import Listener
from tunesmith.core.tasks import HEAD_TASKS
from tunesmith.lifecycle.plan import make_plan
from tunesmith.lifecycle.planned import Plan
from tunesmith.lifecycle.run import RunResult, Until, resume_run, start_run
from tunesmith.lifecycle.session import Session
from tunesmith.recipe.load import load as load_recipe
from tunesmith.recipe.recipe import Recipe
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.verbs.opening import RecipeLike, acting, runner_of

if TYPE_CHECKING:
    from tunesmith.lifecycle.doctor import Check
    from tunesmith.lifecycle.retrain import Retrained
    from tunesmith.lifecycle.shown_rows import ShownRows
    from tunesmith.lifecycle.starter import Started
    from tunesmith.lifecycle.suggest import Suggestion


def plan(
    recipe: RecipeLike,
    overrides: Sequence[str] = (),
    *,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Plan:
    """The plan of a recipe: its data as it is, the rest as a forecast."""
    loaded = load_recipe(recipe, overrides)
    with acting("plan", home, project, listener, cancel) as session:
        return plan_in(session, loaded)


def plan_in(session: Session, recipe: AnyRecipe) -> Plan:
    """The plan of a loaded recipe, in an open session."""
    return make_plan(recipe, runner_of(session, recipe))


def show_rows(
    recipe: RecipeLike,
    overrides: Sequence[str] = (),
    *,
    split: str = "train",
    first: int = 0,
    number: int = 3,
    phase: int | None = None,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> ShownRows:
    """Rows as a language model reads them, with what of them is trained."""
    from tunesmith.lifecycle.shown_rows import show_rows as shown

    loaded = load_recipe(recipe, overrides)
    with acting("show_rows", home, project, listener, cancel) as session:
        return shown(loaded, runner_of(session, loaded), split=split, first=first, number=number, phase=phase)


def run(
    recipe: RecipeLike,
    overrides: Sequence[str] = (),
    *,
    until: Until = "release",
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> RunResult:
    """Run a recipe to the release decision and return how it ended."""
    loaded = load_recipe(recipe, overrides)
    with acting("run", home, project, listener, cancel) as session:
        return start_run(session, loaded, until)


def resume(
    run_id: str,
    *,
    until: Until = "release",
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> RunResult:
    """Go on with a run that was stopped."""
    with acting("resume", home, project, listener, cancel) as session:
        return resume_run(session, run_id, until)


def train(recipe: RecipeLike, overrides: Sequence[str] = (), **where: Any) -> RunResult:
    """Run a recipe to its evaluation, and release nothing."""
    return run(recipe, overrides, until="evaluate", **where)


def retrain(
    reference: str,
    overrides: Sequence[str] = (),
    *,
    add: Sequence[Path | str] = (),
    on: Literal["drift", "labels"] | None = None,
    until: Until = "release",
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Retrained:
    """Train a model in production again and judge the new one against it; ``on``: only where drift or labels call."""
    from tunesmith.lifecycle.retrain import retrain as again

    with acting("retrain", home, project, listener, cancel) as session:
        return again(session, reference, add=[Path(one) for one in add], overrides=overrides, on=on, until=until)


def suggest(
    path: Path | str,
    task: str | None = None,
    *,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> list[Suggestion]:
    """The catalogue's encoders with forecasts for the rows of a recipe or table. Trains nothing."""
    from tunesmith.lifecycle.suggest import recipe_of, suggestions

    recipe = load_recipe(recipe_of(Path(path), task))
    if not isinstance(recipe, Recipe):
        raise RecipeError(
            "encoders are suggested for tasks that a head answers",
            seen=f"task: {recipe.task}",
            allowed=", ".join(HEAD_TASKS),
        )
    with acting("suggest", home, project, listener, cancel) as session:
        return suggestions(recipe, plan_in(session, recipe))


def init(folder: Path | str = ".", data: Path | str | None = None) -> Started:
    """Write a commented recipe that runs; an existing one is never replaced."""
    from tunesmith.lifecycle.starter import init as start

    return start(Path(folder), None if data is None else Path(data))


def doctor(*, home: Path | str | None = None, is_deep: bool = False) -> list[Check]:
    """What this machine has and lacks; ``is_deep`` also loads torch and runs the embedded model."""
    from tunesmith.lifecycle.doctor import examine

    return examine(home, is_deep=is_deep)
