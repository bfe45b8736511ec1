"""APIs for the contract suite: a real server that hands the same rows out in each way of paging."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from tests.contract.places import Place, Row, json_objects
from tests.http_api import Api, Asked, FakeClock, Reply

from tunesmith.data.sources.http import HttpSource
from tunesmith.data.sources.http_config import HttpConfig

WAYS: dict[str, dict[str, Any]] = {
    "http one answer": {},
    "http next link": {"paging": {"kind": "next_link", "path": "next"}},
    "http cursor": {"paging": {"kind": "cursor", "path": "cursor", "param": "from"}},
    "http page": {"paging": {"kind": "page", "param": "page"}},
    "http offset": {"paging": {"kind": "offset", "param": "from", "total": "total"}},
}


def http(way: str, request: pytest.FixtureRequest) -> Place:
    """A server for one test; a page has four records, or a fifth of many."""
    records: list[Any] = []

    def answer(asked: Asked) -> Reply:
        if way == "http one answer":
            version = hashlib.sha256(json.dumps(records).encode()).hexdigest()
            return Reply({"rows": records}, headers={"ETag": f'"{version}"'})
        size = max(4, -(-len(records) // 5))
        page = int(asked.params.get("page", 1))
        first = int(asked.params.get("from", (page - 1) * size))
        end = first + size
        is_last = end >= len(records)
        link = None if is_last else f"{asked.path}?from={end}"
        return Reply(
            {"rows": records[first:end], "next": link, "cursor": None if is_last else end, "total": len(records)}
        )

    api = Api(answer)
    request.addfinalizer(api.close)

    def write(rows: list[Row]) -> None:
        records[:] = json_objects(rows)

    config = HttpConfig(name="rows", url=f"{api.url}/rows", allow_private=True, records="rows", **WAYS[way])
    return Place(
        write,
        lambda: HttpSource(config, clock=FakeClock()),
        spoil=lambda: records.extend(["alone", [1, 2]]),
        # Of several pages no server tells a version: `refresh` decides when they are read again.
        tells_changes=way == "http one answer",
    )
