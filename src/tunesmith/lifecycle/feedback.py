"""The true answers that people tell later, each on the id of a captured prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunesmith.core.actor import Actor
from tunesmith.lifecycle.capture import flush_all
from tunesmith.lifecycle.origin import monitor_of, recipe_of
from tunesmith.lifecycle.session import Session
from tunesmith.lifecycle.truths import checked
from tunesmith.store import observations
from tunesmith.store.observations import Word


def feedback(
    session: Session,
    id: str,
    truth: Any,
    key_id: str | None = None,
    actor: Actor | None = None,
    *,
    add: Callable[[Word], int] | None = None,
) -> int:
    """Keep the true answer to a captured prediction, and return how many words on it there are now; the latest counts.

    ``add`` puts it on record instead of a transaction of its own: a server's threads share theirs.
    Raises: StoreError for an id that no captured prediction has, RecipeError for a label the model does not know
    (unless `monitor.feedback.new_labels`) or a truth of another kind than the model answers with.
    """
    engine, project = session.ledger.engine, session.ledger.project
    found = observations.find(engine, project, id)
    if found is None:
        flush_all(session)
        found = observations.find(engine, project, id)
    if found is None:
        raise observations.unknown(id)
    version = session.ledger.resolve(found.name, found.version)
    facts = session.ledger.artifact(version.digest).facts
    new_labels = monitor_of(recipe_of(session, version)).feedback.new_labels
    told = checked(truth, facts, f"{found.name}@{found.version}", is_new_allowed=new_labels)
    who = actor or session.actor
    if add is not None:
        return add(Word(id, told, who, key_id or who.key_id))
    return observations.add_feedback(engine, project, id, told, actor=who, key_id=key_id or who.key_id)
