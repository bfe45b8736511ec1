"""Alerts: why one is given, and who is told: the log, a signed webhook, and whoever reads the metrics."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tunesmith.connectors import addresses, waiting
from tunesmith.connectors.webhook import send
from tunesmith.core.errors import DataError
from tunesmith.monitoring.config import REFERENCE, MonitorConfig, WebhookConfig

log = logging.getLogger(__name__)
SHOWN = {
    "characters": "length in characters",
    "tokens": "length in tokens",
    "unseen_words": "words that training never showed",
    "uppercase": "capital letters",
    "digits": "digits",
    "punctuation": "punctuation and symbols",
    "other_letters": "letters beyond a to z",
    "language": "language",
    "embedding": "what the texts are about",
    "labels": "labels that are predicted",
    "one_label": "how often one label is predicted",
    "confidence": "how sure the model is",
    "predicted": "predicted values",
}
"""Tests in words."""


@dataclass(frozen=True)
class Cause:
    """One reason for an alert."""

    kind: Literal["drift", "performance", "latency", "failures"]
    name: str
    words: str
    value: float
    limit: float


@dataclass(frozen=True)
class Alert:
    """What is told."""

    model: str
    project: str
    at: str
    """UTC, ISO 8601."""
    rows: int
    causes: tuple[Cause, ...]
    report: str

    def to_dict(self) -> dict[str, Any]:
        """The alert as JSON values."""
        return {"event": "alert", **asdict(self)}


@dataclass(frozen=True)
class Delivery:
    """Whether the webhook took an alert."""

    is_taken: bool
    tries: int
    error: str = ""


def words_of(name: str) -> str:
    """A test in words."""
    return SHOWN.get(name, name)


def causes(
    facts: Mapping[str, Any] | None, traffic: Mapping[str, Any] | None, config: MonitorConfig
) -> tuple[Cause, ...]:
    """Every reason for an alert: tests that changed, and limits that traffic broke."""
    found = []
    for one in () if facts is None else facts["tests"]:
        if one["is_alert"]:
            kind: Literal["drift", "performance"] = "performance" if one["group"] == "performance" else "drift"
            what = one["why"] or f"effect {one['effect']:.2f}"
            words = f"{words_of(one['name'])}: {what}, p {_p(one['adjusted'])} over all tests"
            found.append(Cause(kind, one["name"], words, one["adjusted"], config.drift.alert_at))
    p95, failed = (traffic or {}).get("latency_ms", {}).get("p95"), (traffic or {}).get("failed_share")
    if config.latency_p95_ms is not None and p95 is not None and p95 > config.latency_p95_ms:
        words = f"one request in twenty takes longer than {p95:.0f} ms"
        found.append(Cause("latency", "latency_p95_ms", words, p95, config.latency_p95_ms))
    if config.failed is not None and failed is not None and failed > config.failed:
        words = f"{100 * failed:.1f} % of the requests failed"
        found.append(Cause("failures", "failed", words, failed, config.failed))
    return tuple(found)


def tell(
    alert: Alert,
    config: WebhookConfig | None,
    *,
    emit: Callable[..., None],
    clock: waiting.Clock | None = None,
    find: addresses.Lookup = addresses.lookup,
) -> Delivery | None:
    """Write the alert to the log and send it to the webhook; None where there is none.

    A webhook that fails stops nothing: the alert stands in the log, with the failure beside it.
    """
    emit(**alert.to_dict())
    log.info("%s: %s", alert.model, "; ".join(one.words for one in alert.causes))
    if config is None:
        return None
    try:
        tries = send(
            _variable(config.url, "url"),
            _variable(config.token, "token"),
            alert.to_dict(),
            num_retries=config.retries,
            is_private_allowed=config.allow_private,
            clock=clock,
            find=find,
        )
    except DataError as error:
        emit("webhook", is_taken=False, error=error.render())
        log.error("%s", error.what)
        return Delivery(False, config.retries + 1, error.render())
    emit("webhook", is_taken=True, tries=tries)
    return Delivery(True, tries)


def _variable(reference: str, key: str) -> str:
    match = REFERENCE.fullmatch(reference)
    name = match[1] if match else ""
    value = os.environ.get(name, "")
    if not value:
        raise DataError(
            f"webhook: the environment variable `{name}` is not set",
            seen=f"{reference} in `monitor.webhook.{key}`",
            next=f"export {name}=… and run the command again",
        )
    return value


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-4 else "< 0.0001"
