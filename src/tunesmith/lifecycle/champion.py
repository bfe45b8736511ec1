"""The model in production, as the steps of its challenger are given it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from tunesmith.core.errors import RecipeError, StoreError
from tunesmith.core.tasks import HEAD_TASKS, Task
from tunesmith.lifecycle.registry import base_digest, find_artifact
from tunesmith.lifecycle.session import Session
from tunesmith.recipe.recipe import Recipe
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.store import retrainings
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.retrainings import Retraining


@dataclass(frozen=True)
class Champion:
    """Digests of what a model in production was made of."""

    model: str
    base: str | None
    """None where the model brings its own weights."""
    splits: str
    """The rows it learned from and was measured on."""

    @property
    def answering(self) -> dict[str, str]:
        """What is needed to have it answer, by the names a stage is given."""
        return {"model": self.model} | ({} if self.base is None else {"base": self.base})


def find_champion(store: ArtifactStore | None, reference: str, task: Task) -> Champion:
    """The champion of a reference.

    Raises: StoreError naming the nearest known model, or where its rows are gone; RecipeError for a model of another
        task.
    """
    if store is None:
        raise RecipeError("a champion is a model of a workspace", seen=reference)
    model = find_artifact(store, reference)
    if model.facts.get("task") != task:
        raise RecipeError(
            f"the recipe's task is `{task}`, and the champion's is another",
            seen=f"{reference}: {model.facts.get('task')}",
            allowed=", ".join(HEAD_TASKS),
            next="name a champion of the same task, or start from its encoder: `model: NAME@VERSION`",
        )
    parents = [store.ledger.artifact(digest) for digest in model.parents]
    splits = next((one.digest for one in parents if one.kind == "splits"), None)
    if splits is None:
        raise StoreError(
            "it is not on record which rows this model learned from, so its test rows cannot be kept apart",
            seen=reference,
            next="train it again by `tunesmith run` with its recipe",
        )
    return Champion(model.digest, base_digest(model), splits)


def note_champion(session: Session, recipe: AnyRecipe, run_id: str, cause: str) -> None:
    """Put on record which model a run trains again; nothing for a run that has no champion, or is on record."""
    if not isinstance(recipe, Recipe) or recipe.champion is None:
        return
    name, _, which = recipe.champion.model.partition("@")
    version = session.ledger.resolve(name, which)
    one = Retraining(run_id, version.run_id or "", name, version.version, cause, datetime.now(UTC))
    retrainings.record(session.ledger.engine, session.ledger.project, one, session.actor)


def noted(session: Session, recipe: AnyRecipe, run_id: str) -> dict[str, str] | None:
    """What is on record of the champion that a run trains again; None for a run that has none."""
    one = retrainings.find(session.ledger.engine, session.ledger.project, run_id)
    if one is None:
        return None
    known = {"champion": f"{one.name}@{one.from_version}", "parent": one.parent_run_id, "cause": one.cause}
    if isinstance(recipe, Recipe) and recipe.champion is not None and not recipe.champion.from_weights:
        known["starts_from"] = "base"
    return known
