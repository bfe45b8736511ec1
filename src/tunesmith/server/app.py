"""The HTTP application: routes behind one gate. Importing it loads no torch; deployments bring their opened models."""

from __future__ import annotations

import difflib

from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

import tunesmith
from tunesmith.core.errors import TunesmithError
from tunesmith.server.errors import Refused, answer_of
from tunesmith.server.gate import Gate, answer_to
from tunesmith.server.routes import docs, feedback, health, metrics, models, predict
from tunesmith.server.service import Service

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""The names of this machine for itself."""
ROUTES: tuple[APIRoute, ...] = tuple(
    route
    for room in (predict, feedback, models, health, metrics, docs)
    for route in room.router.routes
    if isinstance(route, APIRoute)
)
"""Every route; each asks for a right but those of the health checks."""


def create_app(service: Service, *, hosts: frozenset[str] | None = LOOPBACK) -> FastAPI:
    """The application of a service; ``hosts`` are the Host headers it answers to, None: any."""
    app = FastAPI(
        title="tunesmith",
        version=tunesmith.__version__,
        description="Predictions of released models, and feedback on them.",
        # FastAPI's own pages load scripts from a CDN, and ask for no key.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.router.routes.extend(ROUTES)
    app.add_exception_handler(TunesmithError, _tell)
    app.add_exception_handler(HTTPException, _tell_http)
    app.add_middleware(Gate, service=service, hosts=hosts)
    return app


async def _tell(request: Request, error: Exception) -> Response:
    return answer_to(answer_of(error))


async def _tell_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    known = [route.path for route in ROUTES]
    path = request.url.path
    if error.status_code == 405:
        told = Refused(405, "this path has no such method", reason="method", seen=request.method, headers=headers)
        told.allowed = headers.get("Allow") or headers.get("allow")
    elif error.status_code == 404:
        near = difflib.get_close_matches(path, known, n=1, cutoff=0.5)
        told = Refused(404, "there is no such path", reason="path", seen=path, headers=headers)
        told.allowed, told.next = ", ".join(known), f"did you mean `{near[0]}`?" if near else None
    else:
        told = Refused(error.status_code, str(error.detail), reason="invalid", headers=headers)
    return answer_to(answer_of(told))
