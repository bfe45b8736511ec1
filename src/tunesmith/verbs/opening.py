"""How every verb begins: a session of somebody who has the right to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunesmith.core.events import Listener
from tunesmith.governance.access import VERBS, require
from tunesmith.lifecycle.runner import Runner
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.recipe.sections import AnyRecipe

BEGINS = frozenset({"plan", "show_rows", "suggest", "run", "demo", "add_user"})
"""Verbs that begin a project by naming it. All others are asked of one that there is: a slip in its name is told, and
does not look like a project that holds nothing."""
RecipeLike = str | Path | Mapping[str, Any]


@contextmanager
def acting(
    verb: str,
    home: Path | str | None,
    project: str,
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Iterator[Session]:
    """A session of somebody who may do what the verb does.

    Raises: Denied where their role has no right to it, StoreError naming the nearest project where there is none of
        that name and the verb begins none.
    """
    with open_session(home, project, listener, cancel, may_begin=verb in BEGINS) as session:
        require(session.actor, VERBS[verb])
        yield session


def runner_of(session: Session, recipe: AnyRecipe) -> Runner:
    """What carries out the steps of a recipe outside of a run."""
    return Runner(
        session.workspace,
        session.ledger,
        seed=recipe.seed,
        listener=session.listener,
        is_cancelled=session.cancel.is_set,
    )
