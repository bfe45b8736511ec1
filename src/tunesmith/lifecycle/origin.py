"""The recipe by which a version was made, and what it says of watching it."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path

from tunesmith.core.errors import TunesmithError
from tunesmith.lifecycle.session import Session
from tunesmith.monitoring.config import MonitorConfig
from tunesmith.recipe.load import load
from tunesmith.recipe.recipe import Recipe
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.store.records import ModelVersion

RECIPE, RESULT = "recipe.yaml", "result.json"


def monitor_of(recipe: AnyRecipe | None) -> MonitorConfig:
    """The recipe's `monitor`, or its defaults."""
    return recipe.monitor if isinstance(recipe, Recipe) else MonitorConfig()


def recipe_of(session: Session, version: ModelVersion) -> AnyRecipe | None:
    """The recipe by which a version was released last; None where it is gone.

    A recipe that changes nothing that is learned makes the same model, and so no other version: what it says of
    watching it counts all the same.
    """
    for run_id in _releases(session, version):
        path = session.workspace.run_folder(run_id) / RECIPE
        try:
            return _loaded(path, path.stat().st_mtime_ns)
        except (TunesmithError, OSError):
            continue
    return None


def _releases(session: Session, version: ModelVersion) -> Iterator[str]:
    """The runs that released a version, the newest first: the last one is that which made it."""
    for run_id in session.ledger.runs_of(version.name, version.digest):
        if run_id != version.run_id and _has_released(session.workspace.run_folder(run_id) / RESULT, version.name):
            yield run_id
    if version.run_id is not None:
        yield version.run_id


def _has_released(result: Path, name: str) -> bool:
    """Whether a run that is done released what it made, and did not stop before (`--until evaluate`)."""
    try:
        return str(json.loads(result.read_text(encoding="utf-8"))["model"]).startswith(f"{name}@")
    except (OSError, ValueError, LookupError):
        return False


@functools.lru_cache(maxsize=32)
def _loaded(path: Path, changed_ns: int) -> AnyRecipe:
    return load(path)
