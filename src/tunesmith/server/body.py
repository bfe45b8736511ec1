"""The body of a request as a checked value: strict, bounded, and every complaint names its place."""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from tunesmith.server.complaints import invalid
from tunesmith.server.errors import Refused, shown
from tunesmith.server.limits import Limits

MAX_DISCARDED = 64 * 2**20
"""Bytes of a body that is too large which are read and thrown away, so that the client gets to read the refusal:
closing on a client that is still sending resets the connection."""


class Message(BaseModel):
    """A request's body: no key it does not know, no value turned into another type."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


Kind = TypeVar("Kind", bound=Message)


async def read_message(request: Request, kind: type[Kind], limits: Limits) -> Kind:
    """The body of a request as a message of that kind.

    Raises: Refused: 415, 413, 408, 400 for what is no JSON, 422 for JSON of another form.
    """
    _check_type(request)
    data = _parsed(await _read(request, limits))
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise invalid(kind, error.errors(include_url=False)) from error


def _check_type(request: Request) -> None:
    given = request.headers.get("content-type", "")
    kind, _, rest = given.partition(";")
    charset = rest.replace(" ", "").lower()
    if kind.strip().lower() == "application/json" and charset in ("", "charset=utf-8", 'charset="utf-8"'):
        return
    if request.headers.get("content-encoding", "identity") == "identity":
        raise Refused(
            415,
            "this content type is not read",
            reason="content type",
            seen=given or "none",
            allowed="application/json in UTF-8",
            next="send the header Content-Type: application/json",
        )


async def _read(request: Request, limits: Limits) -> bytes:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Refused(
            415, "a compressed body is not read", reason="content type", seen=encoding, allowed="an uncompressed body"
        )
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            return await _read_bounded(request, limits.max_body_bytes)
    except TimeoutError as error:
        raise Refused(
            408,
            "the body did not come in time",
            reason="slow body",
            allowed=f"{limits.body_timeout_s:g} s",
            headers={"Connection": "close"},
        ) from error


async def _read_bounded(request: Request, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= max_bytes:
            parts.append(part)
        else:
            parts.clear()
        if size > max_bytes + MAX_DISCARDED:
            break
    if size > max_bytes:
        raise Refused(
            413,
            "the request is too large",
            reason="too large",
            seen=f"{size:,} bytes" + (" and more" if size > max_bytes + MAX_DISCARDED else ""),
            allowed=f"{max_bytes:,} bytes",
            next="send fewer or shorter texts in one request",
            headers={"Connection": "close"},
        )
    return b"".join(parts)


def _parsed(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _no_json("the body is not UTF-8", f"byte {error.start}: 0x{body[error.start]:02x}") from error
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise _no_json("the body is not JSON", where) from error
    except RecursionError as error:
        raise _no_json("the JSON is nested too deeply", None) from error
    except ValueError as error:  # a number with thousands of digits
        raise _no_json("the JSON holds a number that cannot be read", None) from error


def _no_json(what: str, seen: str | None) -> Refused:
    return Refused(400, what, reason="not json", seen=seen, allowed="one JSON object in UTF-8")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Refused(400, f"the key `{shown(name)}` stands twice in one object", reason="not json", seen=name)
        found[name] = value
    return found


def _no_constant(name: str) -> Any:
    raise Refused(400, f"`{name}` is no JSON", reason="not json", seen=name, allowed="a number, or null")
