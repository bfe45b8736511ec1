"""From a recipe to the steps of its run."""

from __future__ import annotations

from tunesmith.lifecycle import permission
from tunesmith.lifecycle.flow import Flow
from tunesmith.lifecycle.head_flow import add_head_parts
from tunesmith.lifecycle.language_flow import add_language_parts
from tunesmith.recipe.language import LanguageRecipe
from tunesmith.recipe.recipe import Recipe
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.store.artifacts import ArtifactStore


def flow_of(recipe: AnyRecipe, store: ArtifactStore | None = None) -> Flow:
    """The steps of a run in their order; reads the fingerprints of sources and of the base model.

    A base that is a registered model is found in ``store``.
    Raises: Denied where a source was withdrawn.
    """
    if store is not None:
        permission.check(store, recipe)
    flow = Flow(store)
    if isinstance(recipe, LanguageRecipe):
        add_language_parts(recipe, flow)
    else:
        assert isinstance(recipe, Recipe)
        add_head_parts(recipe, flow)
    return flow
