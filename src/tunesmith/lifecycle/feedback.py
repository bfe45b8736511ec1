"""The true answers that people tell later, each on the id of a captured prediction."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tunesmith.core.actor import Actor
from tunesmith.core.errors import StoreError
from tunesmith.lifecycle.capture import flush_all
from tunesmith.lifecycle.origin import monitor_of, recipe_of
from tunesmith.lifecycle.session import Session
from tunesmith.lifecycle.truths import checked
from tunesmith.store import observations
from tunesmith.store.observations import Observation, Word

FRESH_S = 15.0
"""So long after an answer its row may still wait in the process that gave it, as while its ledger comes back."""
ELSEWHERE_S = 1.0
"""How long the row of another process is waited for: it lingers and is written well within it."""
LOOK_S = 0.05


class NotYet(StoreError):
    """An answer of this moment is not on record yet: whoever gave it may still write it."""


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
    Raises: StoreError for an id that no captured prediction has, NotYet for one that another process may still write,
    RecipeError for a label the model does not know (unless `monitor.feedback.new_labels`) or a truth of another kind
    than the model answers with.
    """
    engine, project = session.ledger.engine, session.ledger.project
    found = observations.find(engine, project, id)
    if found is None:
        flush_all(session)
        found = _found(session, id)
    version = session.ledger.resolve(found.name, found.version)
    facts = session.ledger.artifact(version.digest).facts
    new_labels = monitor_of(recipe_of(session, version)).feedback.new_labels
    told = checked(truth, facts, f"{found.name}@{found.version}", is_new_allowed=new_labels)
    who = actor or session.actor
    if add is not None:
        return add(Word(id, told, who, key_id or who.key_id))
    return observations.add_feedback(engine, project, id, told, actor=who, key_id=key_id or who.key_id)


def _found(session: Session, id: str) -> Observation:
    """The captured prediction of an id; one that another process answered a moment ago is waited for.

    Raises: StoreError where there is none, NotYet where it may still come.
    """
    deadline = time.monotonic() + ELSEWHERE_S
    while (found := observations.find(session.ledger.engine, session.ledger.project, id)) is None:
        if not _is_fresh(id):
            raise observations.unknown(id)
        if time.monotonic() > deadline:
            raise NotYet("this prediction is not on record yet", seen=id[:80], next="tell it again in a moment")
        time.sleep(LOOK_S)
    return found


def _is_fresh(id: str) -> bool:
    """Whether an id was drawn a moment ago, by the clock of whoever drew it."""
    try:
        return abs(time.time() - int(id[:8], 16)) < FRESH_S
    except ValueError:
        return False
