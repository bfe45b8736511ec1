"""``GET /healthz`` and ``GET /readyz``: whether the process lives, and whether traffic should be sent to it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from tunesmith.server.service import service_of

router = APIRouter()


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> dict[str, str]:
    """``{"status": "ok"}`` for as long as the process can answer at all."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="Whether to send traffic",
    responses={503: {"description": "Stopping, or the ledger is out of reach."}},
)
async def readyz(request: Request) -> Response:
    """200 where questions are answered; 503 with the reason where the ledger is out of reach or the server stops."""
    service = service_of(request)
    problem = service.problem
    service.instruments.ready.set(problem is None)
    if problem is not None:
        return JSONResponse({"status": "not ready", "why": problem}, 503, {"Retry-After": "2"})
    return JSONResponse({"status": "ready"})
