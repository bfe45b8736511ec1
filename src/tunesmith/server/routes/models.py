"""``GET /v1/models``: what is served to this key."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request

from tunesmith.lifecycle.deployment import Deployment
from tunesmith.lifecycle.staleness import Stale
from tunesmith.server.auth import caller_of, needs
from tunesmith.server.messages import RejectedTexts, ServedModel, ServedModels, StaleModel
from tunesmith.server.routes.described import described
from tunesmith.server.service import service_of

router = APIRouter()


@router.get(
    "/v1/models",
    dependencies=[needs("read")],
    **described("What is served", ServedModels, refusals=(401, 403, 429, 503)),
)
async def models(request: Request) -> ServedModels:
    """The models that answer to this key, and the version of each."""
    mine = service_of(request).deployments.of(caller_of(request).project)
    return ServedModels(models=[_shown(one) for one in mine.values()])


def _shown(deployment: Deployment) -> ServedModel:
    served, problem = deployment.current, deployment.problem
    rejection = served.model.rejection
    return ServedModel(
        model=deployment.reference,
        version=served.reference,
        task=served.model.task,
        labels=list(served.model.labels),
        thresholds=dict(served.model.thresholds) or None,
        rejection=None
        if rejection is None
        else RejectedTexts(score=rejection.score, threshold=rejection.threshold, label=rejection.label),
        digest=served.version.digest,
        since=datetime.fromtimestamp(served.since, UTC).isoformat(timespec="seconds"),
        problem=None if problem is None else problem.what,
        stale=None if deployment.stale is None else _told(deployment.stale, deployment.reference),
    )


def _told(stale: Stale, reference: str) -> StaleModel:
    num = len(stale.erasures)
    return StaleModel(
        since=stale.since.astimezone(UTC).isoformat(timespec="seconds"),
        erasures=list(stale.erasures),
        reason=f"it learned from rows of {num} {'person' if num == 1 else 'people'} erased since",
        next=f"tunesmith retrain {reference}: what is released under its alias is taken up by itself",
    )
