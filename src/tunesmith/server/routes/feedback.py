"""``POST /v1/feedback``: the true answer to what was asked before."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from tunesmith.server.auth import caller_of, needs
from tunesmith.server.body import read_message
from tunesmith.server.errors import Refused
from tunesmith.server.messages import FeedbackAnswer, FeedbackRequest
from tunesmith.server.routes.described import described
from tunesmith.server.service import Truth, service_of

router = APIRouter()


@router.post(
    "/v1/feedback",
    dependencies=[needs("feedback")],
    **described(
        "Tell the true answer",
        FeedbackAnswer,
        FeedbackRequest,
        refusals=(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
    ),
)
async def feedback(request: Request) -> FeedbackAnswer:
    """Keep the true answer on a prediction; the latest word counts."""
    service, caller = service_of(request), caller_of(request)
    told = await read_message(request, FeedbackRequest, service.limits)
    given = caller.project, caller.actor, told.id, _truth(told)
    await asyncio.get_running_loop().run_in_executor(service.writers, service.feedback, *given)
    return FeedbackAnswer(id=told.id, kept=True)


def _truth(told: FeedbackRequest) -> Truth:
    given = {name: one for name in ("label", "labels", "value") if (one := getattr(told, name)) is not None}
    if len(given) != 1:
        raise Refused(
            422,
            "one of `label`, `labels` and `value` says the true answer",
            reason="invalid",
            seen=", ".join(given) or "none",
            allowed="one of them",
        )
    truth: Truth = next(iter(given.values()))
    return truth
