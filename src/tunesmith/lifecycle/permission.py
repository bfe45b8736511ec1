"""Whether the rows of a source may be used: asked before any step is planned, so that no verb goes past it."""

from __future__ import annotations

from tunesmith.core.errors import Denied, RecipeError
from tunesmith.lifecycle.champion import find_champion
from tunesmith.lifecycle.session import Session
from tunesmith.recipe.champion import CORRECTIONS, FEEDBACK
from tunesmith.recipe.recipe import Recipe
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.store import withdrawals
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.ledger import Ledger
from tunesmith.store.withdrawals import Withdrawal


def withdrawn(ledger: Ledger, recipe: AnyRecipe) -> list[str]:
    """The sources of a recipe, joined tables included, that may no longer be used for their purpose."""
    against = withdrawals.read(ledger.engine, ledger.project)
    sources = [*recipe.data.sources, *(join.table for join in recipe.data.joins)]
    # What people said of old rows is what people said: who withdraws the one withdraws the other.
    names = {CORRECTIONS: (CORRECTIONS, FEEDBACK)}
    return [
        one.name
        for one in sources
        if any(each.covers(name, one.purpose) for each in against for name in names.get(one.name, (one.name,)))
    ]


def carried(store: ArtifactStore, champion: str, recipe: Recipe) -> list[str]:
    """The sources of a champion's rows that may no longer be used.

    Rows outlive the recipe that read them: where this one names their source no more, their purpose is not known, and
    a withdrawal for any purpose stands against them.
    """
    against = withdrawals.read(store.ledger.engine, store.ledger.project)
    purposes = {one.name: one.purpose for one in recipe.data.sources}
    splits = store.ledger.artifact(find_champion(store, champion, recipe.task).splits)
    sources = [name for name, rows in splits.facts["by_source"].items() if rows["kept"]]
    return [
        name
        for name in sources
        if any(one.source == name and (name not in purposes or one.covers(name, purposes[name])) for one in against)
    ]


def check(store: ArtifactStore, recipe: AnyRecipe) -> None:
    """Nothing, where every source of a recipe may be used, and every one of its champion's rows that it takes over.

    Raises: Denied naming those that may not.
    """
    if names := withdrawn(store.ledger, recipe):
        raise Denied(
            "the recipe reads sources that were withdrawn",
            seen=", ".join(names),
            next="take them out of the recipe, or `tunesmith data permit SOURCE` where that is right",
        )
    if not isinstance(recipe, Recipe) or recipe.champion is None:
        return
    if names := [one for one in carried(store, recipe.champion.model, recipe) if one not in recipe.champion.without]:
        raise Denied(
            "the champion was made with rows of sources that were withdrawn since",
            seen=", ".join(names),
            next=f"tunesmith retrain {recipe.champion.model}, or write `champion: {{without: [{', '.join(names)}]}}`",
        )


def withdraw(session: Session, source: str, purpose: str = "", *, is_permitted: bool = False) -> list[Withdrawal]:
    """Let no run use the rows of a source from now on, or (``is_permitted``) let them be used again; all that stand.

    Raises: RecipeError where there is nothing to take back.
    """
    engine, project = session.ledger.engine, session.ledger.project
    if not is_permitted:
        withdrawals.withdraw(engine, project, source, purpose, session.actor)
    elif not withdrawals.permit(engine, project, source, purpose, session.actor):
        known = withdrawals.read(engine, project)
        raise RecipeError(
            "this source was not withdrawn",
            seen=source + (f" for {purpose}" if purpose else ""),
            allowed=", ".join(one.source + (f" for {one.purpose}" if one.purpose else "") for one in known)
            or "none is",
        )
    return withdrawals.read(engine, project)
