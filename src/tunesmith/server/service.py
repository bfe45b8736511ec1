"""What every route works with: the deployments and the bounds, in one value that lies in the application's state."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from tunesmith.core.actor import Actor
from tunesmith.engines.answer_cache import AnswerCache
from tunesmith.lifecycle.deployment import Answered, Deployment, Deployments, Served
from tunesmith.lifecycle.monitor import Gauge
from tunesmith.server.auth import Caller, Door
from tunesmith.server.errors import Refused, is_unforeseen
from tunesmith.server.instruments import Instruments
from tunesmith.server.limits import Limits, OpenRequests, Rate

WRITERS = 32
"""Threads that wait for the disk: as many words may share a transaction."""
Truth = str | list[str] | float | dict[str, float]
Feedback = Callable[[str, Actor, str, Truth], None]
"""Keeps the truth (last) on a prediction's id (third), of a project and actor; raises for what is not known."""
Attribute = Callable[[Served, Sequence[str]], Sequence[Any]]
"""What each word did for the answer, for each text; runs with the model to itself."""
Checks = Callable[[str], Sequence[Gauge]]
"""What the last checks of a project's models found; reads files."""


@dataclass
class Service:
    """One server's state."""

    deployments: Deployments
    door: Door
    limits: Limits
    feedback: Feedback
    attribute: Attribute
    checks: Checks = lambda project: ()
    cache: AnswerCache[Answered] = field(default_factory=AnswerCache)
    instruments: Instruments = field(default_factory=Instruments)
    writers: Executor = field(default_factory=lambda: ThreadPoolExecutor(WRITERS, "feedback"))
    """Threads that keep feedback: not those that look up keys, which must not wait for a ledger that hangs."""
    is_draining: bool = False

    def __post_init__(self) -> None:
        self.rate, self.open = Rate(self.limits), OpenRequests(self.limits)

    @property
    def problem(self) -> str | None:
        """Why no traffic should be sent here; None where it should."""
        return "the server is stopping" if self.is_draining else self.deployments.problem

    def deployment(self, caller: Caller, reference: str | None) -> Deployment:
        """The deployment a caller means.

        Raises: Refused: 404 with the nearest that is served to this caller, 422 where it must be named.
        """
        mine = self.deployments.of(caller.project)
        if reference is None:
            if len(mine) == 1:
                return next(iter(mine.values()))
            raise Refused(422, "`model` is missing: several are served", reason="invalid", allowed=", ".join(mine))
        found = mine.get(reference) or next((one for one in mine.values() if one.current.reference == reference), None)
        if found is not None:
            return found
        near = difflib.get_close_matches(reference, list(mine), n=1, cutoff=0.4)
        raise Refused(
            404,
            "this model is not served",
            reason="unknown",
            seen=reference,
            allowed=", ".join(mine),
            next=f"did you mean `{near[0]}`?" if near else None,
        )

    def unanswered(
        self, caller: Caller, deployment: Deployment | None, error: BaseException, latency_ms: float
    ) -> None:
        """Let whoever watches a model know of a question it did not answer.

        Where a question was refused before its model was read, ``deployment`` is None: it counts where only one model
        can have been meant.
        """
        mine = self.deployments.of(caller.project)
        meant = deployment or (next(iter(mine.values())) if len(mine) == 1 else None)
        if meant is not None and meant.current.observer is not None:
            meant.current.observer.count("failed" if is_unforeseen(error) else "refused", latency_ms)


def service_of(request: Request) -> Service:
    """The state of the server that runs a route."""
    service: Service = request.app.state.service
    return service
