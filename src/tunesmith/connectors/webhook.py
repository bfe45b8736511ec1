"""Signed messages to an address that somebody named: the receiver can tell that we sent them, and when."""

from __future__ import annotations

import hmac
import json
import random
from collections.abc import Mapping
from typing import Any

import httpx

from tunesmith.connectors import addresses, waiting
from tunesmith.connectors.http_client import PASSING, PORTS, PinnedTransport, shown
from tunesmith.core.errors import DataError

SIGNATURE, TIMESTAMP = "X-Tunesmith-Signature", "X-Tunesmith-Timestamp"
TIMEOUT_S = 10.0
WHO = "webhook"
MIN_SECRET_CHARS = 16


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What the signature header holds: ``sha256=`` and the HMAC of ``timestamp.body`` under the secret.

    The timestamp is signed too, so that a receiver can refuse an old message that is sent again.
    """
    return "sha256=" + hmac.digest(secret.encode(), timestamp.encode() + b"." + body, "sha256").hex()


def send(
    url: str,
    secret: str,
    message: Mapping[str, Any],
    *,
    num_retries: int = 4,
    is_private_allowed: bool = False,
    clock: waiting.Clock | None = None,
    find: addresses.Lookup = addresses.lookup,
) -> int:
    """Post a message as JSON and return how many tries it took; redirects are not followed.

    Raises: DataError where the address is off limits, or nobody took the message. It shows neither query nor secret.
    """
    address = _checked(url, secret)
    clock = clock or waiting.SystemClock()
    jitter = random.Random(0)
    body = json.dumps(message, ensure_ascii=False, allow_nan=False, sort_keys=True).encode()
    reason = ""
    with httpx.Client(
        transport=PinnedTransport(WHO, is_private_allowed, find),
        timeout=TIMEOUT_S,
        follow_redirects=False,
        trust_env=False,
    ) as client:
        for attempt in range(num_retries + 1):
            if attempt:
                clock.sleep(waiting.backoff_s(attempt - 1, jitter))
            timestamp = str(int(clock.time()))
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "tunesmith",
                TIMESTAMP: timestamp,
                SIGNATURE: signature(secret, timestamp, body),
            }
            try:
                with client.stream("POST", address, content=body, headers=headers) as response:
                    status, is_taken = response.status_code, response.is_success
            except httpx.HTTPError as error:
                reason = f"{type(error).__name__}"
                continue
            if is_taken:
                return attempt + 1
            reason = f"answered {status}"
            if status not in PASSING and status < 500:
                break
    raise DataError(
        f"{WHO}: the message was not taken",
        seen=f"{shown(address)}: {reason}",
        next="see that the receiver is well; the alert stands in the log and in the report",
    )


def _checked(url: str, secret: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        address = httpx.URL("")
    if address.scheme not in PORTS or not address.host or address.userinfo:
        raise DataError(f"{WHO}: the address cannot be used", allowed="https://host/path, without user and password")
    if len(secret) < MIN_SECRET_CHARS:
        raise DataError(
            f"{WHO}: the secret is too short to sign with",
            seen=f"{len(secret)} characters",
            allowed=f"{MIN_SECRET_CHARS} or more",
            next='python -c "import secrets; print(secrets.token_hex(32))"',
        )
    return address
