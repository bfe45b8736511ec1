"""Whether the rows of a source may be used: asked before any step is planned, so that no verb goes past it."""

from __future__ import annotations

from tunesmith.core.errors import Denied, RecipeError
from tunesmith.lifecycle.session import Session
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.store import withdrawals
from tunesmith.store.ledger import Ledger
from tunesmith.store.withdrawals import Withdrawal


def withdrawn(ledger: Ledger, recipe: AnyRecipe) -> list[str]:
    """The sources of a recipe, joined tables included, that may no longer be used for their purpose."""
    against = withdrawals.read(ledger.engine, ledger.project)
    sources = [*recipe.data.sources, *(join.table for join in recipe.data.joins)]
    return [one.name for one in sources if any(each.covers(one.name, one.purpose) for each in against)]


def check(ledger: Ledger, recipe: AnyRecipe) -> None:
    """Nothing, where every source of a recipe may be used.

    Raises: Denied naming those that may not.
    """
    if names := withdrawn(ledger, recipe):
        raise Denied(
            "the recipe reads sources that were withdrawn",
            seen=", ".join(names),
            next="take them out of the recipe, or `tunesmith data permit SOURCE` where that is right",
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
