"""Whether a run that trains a champion again would learn anything: asked before it begins, so none fails for it."""

from __future__ import annotations

from tunesmith.core.errors import Interrupted
from tunesmith.core.events import Event
from tunesmith.lifecycle.flows import flow_of
from tunesmith.lifecycle.runner import Runner
from tunesmith.lifecycle.session import Session
from tunesmith.recipe.recipe import Recipe
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.store.artifacts import ArtifactStore


def ask(session: Session, recipe: AnyRecipe) -> list[Event]:
    """What was warned of while the rows were read and joined, for the run that takes these steps over.

    Nothing is read for a recipe that needs no news: one without a champion, or that goes on all the same.
    Raises: NothingNew where no row is new, none is corrected and none leaves.
    """
    config = recipe.for_extend() if isinstance(recipe, Recipe) else None
    if config is None or not config.needs_new:
        return []
    warned: list[Event] = []

    def listen(event: Event) -> None:
        # The run tells of these steps once more, and of their warnings: it must not be told twice.
        if event.get("event") == "warning":
            warned.append(event)
        elif event.get("event") == "progress":
            session.listener(event)

    specs = flow_of(recipe, ArtifactStore(session.workspace, session.ledger)).specs
    joined = next(number for number, spec in enumerate(specs, 1) if spec.kind == "extend")
    runner = Runner(
        session.workspace, session.ledger, seed=recipe.seed, listener=listen, is_cancelled=session.cancel.is_set
    )
    try:
        runner.run(specs[:joined])
    except Interrupted as error:
        raise Interrupted(error.what, next="give the same command again: what is done is kept") from error
    return warned
