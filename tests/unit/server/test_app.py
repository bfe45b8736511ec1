"""The application over its real ASGI door, with fake models: keys, bounds, strictness, answers, headers."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx
import pytest
from fastapi.routing import APIRoute
from tests.serving import FakeKeys, FakeModel, deployment, service_of

from tunesmith.core.actor import ROLES, local_owner
from tunesmith.engines.batching import BatchOptions
from tunesmith.governance.access import ALLOWED, Right
from tunesmith.lifecycle.model import Prediction
from tunesmith.lifecycle.session import open_session
from tunesmith.lifecycle.staleness import Stale
from tunesmith.models.manifest import Rejection
from tunesmith.server.app import LOOPBACK, create_app
from tunesmith.server.auth import Needs, needs
from tunesmith.server.gate import OPEN
from tunesmith.server.keys import LedgerKeys
from tunesmith.server.limits import Limits
from tunesmith.server.service import Service
from tunesmith.store import access

KEY = {"Authorization": "Bearer key-one"}
JSON = {"Content-Type": "application/json"}


class Asked:
    """A client of one application; each call is a whole request."""

    def __init__(self, service: Service, hosts: frozenset[str] | None = LOOPBACK) -> None:
        self.app = create_app(service, hosts=hosts)

    def __call__(self, method: str, path: str, *, host: str = "127.0.0.1:8080", **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
                return await client.request(method, path, **more)

        return anyio.run(ask)

    def predict(self, body: Any, key: str = "key-one") -> httpx.Response:
        """POST /v1/predict with a key."""
        return self("POST", "/v1/predict", json=body, headers={"Authorization": f"Bearer {key}"})

    def raw(self, content: bytes, **headers: str) -> httpx.Response:
        """POST /v1/predict with these bytes."""
        return self("POST", "/v1/predict", content=content, headers={**KEY, **JSON, **headers})


@pytest.fixture
def models() -> dict[int, FakeModel]:
    return {}


@pytest.fixture
def ask(models: dict[int, FakeModel]) -> Asked:
    return Asked(service_of([deployment("one", models), deployment("two")]))


def what(response: httpx.Response) -> dict[str, Any]:
    """The four parts of an error."""
    parts: dict[str, Any] = response.json()["error"]
    assert list(parts) == ["what", "seen", "allowed", "next"]
    return parts


def test_one_text_or_many_are_answered_in_their_order(ask: Asked) -> None:
    alone = ask.predict({"texts": "hello"})
    assert alone.status_code == 200
    assert alone.json() == {
        "model": "desk@1",
        "predictions": [
            {
                "id": "one-0",
                "label": "one@1|hello",
                "probability": 0.75,
                "probabilities": {"yes": 0.75, "no": 0.25},
                "num_truncated_tokens": 0,
            }
        ],
    }
    many = ask.predict({"texts": ["b", "a", "b", ""], "model": "desk@production"}).json()["predictions"]
    assert [one["label"] for one in many] == ["one@1|b", "one@1|a", "one@1|b", "one@1|"]
    assert len({one["id"] for one in many}) == 4, "equal texts are asked once and are two predictions all the same"


def test_a_key_sees_its_own_project_and_nothing_else(ask: Asked) -> None:
    assert ask.predict({"texts": "x"}, "key-two").json()["predictions"][0]["label"] == "two@1|x"
    alone = Asked(service_of([deployment("one"), deployment("two", reference="claims@production")]))
    missing = alone.predict({"texts": "x", "model": "claims@production"})
    assert missing.status_code == 404 and "claims" not in what(missing)["allowed"]
    shown = alone("GET", "/v1/models", headers=KEY).json()["models"]
    assert [one["model"] for one in shown] == ["desk@production"]
    assert "claims" not in alone("GET", "/metrics", headers=KEY).text


def test_without_a_key_only_health_answers(ask: Asked) -> None:
    paths = {(method, route.path) for route in ask.app.routes for method in getattr(route, "methods", ())}
    assert {path for _, path in paths} >= {
        "/v1/predict",
        "/v1/feedback",
        "/v1/models",
        "/metrics",
        "/docs",
        "/openapi.json",
    }
    for method, path in [*paths, ("GET", "/nowhere"), ("DELETE", "/v1/predict")]:
        for headers in (
            {},
            {"Authorization": "Bearer nobody"},
            {"Authorization": "Basic eDp5"},
            {"Authorization": "é".encode()},
        ):
            response = ask(method, path, headers=headers)
            if path in OPEN:
                assert response.status_code == 200
            else:
                assert response.status_code == 401, (method, path, headers)
                assert response.headers["www-authenticate"].startswith("Bearer")
                assert what(response)["next"]
        assert response.headers["cache-control"] == "private, no-store"


RIGHTS: dict[tuple[str, str], Right] = {
    ("POST", "/v1/predict"): "predict",
    ("POST", "/v1/feedback"): "feedback",
    ("GET", "/v1/models"): "read",
    ("GET", "/metrics"): "read",
    ("GET", "/openapi.json"): "read",
    ("GET", "/docs"): "read",
}
"""What each route asks for, written down here a second time: a route that is not in this table fails."""
CALLERS = ("none", "revoked", "expired", "disabled", "other project", *ROLES)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LedgerKeys, dict[str, str]]]:
    """The real keys of two projects: one for each role, and such as count no more; ``theirs`` is of a third project."""
    owner = local_owner()
    home = tmp_path_factory.mktemp("keys")
    with open_session(home, "one") as one, open_session(home, "two") as two, open_session(home, "three") as three:
        made: dict[str, str] = {}
        for session in (one, two, three):
            engine, project = session.ledger.engine, session.workspace.project
            for role in ROLES:
                access.add_user(engine, project, owner, role, role)
                made[f"{project}/{role}"] = access.make_key(engine, project, owner, role).key
            for name in ("revoked", "disabled", "expired"):
                access.add_user(engine, project, owner, name, "admin")
            revoked = access.make_key(engine, project, owner, "revoked")
            access.revoke_key(engine, project, owner, revoked.id)
            made[f"{project}/disabled"] = access.make_key(engine, project, owner, "disabled").key
            access.disable_user(engine, project, owner, "disabled")
            made[f"{project}/revoked"] = revoked.key
            ago = datetime.now(UTC) - timedelta(seconds=1)
            made[f"{project}/expired"] = access.make_key(engine, project, owner, "expired", ago).key
        yield LedgerKeys({"one": one, "two": two}), made


def test_each_route_role_and_project_gets_what_the_table_says(keys: tuple[LedgerKeys, dict[str, str]]) -> None:
    known, made = keys
    ask = Asked(service_of([deployment("one"), deployment("two")], Limits(requests_per_s=0), known))
    routes = {
        (method, route.path): [one.dependency.right for one in route.dependencies if isinstance(one.dependency, Needs)]
        for route in ask.app.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert len(routes) == len(ask.app.routes), "every route is one that can be asked for its right"
    assert routes == {**{place: [right] for place, right in RIGHTS.items()}, **{("GET", path): [] for path in OPEN}}
    cells = 0
    for (method, path), right in [*RIGHTS.items(), *((("GET", path), None) for path in sorted(OPEN))]:
        for project in ("one", "two"):
            for caller in CALLERS:
                key = made.get("three/admin" if caller == "other project" else f"{project}/{caller}")
                assert (key is None) == (caller == "none")
                text, told_of = {"texts": f"{project} {caller}"}, {"id": f"{project}-0", "label": "yes"}
                given: dict[str, Any] = {"headers": {} if key is None else {"Authorization": f"Bearer {key}"}}
                if method == "POST":
                    given["json"] = text if right == "predict" else told_of
                response = ask(method, path, **given)
                counts = caller in ROLES
                allowed = right is None or (counts and caller in ALLOWED[right])
                expected = 200 if allowed else 403 if counts else 401
                assert response.status_code == expected, (method, path, project, caller, response.text)
                cells += 1
                if allowed and right == "predict":
                    told = response.json()["predictions"][0]
                    assert told["label"] == f"{project}@1|{project} {caller}" and told["id"].startswith(project)
    assert cells == (len(RIGHTS) + len(OPEN)) * 2 * len(CALLERS)


def test_a_role_without_the_right_is_refused(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.governance import access

    monkeypatch.setitem(access.ALLOWED, "predict", frozenset({"admin"}))  # type: ignore[call-overload]
    refused = ask.predict({"texts": "x"}, "key-one-viewer")
    assert refused.status_code == 403 and "predict" in what(refused)["what"]
    assert ask.predict({"texts": "x"}, "key-one-admin").status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 400, "line 1, column 1"),
        (b"{", 400, "line 1, column 2"),
        (b'{"texts": "a",\n "texts": "b"}', 400, "twice"),
        (b'{"texts": NaN}', 400, "NaN"),
        (b'{"texts": ["a"], "attribution": Infinity}', 400, "Infinity"),
        (b"\xff{}", 400, "byte 0: 0xff"),
        (b"[" * 100_000, 400, "nested"),
        (b'{"texts": ' + b"1" * 5000 + b"}", 400, "number"),
        (b"[]", 422, "body"),
        (b"null", 422, "body"),
        (b"{}", 422, "`texts` is missing"),
        (b'{"texts": []}', 422, "`texts`"),
        (b'{"texts": [1]}', 422, "texts[0]"),
        (b'{"texts": ["a", null]}', 422, "texts[1]"),
        (b'{"texts": {"a": 1}}', 422, "`texts`"),
        (b'{"text": "a", "texts": "b"}', 422, "`texts`?"),
        (b'{"texts": "a", "attribution": "yes"}', 422, "`attribution`"),
        (b'{"texts": "a", "attribution": 1}', 422, "`attribution`"),
        (b'{"texts": "a", "subjects": ["x", "y"]}', 422, "2 subjects"),
        (b'{"texts": "a", "subjects": [""]}', 422, "subjects[0]"),
        (b'{"texts": "a\\ud800"}', 422, "texts[0]"),
        (b'{"texts": "a", "model": "desk@produktion"}', 404, "did you mean `desk@production`?"),
        (b'{"texts": "a", "model": 3}', 422, "`model`"),
        (b'{"text": "a"}', 422, "did you mean `texts`?"),
        (b'{"texts": []}', 422, "is too short [] at least 1"),
        (b'{"texts": 5}', 422, "has another form than asked for 5 a text or a list of texts"),
        (b'{"texts": "a", "model": 3}', 422, "3 a text or null"),
        (
            b'{"texts": "a", "subjects": [3]}',
            422,
            "`subjects[0]` has another form than asked for 3 a list of texts or null",
        ),
        (b'["a"]', 422, "an object with texts, model, attribution, subjects"),
    ],
)
def test_a_wrong_body_is_refused_with_its_place_and_what_would_be_right(
    ask: Asked, content: bytes, status: int, words: str
) -> None:
    response = ask.raw(content)
    assert response.status_code == status, response.text
    assert words in " ".join(str(one) for one in what(response).values())


def test_content_types_and_encodings_that_are_not_read(ask: Asked) -> None:
    body = json.dumps({"texts": "a"}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", ""):
        assert ask.raw(body, **{"Content-Type": kind}).status_code == 415
    assert ask.raw(body, **{"Content-Encoding": "gzip"}).status_code == 415
    assert ask.raw(body, **{"Content-Type": "application/json; charset=UTF-8"}).status_code == 200


def test_sizes_are_bounded_and_the_place_is_named() -> None:
    limits = Limits(max_body_bytes=1000, max_texts=3, max_chars=10, max_attributed=1)
    ask = Asked(service_of([deployment("one")], limits))
    assert "texts[1]" in what(ask.predict({"texts": ["a", "b" * 11]}))["what"]
    for body in ({"texts": ["a"] * 4}, {"texts": ["a"] * 2, "attribution": True}, {"texts": "a" * 1000}):
        response = ask.predict(body)
        assert response.status_code == 413, body
        assert what(response)["next"]
    assert ask.predict({"texts": ["a" * 10] * 3}).status_code == 200


def test_a_body_that_is_too_large_is_never_held_in_memory() -> None:
    import tracemalloc

    ask = Asked(service_of([deployment("one")], Limits(max_body_bytes=100_000)))

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(320):
            yield b"x" * 2**16

    tracemalloc.start()
    response = ask("POST", "/v1/predict", content=endless(), headers={**KEY, **JSON})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert response.status_code == 413 and response.headers["connection"] == "close"
    assert "20,971,520 bytes" in what(response)["seen"]
    assert peak < 4 * 2**20, "20 MiB came, less than 4 were held"


def test_a_slow_body_is_given_up() -> None:
    ask = Asked(service_of([deployment("one")], Limits(body_timeout_s=0.05)))

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"texts": '
        await anyio.sleep(5)

    assert ask("POST", "/v1/predict", content=slow(), headers={**KEY, **JSON}).status_code == 408


def test_rates_are_by_key(models: dict[int, FakeModel]) -> None:
    ask = Asked(service_of([deployment("one"), deployment("two")], Limits(requests_per_s=0.01, burst=3)))
    statuses = [ask.predict({"texts": "x"}).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    refused = ask.predict({"texts": "x"})
    assert int(refused.headers["retry-after"]) >= 1 and what(refused)["next"]
    assert ask.predict({"texts": "x"}, "key-two").status_code == 200, "the other key is not concerned"
    assert ask("GET", "/healthz").status_code == 200


def test_a_full_queue_says_when_to_come_again() -> None:
    ask = Asked(service_of([deployment("one", options=BatchOptions(max_queued_rows=2))]))
    refused = ask.predict({"texts": ["a", "b", "c"]})
    assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
    assert ask.predict({"texts": ["a", "b"]}).status_code == 200


def test_a_failure_tells_an_id_and_nothing_of_the_inside(ask: Asked) -> None:
    failed = ask.predict({"texts": "break"})
    assert failed.status_code == 500
    assert "secret" not in failed.text and failed.json()["id"] in what(failed)["next"]
    assert failed.headers["cache-control"] == "private, no-store"
    assert ask.predict({"texts": "fine"}).status_code == 200
    [one] = ask.app.state.service.deployments.of("one").values()
    assert (one.current.observer.outcomes, len(one.current.observer.rows)) == (["failed"], 1)


def test_what_a_model_was_asked_and_did_not_answer_is_counted_for_it() -> None:
    limits = Limits(requests_per_s=0.01, burst=7, max_body_bytes=1000, max_texts=2)
    ask = Asked(service_of([deployment("one", options=BatchOptions(max_queued_rows=1))], limits))
    asked: list[tuple[Any, int]] = [
        ({"texts": "x"}, 200),
        ({"texts": ["a", "b"]}, 503),
        ({"texts": ["a"] * 3}, 413),
        ({"texts": "x" * 2000}, 413),
        ({"texts": "break"}, 500),
        ({"texts": "x", "model": "other"}, 404),  # not this model's
        ({"text": "x"}, 422),  # no question at all
        ({"texts": "x"}, 429),
        ({"texts": "x"}, 429),
    ]
    assert [ask.predict(body).status_code for body, _ in asked] == [status for _, status in asked]
    [one] = ask.app.state.service.deployments.of("one").values()
    assert one.current.observer.outcomes == ["refused", "refused", "refused", "failed", "refused", "refused"]
    both = [deployment("one"), deployment("one", reference="b@1")]
    several = Asked(service_of(both, Limits(requests_per_s=0.01, burst=0)))
    assert several.predict({"texts": "x"}).status_code == 429
    for one in several.app.state.service.deployments.of("one").values():
        assert one.current.observer.outcomes == [], "which of them was meant is not known"


def test_metrics_show_the_last_checks_of_ones_own_models(ask: Asked) -> None:
    from tunesmith.lifecycle.monitor import Gauge

    checks = {
        "one": [
            Gauge("tunesmith_monitor_alert", "Whether", {"model": "desk@1"}, 1.0),
            Gauge("tunesmith_monitor_alert", "Whether", {"model": "desk@2"}, 0.0),
            Gauge("tunesmith_monitor_p_value", "p", {"model": "desk@1", "test": "text"}, 0.004),
        ]
    }
    ask.app.state.service.checks = lambda project: checks.get(project, [])
    lines = ask("GET", "/metrics", headers=KEY).text.splitlines()
    assert 'tunesmith_monitor_alert{model="desk@1"} 1.0' in lines
    assert 'tunesmith_monitor_alert{model="desk@2"} 0.0' in lines
    assert 'tunesmith_monitor_p_value{model="desk@1",test="text"} 0.004' in lines
    assert lines.count("# TYPE tunesmith_monitor_alert gauge") == 1
    theirs = ask("GET", "/metrics", headers={"Authorization": "Bearer key-two"})
    assert theirs.status_code == 200 and "tunesmith_monitor" not in theirs.text


def test_a_model_that_learned_from_erased_people_says_so_to_its_own_project() -> None:
    erased = Stale(datetime(2026, 3, 4, 5, 6, 7, 8, UTC), ("e1", "e2"))
    version = {"now": 1}
    served = deployment("one", version=version, is_stale=lambda one: erased if one.version == 1 else None)
    ask = Asked(service_of([served, deployment("two")]))

    def shown(key: str) -> tuple[Any, list[str]]:
        headers = {"Authorization": f"Bearer {key}"}
        [told] = ask("GET", "/v1/models", headers=headers).json()["models"]
        page = ask("GET", "/metrics", headers=headers).text.splitlines()
        return told["stale"], [line for line in page if line.startswith("tunesmith_model_stale{")]

    told, metric = shown("key-one")
    assert {name: told[name] for name in ("since", "erasures", "reason")} == {
        "since": "2026-03-04T05:06:07+00:00",
        "erasures": ["e1", "e2"],
        "reason": "it learned from rows of 2 people erased since",
    }
    assert "tunesmith retrain desk@production" in told["next"]
    assert metric == ['tunesmith_model_stale{model="desk@production"} 1.0']
    assert shown("key-two") == (None, ['tunesmith_model_stale{model="desk@production"} 0.0'])
    version["now"] = 2
    served.refresh()
    assert shown("key-one") == (None, ['tunesmith_model_stale{model="desk@production"} 0.0'])
    properties = ask("GET", "/openapi.json", headers=KEY).json()["components"]["schemas"]["ServedModel"]["properties"]
    assert "erased" in properties["stale"]["description"]


def test_a_ledger_that_is_down_is_503_without_its_address(ask: Asked) -> None:
    down = ask.predict({"texts": "x"}, "key-down")
    assert down.status_code == 503 and down.headers["retry-after"]
    assert "sqlite" not in down.text and "secret" not in down.text


def test_foreign_hosts_are_refused_on_loopback(ask: Asked) -> None:
    for host in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "169.254.169.254"):
        for path in ("/healthz", "/v1/models"):
            response = ask("GET", path, host=host, headers=KEY)
            assert response.status_code == 421 and what(response)["allowed"]
    for host in ("localhost", "LOCALHOST:99", "127.0.0.1", "[::1]:8080", "[::1]"):
        assert ask("GET", "/v1/models", host=host, headers=KEY).status_code == 200
    anywhere = Asked(service_of([deployment("one")]), hosts=None)
    assert anywhere("GET", "/v1/models", host="models.example", headers=KEY).status_code == 200


def test_paths_and_methods_that_are_not_there(ask: Asked) -> None:
    missing = ask("POST", "/v1/predictt", headers=KEY, json={})
    assert missing.status_code == 404 and "/v1/predict" in what(missing)["next"]
    wrong = ask("GET", "/v1/predict", headers=KEY)
    assert wrong.status_code == 405 and wrong.headers["allow"] == "POST" and what(wrong)["allowed"] == "POST"


def test_equal_questions_of_one_key_are_answered_from_the_cache_and_of_another_never(
    ask: Asked, models: dict[int, FakeModel]
) -> None:
    for _ in range(3):
        assert ask.predict({"texts": ["a", "b"]}).status_code == 200
    assert models[1].batches == [2]
    ask.predict({"texts": ["a", "c"]})
    assert models[1].batches == [2, 1], "only what is new is computed"
    ask.predict({"texts": ["a"]}, "key-one-admin")
    assert models[1].batches == [2, 1, 1], "another key of the same project finds nothing"
    page = ask("GET", "/metrics", headers=KEY).text
    assert "tunesmith_cache_hits_total 5.0" in page and "tunesmith_cache_misses_total 4.0" in page


def test_attribution_comes_with_its_text(ask: Asked) -> None:
    told = ask.predict({"texts": ["two words", "one"], "attribution": True}).json()["predictions"]
    assert [one["attribution"] for one in told] == [[["two", 1.0], ["words", 1.0]], [["one", 1.0]]]
    assert "attribution" not in ask.predict({"texts": "one"}).json()["predictions"][0]


def test_what_labels_are_given_by_is_told_of_the_model_and_a_rejecting_threshold_in_the_answer() -> None:
    made: dict[int, FakeModel] = {}
    ask = Asked(service_of([deployment("one", made)]))

    def told() -> tuple[Any, Any, dict[str, Any]]:
        [model] = ask("GET", "/v1/models", headers=KEY).json()["models"]
        return model["thresholds"], model["rejection"], ask.predict({"texts": ["a", "b"]}).json()

    thresholds, rejection, answer = told()
    assert (thresholds, rejection) == (None, None)
    assert list(answer) == ["model", "predictions"]
    made[1].thresholds = {"yes": 0.25, "no": 1.5}
    assert told()[0] == {"yes": 0.25, "no": 1.5}
    made[1].rejection = Rejection(score="max_logit", threshold=3.25, label="other", keep=0.95)
    _, rejection, answer = told()
    assert rejection == {"score": "max_logit", "threshold": 3.25, "label": "other"}
    assert answer["rejected_below"] == 3.25
    assert "rejected_below" not in answer["predictions"][0]
    schema = ask("GET", "/openapi.json", headers=KEY).json()["components"]["schemas"]
    assert "rejected_below" in schema["PredictAnswer"]["properties"]
    assert {"thresholds", "rejection"} <= set(schema["ServedModel"]["properties"])


def test_the_schema_tells_what_an_attribution_is() -> None:
    from dataclasses import fields

    from tunesmith.explanation.attribution import Attribution
    from tunesmith.explanation.words import Word
    from tunesmith.server.messages import AttributedWord, OnePrediction, WordsOfText

    assert list(WordsOfText.model_fields) == [one.name for one in fields(Attribution)]
    assert list(AttributedWord.model_fields) == [one.name for one in fields(Word)]
    words = (Word("great😀", 0, 6, 0.5, "whole"), Word("ok", 7, 9, -0.25))
    made = Attribution("ig", "joy", "great😀 ok", words, "logit", 1.0, 0.75, 0.01, 32).to_dict()
    told = OnePrediction.model_validate({"id": None, "attribution": made}).attribution
    assert told is not None and told.words[0].unknown == "whole" and told.words[1].unknown is None
    assert told.model_dump() == {**made, "words": list(made["words"])}
    schema = OnePrediction.model_json_schema()
    assert "does not know" in schema["$defs"]["AttributedWord"]["properties"]["unknown"]["description"]


def test_feedback_takes_one_kind_of_truth(ask: Asked) -> None:
    def tell(body: Any) -> httpx.Response:
        return ask("POST", "/v1/feedback", json=body, headers=KEY)

    for truth in ({"label": "yes"}, {"labels": ["yes", "no"]}, {"labels": []}, {"value": 3}, {"value": {"a": 1.5}}):
        assert tell({"id": "one-3", **truth}).json() == {"id": "one-3", "kept": True}
    assert tell({"id": "two-3", "label": "yes"}).status_code == 404, "another project's prediction is unknown"
    for wrong in ({"id": "one-3"}, {"id": "one-3", "label": "a", "value": 1}, {"label": "a"}, {"id": "", "label": "a"}):
        assert tell(wrong).status_code == 422
    raw = ask("POST", "/v1/feedback", content=b'{"id": "one-3", "value": 1e999}', headers={**KEY, **JSON})
    assert raw.status_code == 422 and what(raw)["what"] == "`value` has another form than asked for"
    assert what(raw)["allowed"] == "a number, an object of numbers or null"


def test_readiness_follows_the_ledger_and_the_end(ask: Asked) -> None:
    service: Service = ask.app.state.service
    assert ask("GET", "/readyz").json() == {"status": "ready"}
    service.deployments._problem = "the ledger is out of reach"
    assert ask("GET", "/readyz").status_code == 503
    assert ask("GET", "/healthz").status_code == 200, "alive all the same"
    service.deployments._problem = None
    assert ask("GET", "/readyz").status_code == 200
    service.is_draining = True
    red = ask("GET", "/readyz")
    assert red.status_code == 503 and red.headers["connection"] == "close"
    assert ask.predict({"texts": "x"}).status_code == 200, "what comes in on an open connection is still answered"


def test_metrics_count_what_happened(ask: Asked) -> None:
    ask.predict({"texts": ["a", "b"]})
    ask.raw(b"{")
    ask("GET", "/nowhere", headers=KEY)
    ask("GET", "/v1/models")
    page = ask("GET", "/metrics", headers=KEY).text
    for line in (
        'tunesmith_requests_total{route="/v1/predict",status="200"} 1.0',
        'tunesmith_requests_total{route="/v1/predict",status="400"} 1.0',
        'tunesmith_requests_total{route="none",status="404"} 1.0',
        'tunesmith_refused_total{reason="not json"} 1.0',
        'tunesmith_refused_total{reason="key"} 1.0',
        "tunesmith_texts_total 2.0",
        "tunesmith_tokens_total 6.0",
        'tunesmith_model_version{model="desk@production"} 1.0',
        'tunesmith_queued_texts{model="desk@production"} 0.0',
        "tunesmith_open_requests 1.0",
    ):
        assert line in page.splitlines(), line
    assert 'tunesmith_request_seconds_bucket{le="+Inf",route="/v1/predict"} 2.0' in page


def test_the_page_of_the_schema_needs_no_script_and_no_network(ask: Asked) -> None:
    schema = ask("GET", "/openapi.json", headers=KEY).json()
    page = ask("GET", "/docs", headers=KEY)
    for path in schema["paths"]:
        assert path in page.text
    assert "<script" not in page.text and "http://" not in page.text and "https://" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    asked = schema["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert asked["required"] == ["texts"] and asked["additionalProperties"] is False
    assert "attribution" in json.dumps(schema) and math.isfinite(len(page.text))


def test_keys_that_counted_are_asked_again_after_a_while() -> None:
    from tunesmith.server.auth import KNOWN_S, Door

    now, keys = [0.0], FakeKeys()
    service = service_of([deployment("one")], keys=keys)
    service.door = Door(keys, lambda: now[0])
    ask = Asked(service)
    for _ in range(3):
        assert ask("GET", "/v1/models", headers=KEY).status_code == 200
    assert keys.num_asked == 1
    keys.projects = ()
    assert ask("GET", "/v1/models", headers=KEY).status_code == 200
    now[0] = KNOWN_S + 0.1
    assert ask("GET", "/v1/models", headers=KEY).status_code == 401


def test_a_number_that_is_none_is_an_error_and_a_label_of_that_name_is_not() -> None:
    class Broken(FakeModel):
        def predict_learned(self, texts: Sequence[str]) -> list[Prediction]:
            value = math.nan if texts == ["broken"] else 0.5
            return [Prediction("NaN", value, None, {"NaN": value, "Infinity": 0.5}) for _ in texts]

    ask = Asked(service_of([deployment("one", {1: Broken("desk")})]))
    good = ask("POST", "/v1/predict", headers=KEY, json={"texts": ["fine"]})
    assert good.status_code == 200 and good.json()["predictions"][0]["label"] == "NaN"
    assert ask("POST", "/v1/predict", headers=KEY, json={"texts": ["broken"]}).status_code == 500


def test_a_direct_route_asks_for_its_rights_and_for_nothing_else() -> None:
    from fastapi import Depends

    from tunesmith.server.routes.direct import DirectRoute

    async def endpoint(request: object) -> None:
        raise AssertionError

    for needed in ([], [Depends(lambda: None)], [needs("predict"), Depends(lambda: None)]):
        with pytest.raises(TypeError, match="more than rights, or on none"):
            DirectRoute("/v1/other", endpoint, dependencies=needed, response_model=None)
