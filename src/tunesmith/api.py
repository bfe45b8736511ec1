"""The public verbs: what the command line, the server and Python users call. Loads no torch until one is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.core.events import Listener
from tunesmith.lifecycle import model as models_of
from tunesmith.lifecycle.model import Model, Prediction
from tunesmith.lifecycle.plan import Plan, make_plan
from tunesmith.lifecycle.run import RunResult, Until, resume_run, start_run
from tunesmith.lifecycle.runner import Runner
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.recipe.load import load as load_recipe
from tunesmith.recipe.recipe import Recipe
from tunesmith.store.records import ModelVersion

__all__ = [
    "Model",
    "Plan",
    "Prediction",
    "Recipe",
    "RunResult",
    "Session",
    "load",
    "load_recipe",
    "models",
    "open_session",
    "plan",
    "resume",
    "run",
]

RecipeLike = str | Path | Mapping[str, Any]


def plan(
    recipe: RecipeLike,
    overrides: Sequence[str] = (),
    *,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
) -> Plan:
    """The plan of a recipe: its data as it is, the rest as a forecast."""
    loaded = load_recipe(recipe, overrides)
    with open_session(home, project, listener) as session:
        return plan_in(session, loaded)


def plan_in(session: Session, recipe: Recipe) -> Plan:
    """The plan of a loaded recipe, in an open session."""
    runner = Runner(
        session.workspace,
        session.ledger,
        seed=recipe.seed,
        listener=session.listener,
        is_cancelled=session.cancel.is_set,
    )
    return make_plan(recipe, runner)


def run(
    recipe: RecipeLike,
    overrides: Sequence[str] = (),
    *,
    until: Until = "release",
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
) -> RunResult:
    """Run a recipe to the release decision and return how it ended."""
    loaded = load_recipe(recipe, overrides)
    with open_session(home, project, listener) as session:
        return start_run(session, loaded, until)


def resume(
    run_id: str,
    *,
    until: Until = "release",
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
) -> RunResult:
    """Go on with a run that was stopped."""
    with open_session(home, project, listener) as session:
        return resume_run(session, run_id, until)


def load(reference: str, *, home: Path | str | None = None, project: str = "default") -> Model:
    """The model of ``name@alias``, ``name@version``, ``name`` or ``run:ID``, ready to ``predict``."""
    with open_session(home, project) as session:
        return models_of.open_model(session, reference)


def models(*, home: Path | str | None = None, project: str = "default") -> list[ModelVersion]:
    """Every released model version, with its aliases."""
    with open_session(home, project) as session:
        return session.ledger.models()
