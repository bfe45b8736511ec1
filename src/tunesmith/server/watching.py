"""What of serving others do: keeping what was asked, taking the true answers, saying what each word did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from tunesmith.core.actor import Actor
from tunesmith.core.errors import RecipeError, StoreError
from tunesmith.lifecycle import capture
from tunesmith.lifecycle.deployment import Deployments, Observer, Served
from tunesmith.lifecycle.feedback import NotYet, feedback
from tunesmith.lifecycle.model import Model
from tunesmith.lifecycle.session import Session
from tunesmith.server.errors import Refused
from tunesmith.server.service import Feedback, Truth
from tunesmith.store import observations
from tunesmith.store.group_commit import GroupCommit
from tunesmith.store.records import ModelVersion


def observer(session: Session, version: ModelVersion) -> Observer:
    """Who keeps what a version is asked and answers, as its recipe's `monitor` says."""
    return capture.capture_of(session, version)


def feedback_of(sessions: Mapping[str, Session], deployments: Deployments) -> Feedback:
    """Keeps true answers in the ledger of the project whose key told them; those told at once in one transaction."""
    add = {
        project: GroupCommit(partial(observations.add_words, session.ledger.engine, session.ledger.project))
        for project, session in sessions.items()
    }

    def keep(project: str, actor: Actor, id: str, truth: Truth) -> None:
        try:
            feedback(sessions[project], id, truth, actor.key_id, actor, add=add[project])
        except NotYet as error:
            again = {"Retry-After": "1"}
            raise Refused(503, error.what, reason="not on record yet", next=error.next, headers=again) from error
        except StoreError as error:
            if deployments.problem is None:
                raise
            # What was captured waits for the ledger: the id may be known all the same.
            raise Refused(
                503,
                "the ledger is out of reach",
                reason="ledger down",
                next="tell it again; GET /readyz tells when it is back",
                headers={"Retry-After": "2"},
            ) from error

    return keep


def attribute(served: Served, texts: Sequence[str]) -> Sequence[Any]:
    """What each word did for the answers to texts.

    Raises: RecipeError where the model runs elsewhere, or the library for it is not there.
    """
    from tunesmith.lifecycle.explain import explain_opened

    if not isinstance(served.model, Model):
        raise RecipeError("this model cannot be looked into", seen=type(served.model).__name__)
    return [asdict(one) for one in explain_opened(served.model, texts)]
