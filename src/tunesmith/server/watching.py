"""What of serving others do: keeping what was asked, taking the true answers, saying what each word did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.core.actor import Actor
from tunesmith.core.errors import StoreError
from tunesmith.lifecycle.deployment import Deployments, Observer, Served
from tunesmith.lifecycle.session import Session
from tunesmith.server.errors import Refused
from tunesmith.server.service import Feedback, Truth
from tunesmith.store.records import ModelVersion


def observer(session: Session, version: ModelVersion) -> Observer | None:
    """Who keeps what a version is asked and answers."""
    return None


def feedback_of(sessions: Mapping[str, Session], deployments: Deployments) -> Feedback:
    """Keeps true answers in the ledger of the project whose key told them."""

    def keep(project: str, actor: Actor, id: str, truth: Truth) -> None:
        raise StoreError("there is no such prediction", seen=id)

    return keep


def attribute(served: Served, texts: Sequence[str]) -> Sequence[Any]:
    """What each word did for the answers to texts, as they were learned."""
    raise Refused(422, "`attribution` is not to be had here", reason="invalid")
