"""``GET /metrics``: counts and times in Prometheus' text form."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from tunesmith.server.auth import caller_of, needs
from tunesmith.server.service import service_of

router = APIRouter()


@router.get("/metrics", summary="Counts and times", dependencies=[needs("read")], response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """What Prometheus scrapes: totals of the server, and the state of this key's models."""
    service = service_of(request)
    service.instruments.ready.set(service.problem is None)
    mine = list(service.deployments.of(caller_of(request).project).values())
    checks = await asyncio.to_thread(service.checks, caller_of(request).project)
    return Response(service.instruments.page(mine, checks), media_type=CONTENT_TYPE_PLAIN_0_0_4)
