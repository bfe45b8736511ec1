"""How a route is shown in the schema. Bodies are read by ``server.body``, so FastAPI has to be told of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from tunesmith.server.messages import ErrorBody

WORDS = {
    400: "The body is no JSON.",
    401: "A key is missing, or does not count.",
    403: "The key's role may not do this.",
    404: "What was named is not there.",
    408: "The body did not come in time.",
    413: "The request is too large.",
    415: "The content type is not read.",
    421: "The server does not answer to that host.",
    422: "The body has another form than asked for.",
    429: "This key asks too often; Retry-After says when to come again.",
    503: "The server is too busy, stopping, or its ledger is out of reach; Retry-After says when to come again.",
}


def described(
    summary: str, answer: type[BaseModel], asked: type[BaseModel] | None = None, *, refusals: Sequence[int]
) -> dict[str, Any]:
    """The arguments of a route's decorator."""
    told: dict[str, Any] = {
        "summary": summary,
        "response_model": answer,
        "responses": {status: {"model": ErrorBody, "description": WORDS[status]} for status in (*refusals, 421)},
    }
    if asked is not None:
        schema = asked.model_json_schema(ref_template="#/components/schemas/{model}")
        told["openapi_extra"] = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
    return told
