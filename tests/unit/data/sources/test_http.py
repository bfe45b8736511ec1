"""HTTP APIs: every row once, whatever the server does, or a clear error; secrets stay secret."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from tests.http_api import Answering, Api, Asked, FakeClock, Reply, serving
from tests.unit.data.context import FakeContext

from tunesmith.core.errors import DataError, RecipeError, TunesmithError
from tunesmith.data.config import IngestConfig
from tunesmith.data.ingest import Ingest
from tunesmith.data.sources.http import HttpSource
from tunesmith.data.sources.http_config import HttpConfig
from tunesmith.recipe.load import dump, load

RECORDS = [{"id": number, "text": f"Nachricht {number} é", "label": "ab"[number % 2]} for number in range(25)]
TOKEN = "tok-s3cret-value"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def start() -> Iterator[Any]:
    contexts = []

    def started(answer: Answering) -> Api:
        context = serving(answer)
        contexts.append(context)
        return context.__enter__()

    yield started
    for context in contexts:
        context.__exit__(None, None, None)


def source(api: Api, clock: FakeClock | None = None, **more: Any) -> HttpSource:
    config = HttpConfig(name="api", url=f"{api.url}/rows", allow_private=True, **more)
    return HttpSource(config, clock=clock or FakeClock())


def texts(opened: HttpSource) -> list[Any]:
    return [text for batch in opened.read() for text in batch.columns.get("text", [])]


def sliced(asked: Asked, first: int, size: int) -> list[dict[str, Any]]:
    return RECORDS[first : first + size]


def by_link(asked: Asked) -> Reply:
    first = int(asked.params.get("from", "0"))
    follow = f"{asked.path}?from={first + 10}" if first + 10 < len(RECORDS) else None
    return Reply({"data": {"items": sliced(asked, first, 10)}, "links": {"next": follow}})


def by_header(asked: Asked) -> Reply:
    first = int(asked.params.get("from", "0"))
    link = f'</first>; rel="first prev", <{asked.path}?from={first + 10}>; title="a, b"; rel="next"'
    return Reply(sliced(asked, first, 10), headers={"Link": link} if first + 10 < len(RECORDS) else {})


def by_cursor(asked: Asked) -> Reply:
    first = int(asked.params.get("after", "0"))
    return Reply({"items": sliced(asked, first, 7), "next": str(first + 7), "has_more": first + 7 < len(RECORDS)})


def by_page(asked: Asked) -> Reply:
    # The server gives five rows a page, whatever is asked for.
    return Reply(sliced(asked, 5 * (int(asked.params["page"]) - 1), min(5, int(asked.params["per_page"]))))


def by_offset(asked: Asked) -> Reply:
    return Reply({"rows": sliced(asked, int(asked.params["skip"]), min(8, int(asked.params["limit"]))), "total": 25})


def by_body(asked: Asked) -> Reply:
    assert asked.method == "POST" and asked.body["query"] == "rows" and not asked.params
    first = int(asked.body["variables"].get("after") or 0)
    end = first + 9
    page = {"endCursor": str(end), "hasNextPage": end < len(RECORDS)}
    return Reply({"data": {"rows": {"nodes": sliced(asked, first, 9), "pageInfo": page}}})


WAYS: dict[str, tuple[Answering, dict[str, Any], int]] = {
    "next link": (by_link, {"records": "data.items", "paging": {"kind": "next_link", "path": "links.next"}}, 3),
    "link header": (by_header, {"paging": "next_link"}, 3),
    "cursor": (
        by_cursor,
        {"records": "items", "paging": {"kind": "cursor", "path": "next", "param": "after", "more": "has_more"}},
        4,
    ),
    "page": (by_page, {"paging": {"kind": "page", "size_param": "per_page", "size": 50}}, 6),
    "offset": (by_offset, {"records": "rows", "paging": {"kind": "offset", "param": "skip", "size": 50}}, 5),
    "offset, total": (
        by_offset,
        {"records": "rows", "paging": {"kind": "offset", "param": "skip", "size": 50, "total": "total"}},
        4,
    ),
    "graphql": (
        by_body,
        {
            "method": "POST",
            "body": {"query": "rows", "variables": {"state": "closed"}},
            "records": "data.rows.nodes",
            "paging": {
                "kind": "cursor",
                "path": "data.rows.pageInfo.endCursor",
                "param": "variables.after",
                "more": "data.rows.pageInfo.hasNextPage",
            },
        },
        3,
    ),
    "none": (lambda asked: Reply(RECORDS), {}, 1),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_paging_reads_every_row_once(start: Any, way: str) -> None:
    answer, more, num_pages = WAYS[way]
    api = start(answer)
    opened = source(api, **more)
    assert opened.describe().columns == ("id", "text", "label")
    assert texts(opened) == [one["text"] for one in RECORDS]
    # The page that was described is not asked for again.
    assert len(api.asked) == num_pages
    assert texts(opened) == [one["text"] for one in RECORDS]


def test_auth_params_and_headers_are_sent_and_the_secret_is_not_told(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", TOKEN)
    api = start(lambda asked: Reply([{"text": "a"}]))
    reference = "${env:API_TOKEN}"
    for auth, header, sent in (
        ({"kind": "bearer", "token": reference}, "authorization", f"Bearer {TOKEN}"),
        ({"kind": "header", "name": "X-Key", "token": reference}, "x-key", TOKEN),
        (
            {"kind": "basic", "username": "me", "password": reference},
            "authorization",
            "Basic bWU6dG9rLXMzY3JldC12YWx1ZQ==",
        ),
    ):
        opened = source(api, auth=auth, params={"state": "closed", "big": True}, headers={"Accept-Language": "de"})
        assert texts(opened) == ["a"]
        asked = api.asked[-1]
        assert asked.headers[header] == sent and asked.headers["accept-language"] == "de"
        assert asked.params == {"state": "closed", "big": "true"}
        kept = [opened.fingerprint(), opened.config.model_dump_json(), str(opened.describe())]
        assert not any(TOKEN in one or "bWU6" in one for one in kept)


def test_an_error_that_repeats_the_token_does_not_show_it(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", TOKEN)
    api = start(lambda asked: Reply({"error": f"bad token {asked.headers['authorization']}"}, status=401))
    with pytest.raises(DataError, match="refuses the request") as caught:
        source(api, auth={"kind": "bearer", "token": "${env:API_TOKEN}"}).describe()
    assert "401" in str(caught.value) and "***" in str(caught.value) and TOKEN not in str(caught.value)
    assert len(api.asked) == 1
    monkeypatch.delenv("API_TOKEN")
    with pytest.raises(DataError, match="`API_TOKEN` is not set"):
        source(api, auth={"kind": "bearer", "token": "${env:API_TOKEN}"}).describe()


@pytest.mark.parametrize(
    "more",
    [
        {"auth": {"kind": "bearer", "token": TOKEN}},
        {"auth": {"kind": "basic", "username": "me", "password": TOKEN}},
        {"url": f"https://me:{TOKEN}@example.org/rows"},
        {"url": f"https://example.org/rows?api_key={TOKEN}"},
        {"params": {"access_token": TOKEN}},
        {"headers": {"Authorization": f"Bearer {TOKEN}"}},
        {"method": "POST", "body": {"login": {"password": TOKEN}}},
    ],
)
def test_a_literal_secret_is_refused_and_not_shown(more: dict[str, Any]) -> None:
    recipe = {
        "task": "classify",
        "data": {"sources": [{"kind": "http", "url": "https://example.org/rows", "columns": {"text": "t", "label": "l"}}
                             | more]},
    }  # fmt: skip
    with pytest.raises(RecipeError) as caught:
        load(recipe)
    assert TOKEN not in str(caught.value) and "env:" in str(caught.value)


def test_a_recipe_keeps_the_reference() -> None:
    auth = {"kind": "bearer", "token": "${env:API_TOKEN}"}
    one = {"kind": "http", "url": "https://${env:API_HOST}/rows", "auth": auth, "paging": "next_link",
           "columns": {"text": "t", "label": "l"}}  # fmt: skip
    recipe = load({"task": "classify", "data": {"sources": [one]}})
    assert "${env:API_TOKEN}" in dump(recipe) and "${env:API_HOST}" in dump(recipe)
    assert recipe.data.sources[0].name == "http-1"


def test_429_and_503_are_obeyed_in_both_forms(start: Any, clock: FakeClock) -> None:
    now_s = time.time()

    def answer(asked: Asked) -> Reply:
        if asked.number == 1:
            return Reply(status=429, headers={"Retry-After": "7"})
        if asked.number == 2:
            # The server's clock may be wrong: its Retry-After is taken against its own Date.
            return Reply(status=503, headers={"Retry-After": formatdate(now_s + 12, usegmt=True)})
        if asked.number == 3:
            return Reply(status=500)
        return Reply(RECORDS)

    api = start(answer)
    assert len(texts(source(api, clock))) == len(RECORDS)
    assert len(clock.waits) == 3 and 0.5 <= clock.waits[2] <= 2.0
    assert clock.waits[0] == 7.0 and 8.0 <= clock.waits[1] <= 13.0


def test_a_wait_beyond_the_cap_is_an_error_not_a_wait(start: Any, clock: FakeClock) -> None:
    api = start(lambda asked: Reply(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(DataError, match="longer wait than the recipe allows") as caught:
        texts(source(api, clock))
    assert "3600 s" in str(caught.value) and "max_wait_s" in str(caught.value) and clock.waits == []


def test_retries_are_bounded_and_back_off(start: Any, clock: FakeClock) -> None:
    api = start(lambda asked: Reply(status=502))
    with pytest.raises(DataError, match="failed 6 times in a row") as caught:
        texts(source(api, clock))
    assert "502" in str(caught.value) and len(api.asked) == 6
    assert all(0.25 * 2**number <= wait <= 0.5 * 2**number for number, wait in enumerate(clock.waits))


@pytest.mark.parametrize("status", [400, 404, 422])
def test_what_cannot_pass_is_not_tried_again(start: Any, status: int) -> None:
    api = start(lambda asked: Reply({"detail": "unknown field `txt`"}, status=status))
    with pytest.raises(DataError, match="refuses the request") as caught:
        texts(source(api))
    assert len(api.asked) == 1 and "unknown field" in str(caught.value)


@pytest.mark.parametrize("has_length", [True, False])
def test_a_connection_cut_in_the_body_costs_no_row(start: Any, clock: FakeClock, has_length: bool) -> None:
    def answer(asked: Asked) -> Reply:
        whole = by_link(asked)
        return whole if asked.number % 2 == 0 else Reply(whole.document, cut_after=40, has_length=has_length)

    api = start(answer)
    more = WAYS["next link"][1]
    assert texts(source(api, clock, **more)) == [one["text"] for one in RECORDS]
    assert len(api.asked) == 6 and len(clock.waits) == 3


def test_a_server_that_is_not_there(clock: FakeClock) -> None:
    with serving(lambda asked: Reply([])) as api:
        url = api.url
    config = HttpConfig(name="api", url=url, allow_private=True, retries=2)
    with pytest.raises(DataError, match="failed 3 times in a row") as caught:
        texts(HttpSource(config, clock=clock))
    assert "no connection" in str(caught.value)


def test_columns_are_united_over_pages_and_nested_values_are_json(start: Any) -> None:
    pages = [
        [{"text": "a", "label": "x"}, {"text": "b", "label": "y", "tags": ["p", {"q": 1}]}],
        [{"text": "c", "label": "x", "score": 1.5}, [1, 2], "no object"],
        [],
    ]
    api = start(lambda asked: Reply(pages[int(asked.params["page"]) - 1]))
    opened = source(api, paging="page")
    (batch,) = opened.read()
    assert batch.columns == {
        "text": ["a", "b", "c"],
        "label": ["x", "y", "x"],
        "tags": [None, '["p",{"q":1}]', None],
        "score": [None, None, 1.5],
    }
    assert [(one.reason, one.position) for one in batch.refused] == [("not a JSON object", 4), ("not a JSON object", 5)]
    assert opened.describe().columns == ("text", "label", "tags", "score")


def test_a_mapped_column_that_vanishes_is_an_error_with_its_new_name(start: Any) -> None:
    pages = [[{"text": "a", "label": "x"}], [{"text": "b", "label_name": "y"}], []]
    api = start(lambda asked: Reply(pages[int(asked.params["page"]) - 1]))
    mapped = {"text": "text", "label": "label"}
    with pytest.raises(DataError, match="`label` is gone from page 2 on") as caught:
        texts(source(api, paging="page", columns=mapped))
    assert "label_name" in str(caught.value.next)
    # A field that was left out before is only empty.
    pages = [[{"text": "a", "label": "x"}, {"text": "b"}], [{"text": "c"}], []]
    assert texts(source(api, paging="page", columns=mapped)) == ["a", "b", "c"]


def test_a_mapped_column_that_is_not_there_at_all(start: Any, tmp_path: Path) -> None:
    api = start(lambda asked: Reply([{"text": "a", "lable": "x"}]))
    config = HttpConfig(name="api", url=api.url, allow_private=True, columns={"text": "text", "label": "label"})
    with pytest.raises(RecipeError, match="no column `label`") as caught:
        Ingest(IngestConfig(source=config)).run({}, FakeContext(tmp_path))
    assert "lable" in str(caught.value)


def test_loops_are_seen(start: Any) -> None:
    ignores = start(lambda asked: Reply(RECORDS[:5]))
    with pytest.raises(DataError, match="pages repeat") as caught:
        texts(source(ignores, paging="page"))
    assert "same 5 records as page 1" in str(caught.value)
    circle = start(lambda asked: Reply({"rows": [{"text": str(asked.number)}], "next": f"/rows?p={asked.number % 3}"}))
    with pytest.raises(DataError, match="pages repeat"):
        texts(source(circle, records="rows", paging={"kind": "next_link", "path": "next"}))
    stuck = start(lambda asked: Reply({"rows": [{"text": str(asked.number)}], "next": "same"}))
    with pytest.raises(DataError, match="pages repeat"):
        texts(source(stuck, records="rows", paging={"kind": "cursor", "path": "next"}))


def test_bounds_say_so(start: Any) -> None:
    endless = start(lambda asked: Reply([{"text": f"row {asked.params['page']} {number}"} for number in range(3)]))
    with pytest.raises(DataError, match="goes on after 4 pages"):
        texts(source(endless, paging="page", max_pages=4))
    part = source(endless, paging="page", max_rows=7)
    assert len(texts(part)) == 7
    assert any("stopped at `max_rows: 7`" in note for note in part.describe().notes)
    whole = source(start(lambda asked: Reply(RECORDS)), max_rows=25)
    assert len(texts(whole)) == 25 and whole.describe().notes == ()


def test_rows_that_shift_between_pages_are_put_aside_by_key(start: Any) -> None:
    pages = [RECORDS[0:5], RECORDS[4:9], [{"text": "no id", "label": "a"}], []]
    api = start(lambda asked: Reply(pages[int(asked.params["page"]) - 1]))
    (batch,) = source(api, paging="page", key="id").read()
    assert batch.columns["id"] == list(range(9))
    assert [one.reason for one in batch.refused] == ["a `id` that came before", "no `id`"]


ELSEWHERE = ["https://evil.example/rows?from=10", "//evil.example/x", "http://127.0.0.1:1/rows", "ftp://127.0.0.1/x",
             "http://me@127.0.0.1/x", 7]  # fmt: skip


@pytest.mark.parametrize("link", ELSEWHERE)
def test_a_next_link_to_another_host_is_refused(start: Any, link: Any) -> None:
    api = start(lambda asked: Reply({"rows": RECORDS[:3], "next": link}))
    with pytest.raises(DataError, match="not on the same host"):
        texts(source(api, records="rows", paging={"kind": "next_link", "path": "next"}))
    assert len(api.asked) == 1


def test_redirects_stay_on_the_host_and_are_counted(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", TOKEN)
    elsewhere = start(lambda asked: Reply(RECORDS))
    targets = {"/rows": "/v2/rows", "/v2/rows": ""}

    def answer(asked: Asked) -> Reply:
        target = targets.get(asked.path, asked.path)
        return Reply(status=302, headers={"Location": target}) if target else Reply(RECORDS)

    api = start(answer)
    auth = {"kind": "bearer", "token": "${env:API_TOKEN}"}
    assert len(texts(source(api, auth=auth))) == 25
    targets["/rows"] = f"{elsewhere.url}/rows"
    with pytest.raises(DataError, match="another host"):
        texts(source(api, auth=auth))
    assert elsewhere.asked == []
    targets["/rows"] = "/rows"
    with pytest.raises(DataError, match="in circles"):
        texts(source(api))


def test_a_web_page_is_named_as_one(start: Any) -> None:
    api = start(lambda asked: Reply(content=b"<!doctype html><title>Sign in</title>", content_type="text/html"))
    with pytest.raises(DataError, match="a web page, not with JSON") as caught:
        texts(source(api))
    assert "auth" in str(caught.value.next) and len(api.asked) == 1


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'{"rows": [1, 2', "not JSON"),
        (b'[{"text": NaN}]', "not JSON"),
        (b"", "not JSON"),
        (b'[{"text": ' + b"[" * 100 + b"]" * 100 + b"}]", "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"rows": {"a": 1}}', "no list of records"),
        (b'"text"', "no list of records"),
        (b"[]", "no rows"),
        (b"[1, 2]", "no rows"),
    ],
)
def test_other_answers_are_clear_errors(start: Any, content: bytes, what: str) -> None:
    api = start(lambda asked: Reply(content=content))
    with pytest.raises(DataError, match=what):
        source(api).describe()


def test_the_list_is_named_where_it_stands(start: Any) -> None:
    api = start(lambda asked: Reply({"count": 2, "results": RECORDS[:2]}))
    with pytest.raises(DataError, match="no list of records") as caught:
        source(api).describe()
    assert caught.value.next == "write `records: results`"
    with pytest.raises(DataError, match="`data` of page 1 is missing"):
        source(api, records="data").describe()


def test_300_megabytes_are_refused_without_being_read(start: Any) -> None:
    chunk = b" " * 1_000_000
    announced = start(lambda asked: Reply(headers={"Content-Length": "300000000"}, content=b"[", has_length=False))
    chunked = start(lambda asked: Reply(content=chunk, repeat=300))
    bomb = gzip.compress(b"[" + b" " * 100_000_000 + b"]", compresslevel=9)
    packed = start(lambda asked: Reply(content=bomb, headers={"Content-Encoding": "gzip"}))
    for api in (announced, chunked, packed):
        with pytest.raises(DataError, match="too large") as caught:
            source(api, max_page_mb=5).describe()
        assert "max_page_mb" in str(caught.value) and len(api.asked) == 1


def test_gzip_is_unpacked_and_other_packings_are_refused(start: Any) -> None:
    content = gzip.compress(json.dumps(RECORDS).encode())
    assert len(texts(source(start(lambda asked: Reply(content=content, headers={"Content-Encoding": "gzip"}))))) == 25
    for answer in (
        lambda asked: Reply(content=content, headers={"Content-Encoding": "br"}),
        lambda asked: Reply(content=content[:-20], headers={"Content-Encoding": "gzip"}),
        lambda asked: Reply(content=b"[]", headers={"Content-Encoding": "gzip"}),
    ):
        with pytest.raises(DataError, match="packed"):
            texts(source(start(answer)))


def test_half_a_surrogate_is_refused_as_in_json_lines(start: Any) -> None:
    api = start(lambda asked: Reply(content=b'[{"text": "\\ud83d"}, {"text": "\\ud83d\\ude00"}]'))
    (batch,) = source(api).read()
    assert batch.columns["text"] == ["\U0001f600"] and [one.reason for one in batch.refused] == [
        "half a surrogate pair"
    ]


def test_fingerprints_follow_refresh_and_the_server_where_it_tells(start: Any) -> None:
    version = {"ETag": '"1"'}
    api = start(lambda asked: Reply(RECORDS, headers=version))
    first = source(api).fingerprint()
    assert source(api, FakeClock(2_000_000_000.0)).fingerprint() == first
    version["ETag"] = '"2"'
    assert source(api).fingerprint() != first
    assert source(api, refresh="never").fingerprint() == source(api, refresh="never").fingerprint()
    # A page's version says nothing of the pages after it.
    paged: dict[str, Any] = {"paging": "page"}
    day = source(api, FakeClock(1_700_000_000.0), **paged).fingerprint()
    assert source(api, FakeClock(1_700_000_900.0), **paged).fingerprint() == day
    assert source(api, FakeClock(1_700_086_400.0), **paged).fingerprint() != day
    always = [source(api, FakeClock(1_700_000_000.0 + one), refresh="always", **paged).fingerprint() for one in (0, 1)]
    assert always[0] != always[1]


def test_private_addresses_are_refused_unless_allowed(start: Any) -> None:
    api = start(lambda asked: Reply(RECORDS))
    port = api.url.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0.0.0.0"):
        config = HttpConfig(name="api", url=f"http://{host}:{port}/rows", retries=0)
        with pytest.raises(TunesmithError) as caught:
            HttpSource(config, clock=FakeClock()).describe()
        assert "not on the public internet" in str(caught.value) and "allow_private" in str(caught.value), host
    assert api.asked == []


def test_a_name_is_looked_up_once_and_only_that_address_is_reached(start: Any) -> None:
    """A name that answers with a public address first and a private one after (rebinding) gains nothing."""
    api = start(lambda asked: Reply(RECORDS))
    port = int(api.url.rpartition(":")[2])
    answers = [["127.0.0.1"]]
    looked: list[str] = []

    def find(host: str, port: int) -> list[str]:
        looked.append(host)
        return answers[min(len(looked), len(answers)) - 1]

    config = HttpConfig(name="api", url=f"http://rows.example:{port}/rows", allow_private=True)
    assert len(texts(HttpSource(config, clock=FakeClock(), find=find))) == 25
    assert looked == ["rows.example"] and api.asked[0].headers["host"] == f"rows.example:{port}"
    looked.clear()
    answers[:] = [["93.184.216.34", "127.0.0.1"]]
    with pytest.raises(DataError, match="not on the public internet"):
        texts(HttpSource(config.model_copy(update={"allow_private": False}), clock=FakeClock(), find=find))
    assert len(api.asked) == 1
