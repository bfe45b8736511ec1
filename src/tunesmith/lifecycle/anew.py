"""A champion that learned from rows of people who were erased since: the next model starts from the recipe's base."""

from __future__ import annotations

from tunesmith.core.errors import RecipeError
from tunesmith.lifecycle.registry import find_digest
from tunesmith.lifecycle.session import Session
from tunesmith.recipe.recipe import Recipe
from tunesmith.selection.registered import is_reference
from tunesmith.store import erasures, retrainings
from tunesmith.store.records import ModelVersion

ANSWERED = ("done", "waiting", "denied")
"""How a run ends that made a model and was judged."""


def stale_by(session: Session, version: ModelVersion) -> tuple[str, ...]:
    """The erasures of people from whose rows a version learned; none where it is not stale."""
    return tuple(erasures.stale(session.ledger.engine, session.ledger.project).get(version.digest, ()))


def call_of(session: Session, version: ModelVersion, erased: tuple[str, ...], *, is_timer: bool) -> tuple[str, bool]:
    """What calls for a model that never saw the erased people, in words, and whether it does.

    A timer that asks again after the gate said no, or while a person is asked, is answered with that run.
    """
    num = len(erased)
    why = f"it learned from rows of {num} {'person' if num == 1 else 'people'} erased since"
    before = _judged_since(session, version, erased) if is_timer else None
    if before is None:
        return why, True
    run, status = before
    return f"{why}; the run `{run}` trained it anew and ended {status}", False


def words_of(recipe: Recipe) -> str:
    """Where the training of a stale champion's successor starts, as the end of a sentence on why it is trained."""
    models = (recipe.model,) if isinstance(recipe.model, str) else recipe.model
    if recipe.champion is None or recipe.champion.from_weights:
        return "from its weights as asked for, so the new model is stale too"
    return f"trained anew from {' or '.join(f'`{one}`' for one in models)}, not from its weights"


def check_base(session: Session, recipe: Recipe) -> None:
    """Nothing, where no base that a recipe names has learned from rows of erased people.

    Raises: RecipeError naming the one that has.
    """
    stale = erasures.stale(session.ledger.engine, session.ledger.project)
    for model in (recipe.model,) if isinstance(recipe.model, str) else recipe.model:
        if is_reference(model) and find_digest(session.ledger, model) in stale:
            raise RecipeError(
                "the base that the recipe names learned from rows of erased people as well",
                seen=f"model: {model}",
                allowed="a base that never saw them",
                next="train that one anew first, or name another: `--set model=embedded`",
            )


def _judged_since(session: Session, version: ModelVersion, erased: tuple[str, ...]) -> tuple[str, str] | None:
    """The last run that trained a stale version anew after the last of the erasures, and how it ended."""
    engine, project = session.ledger.engine, session.ledger.project
    since = max(one.started for one in erasures.read(engine, project) if one.id in erased)
    for one in retrainings.of(engine, project, version.name, version.version):
        status = session.ledger.run(one.run_id).status
        if one.cause == "erasure" and one.at >= since and status in ANSWERED:
            return one.run_id, status
    return None
