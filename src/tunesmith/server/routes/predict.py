"""``POST /v1/predict``: one or many texts, answered in their order."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import fields
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic_core import to_json

from tunesmith.lifecycle.deployment import Answered, Deployment, Served
from tunesmith.lifecycle.model import Prediction
from tunesmith.server.auth import Caller, caller_of, needs
from tunesmith.server.body import read_message
from tunesmith.server.errors import Refused
from tunesmith.server.gate import ClientGone
from tunesmith.server.limits import Limits
from tunesmith.server.messages import PredictAnswer, PredictRequest
from tunesmith.server.routes.described import described
from tunesmith.server.routes.direct import DirectRoute
from tunesmith.server.service import Service, service_of

Found = TypeVar("Found")
router = APIRouter(route_class=DirectRoute)
ANSWER = tuple(one.name for one in fields(Prediction) if one.name not in ("answer", "is_cut", "refused", "num_tokens"))
"""What of a prediction is sent; the rest is said of language models only."""


@router.post(
    "/v1/predict",
    dependencies=[needs("predict")],
    **described(
        "Answer texts", PredictAnswer, PredictRequest, refusals=(400, 401, 403, 404, 408, 413, 415, 422, 429, 503)
    ),
)
async def predict(request: Request) -> Response:
    """Label, probabilities or numbers for one text or many, in their order, from the version the alias means now."""
    started = time.perf_counter()
    service, caller = service_of(request), caller_of(request)
    asked = await _asked(request, service, caller, started)
    deployment = service.deployment(caller, asked.model)
    try:
        _check_sizes(asked, service.limits)
        served, answers = await _answers(request, service, caller, deployment, asked.texts)
        words = await _words(request, service, served, asked.texts) if asked.attribution else None
    except ClientGone:
        raise
    except Exception as error:
        service.unanswered(caller, deployment, error, (time.perf_counter() - started) * 1000)
        raise
    latency_ms = (time.perf_counter() - started) * 1000
    ids = _observed(served, answers, latency_ms, asked.subjects, caller)
    service.instruments.texts.inc(len(answers))
    told = [_told(one.prediction, id) for one, id in zip(answers, ids, strict=True)]
    if words is not None:
        told = [{**one, "attribution": word} for one, word in zip(told, words, strict=True)]
    body: dict[str, Any] = {"model": served.reference, "predictions": told}
    if served.model.rejection is not None:
        body["rejected_below"] = served.model.rejection.threshold
    return Response(_json(body), media_type="application/json")


async def _asked(request: Request, service: Service, caller: Caller, started: float) -> PredictRequest:
    try:
        return await read_message(request, PredictRequest, service.limits)
    except Refused as error:
        if error.status == 413:  # what is no question at all is not the model's
            service.unanswered(caller, None, error, (time.perf_counter() - started) * 1000)
        raise


def _check_sizes(asked: PredictRequest, limits: Limits) -> None:
    if len(asked.texts) > limits.max_texts:
        raise _too_large("`texts` holds too many", f"{len(asked.texts):,} texts", f"{limits.max_texts:,} texts")
    if asked.attribution and len(asked.texts) > limits.max_attributed:
        raise _too_large(
            "`texts` holds too many for attribution",
            f"{len(asked.texts):,} texts",
            f"{limits.max_attributed:,} texts where `attribution` is true",
        )
    for place, text in enumerate(asked.texts):
        if len(text) > limits.max_chars:
            seen, allowed = f"{len(text):,} characters", f"{limits.max_chars:,} characters"
            raise _too_large(f"`texts[{place}]` is too long", seen, allowed)
    if asked.subjects is not None and len(asked.subjects) != len(asked.texts):
        raise Refused(
            422,
            "`subjects` names one for each text, or null",
            reason="invalid",
            seen=f"{len(asked.subjects)} subjects",
            allowed=f"{len(asked.texts)}, as there are texts",
        )


def _too_large(what: str, seen: str, allowed: str) -> Refused:
    return Refused(
        413, what, reason="too large", seen=seen, allowed=allowed, next="send fewer or shorter texts in one request"
    )


async def _answers(
    request: Request, service: Service, caller: Caller, deployment: Deployment, texts: Sequence[str]
) -> tuple[Served, list[Answered]]:
    """Which version answered, and its answers: all of one version, even where the alias moves in between."""
    served = deployment.current
    known = {text: service.cache.get(caller.owner, served.version.digest, text) for text in dict.fromkeys(texts)}
    missing = [text for text, answer in known.items() if answer is None]
    if missing:
        answering, promise = deployment.submit(missing)
        if answering is not served and len(missing) < len(known):
            promise.cancel()
            return await _answers(request, service, caller, deployment, texts)
        served = answering
        found: list[Answered] = await waited(request, promise)
        for text, answer in zip(missing, found, strict=True):
            known[text] = answer
            service.cache.put(caller.owner, served.version.digest, text, answer)
            service.instruments.tokens.inc(answer.prediction.num_tokens)
    service.instruments.cache_hits.inc(len(known) - len(missing))
    service.instruments.cache_misses.inc(len(missing))
    return served, [answer for answer in (known[text] for text in texts) if answer is not None]


async def waited(request: Request, promise: Future[Found]) -> Found:
    """What was promised; a client that leaves cancels it.

    Raises: ClientGone.
    """
    answer = asyncio.wrap_future(promise)
    # The body was read: what comes now is that the client left.
    gone = asyncio.ensure_future(request.receive())
    both: set[asyncio.Future[Any]] = {answer, gone}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
    finally:
        gone.cancel()
        answer.cancel()
    raise ClientGone


async def _words(request: Request, service: Service, served: Served, texts: Sequence[str]) -> Sequence[Any]:
    """What each word did; the model works for nobody else meanwhile, as explaining puts hooks into it."""
    return await waited(request, served.batcher.call(lambda: service.attribute(served, texts)))


def _observed(
    served: Served,
    answers: Sequence[Answered],
    latency_ms: float,
    subjects: Sequence[str | None] | None,
    caller: Caller,
) -> list[str | None]:
    if served.observer is None:
        return [None] * len(answers)
    predictions = [one.prediction for one in answers]
    return served.observer.record(
        [one.learned for one in answers], predictions, latency_ms, subjects, caller.actor.key_id
    )


def _json(body: dict[str, Any]) -> bytes:
    content = to_json(body)
    if b"NaN" in content or b"Infinity" in content:
        # A word, or a number that is none, of which there is no JSON: json tells which, at ten times the cost.
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    return content


def _told(prediction: Prediction, id: str | None) -> dict[str, Any]:
    """A prediction as it is sent: without what its task does not have."""
    told: dict[str, Any] = {"id": id}
    for name in ANSWER:
        value = getattr(prediction, name)
        is_blank = value is None or (name == "is_rejected" and prediction.score is None) or value == {}
        if not is_blank or (name == "label" and prediction.is_rejected):
            told[name] = value
    return told
