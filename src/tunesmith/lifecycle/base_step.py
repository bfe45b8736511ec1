"""The step that pins what a run starts from: a pre-trained model, or one that this workspace trained."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.core.errors import RecipeError
from tunesmith.core.tasks import Task
from tunesmith.lifecycle.flow import Flow
from tunesmith.lifecycle.registry import base_digest, find_artifact, lasting_name
from tunesmith.lifecycle.steps import From
from tunesmith.recipe.language import LanguageRecipe
from tunesmith.recipe.recipe import Recipe
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.selection.config import BaseConfig, RegisteredConfig
from tunesmith.selection.locate import locate
from tunesmith.selection.registered import check_family, is_reference
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.ledger import Ledger


@dataclass(frozen=True)
class Parent:
    """A model of this workspace that another one starts from."""

    name: str
    """``name@version``, or ``run:ID`` where it was not released."""
    held: dict[str, str]
    """Digests of the model and, where it keeps less than whole weights, of its base."""


def add_base(flow: Flow, step: str, model: str, task: Task = "classify") -> From:
    """Append the step of that name and return the base that it makes."""
    if is_reference(model):
        parent = find_parent(flow.store, model, task)
        flow.add(step, "registered", RegisteredConfig(model=parent.name, task=task), held=parent.held)
    else:
        located = locate(model)
        config = BaseConfig(model=model, task=task, commit=located.commit)
        flow.add(step, "base", config, fingerprint=located.fingerprint())
    return From(step, "base")


def find_parent(store: ArtifactStore | None, reference: str, task: Task) -> Parent:
    """The registered model of a reference, by a name that never moves, so that a step key depends on no alias.

    Raises: StoreError naming the nearest known model, RecipeError for one that cannot be a base of the task.
    """
    if store is None:
        raise RecipeError("a registered model can be a base only inside of a workspace", seen=reference)
    model = find_artifact(store, reference)
    check_family(task, model.facts, reference)
    below = base_digest(model)
    held = {"parent": model.digest} | ({} if below is None else {"base": below})
    return Parent(lasting_name(store.ledger, reference), held)


def held_fast(recipe: AnyRecipe, ledger: Ledger) -> AnyRecipe:
    """The recipe with aliases of registered models as the versions they mean now: a resumed run starts where it began.

    Raises: StoreError naming the nearest known model.
    """

    def lasting(model: str) -> str:
        return lasting_name(ledger, model) if is_reference(model) else model

    assert isinstance(recipe, Recipe | LanguageRecipe)
    if isinstance(recipe, Recipe) and recipe.champion is not None:
        champion = recipe.champion.model_copy(update={"model": lasting(recipe.champion.model)})
        recipe = recipe.model_copy(update={"champion": champion})
    named = recipe.model
    found = lasting(named) if isinstance(named, str) else tuple(map(lasting, named))
    return recipe if found == named else recipe.model_copy(update={"model": found})
