"""Rows of an HTTP API that answers with JSON, page by page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tunesmith.core import digests
from tunesmith.core.errors import DataError
from tunesmith.core.source import Batch, Description
from tunesmith.data.sources import http_request, http_schema
from tunesmith.data.sources.batches import BatchBuilder
from tunesmith.data.sources.http_config import HttpConfig
from tunesmith.data.sources.http_paging import MISSING, Ask, Page, at

if TYPE_CHECKING:
    from tunesmith.connectors.addresses import Lookup
    from tunesmith.connectors.http_client import JsonClient
    from tunesmith.connectors.waiting import Clock


class HttpSource:
    """The records of an API."""

    def __init__(self, config: HttpConfig, *, clock: Clock | None = None, find: Lookup | None = None) -> None:
        self.config = config
        self._who = f"source `{config.name}`"
        self._clock, self._find = clock, find
        self._first: Page | None = None
        self._columns: dict[str, None] = {}
        self._notes: list[str] = []

    def describe(self) -> Description:
        """The paging and the fields of the first page, and of more pages where a mapped column is not in it."""
        if not self._columns:
            self._columns = self._head_columns()
        config = self.config
        when = {"always": "at every plan and run", "daily": "once a day (UTC)", "never": "once"}[config.refresh]
        how = "one answer" if config.paging.kind == "none" else f"pages by {config.paging.kind.replace('_', ' ')}"
        return Description(f"http json ({how}, read {when})", tuple(self._columns), tuple(self._notes))

    def fingerprint(self) -> str:
        """What the server says of its version, where one answer is all; else the day, this moment, or nothing.

        Secrets are no part of it.
        """
        config = self.config
        what: list[Any] = [config.url, config.method, config.params, config.body, config.records, config.paging.kind]
        version = self._version() if config.refresh != "never" else None
        if version is not None:
            return digests.of_value([*what, "version", version])
        now = datetime.fromtimestamp(self._now_s(), UTC)
        moment = {"always": now.isoformat(), "daily": now.date().isoformat(), "never": ""}[config.refresh]
        return digests.of_value([*what, "read", moment])

    def read(self, since: str | None = None) -> Iterator[Batch]:
        """Every record once; columns grow as fields appear. ``since`` does not apply to an API."""
        builder = BatchBuilder()
        seen = http_schema.Fields(self._who, self.config)
        columns = seen.columns
        columns.update(dict.fromkeys(self._columns))
        num_records = 0
        for page in self._pages():
            seen.check(page)
            num_records = page.num_after
            for position, record in enumerate(page.records, start=page.num_before + 1):
                if self.config.max_rows is not None and position > self.config.max_rows:
                    break
                cells, reason = seen.cells(record)
                if reason:
                    builder.refuse(reason, json.dumps(record, ensure_ascii=True), position)
                else:
                    columns.update(dict.fromkeys(cells))
                    size = sum(len(cell) for cell in cells.values() if isinstance(cell, str))
                    builder.add([cells.get(name) for name in columns], size)
                if builder.is_full:
                    yield builder.take(list(columns))
        if not num_records:
            raise self._no_rows(0)
        if not builder.is_empty:
            yield builder.take(list(columns))
        late = [name for name in columns if name not in self._columns]
        if late and self._columns:
            self._note(f"fields that first appear on a later page: {', '.join(late)}")
        self._columns = columns

    def _pages(self) -> Iterator[Page]:
        """The pages one after the other, each once.

        Raises: DataError for pages that repeat or do not end.
        """
        paging, limit = self.config.paging, self.config.max_rows
        digests_seen: dict[bytes, int] = {}
        asked: set[str] = set()
        with self._client() as client:
            page: Page | None = self._first or self._fetch(client, self._first_ask(), None)
            self._first = None
            while page is not None:
                self._check_new(page, digests_seen)
                yield page
                ask = paging.after(page)
                if limit is not None and page.num_after >= limit:
                    if page.num_after > limit or ask is not None:
                        self._note(f"stopped at `max_rows: {limit}`: the API has more rows")
                    return
                if ask is not None:
                    self._check_ask(ask, page, asked)
                page = None if ask is None else self._fetch(client, ask, page)

    def _first_ask(self) -> Ask:
        url, _ = http_request.resolve(self.config.url, source=self.config.name)
        return Ask(url.copy_merge_params(_texts(self.config.params)), self.config.paging.first())

    def _fetch(self, client: JsonClient, ask: Ask, before: Page | None) -> Page:
        if self.config.method == "POST":
            answer = client.fetch("POST", ask.url, http_request.with_values(self.config.body, ask.values))
        else:
            answer = client.fetch("GET", ask.url.copy_merge_params(_texts(ask.values)) if ask.values else ask.url)
        number, num_before = (1, 0) if before is None else (before.number + 1, before.num_after)
        records = self._records(answer.document, number)
        return Page(number, ask, answer.url, answer.document, answer.headers, records, num_before, self._who)

    def _records(self, document: Any, number: int) -> list[Any]:
        path = self.config.records
        value = document if path is None or document is None else at(document, path)
        if document is None:
            return []
        if isinstance(value, list):
            return value
        keys = list(document) if isinstance(document, dict) else []
        lists = [key for key in keys if isinstance(document[key], list)]
        where = f"`{path}` of page {number}" if path else f"page {number}"
        raise DataError(
            f"{self._who}: {where} is {'missing' if value is MISSING else 'no list of records'}",
            seen=f"an object with {', '.join(keys[:12])}" if keys else str(document)[:100],
            allowed="a list of objects",
            next=f"write `records: {lists[0]}`" if lists else "correct `records`: the path of the list in the answer",
        )

    def _check_new(self, page: Page, seen: dict[bytes, int]) -> None:
        """Refuse a page whose records came before: the server does not turn the page, or leads in a circle."""
        if not page.records:
            return
        digest = hashlib.sha256(json.dumps(page.records, sort_keys=True).encode()).digest()
        if digest in seen:
            raise self._loop(f"page {page.number} has the same {len(page.records)} records as page {seen[digest]}")
        seen[digest] = page.number

    def _check_ask(self, ask: Ask, page: Page, asked: set[str]) -> None:
        if page.number >= self.config.max_pages:
            raise DataError(
                f"{self._who}: the API goes on after {page.number:,} pages",
                seen=f"{page.num_after:,} records so far",
                allowed=f"`max_pages: {self.config.max_pages}`",
                next="raise `max_pages`, ask for more rows a page, or write `max_rows` to read a part",
            )
        asking = f"{ask.url} {json.dumps(ask.values, sort_keys=True, default=str)}"
        if asking in asked:
            raise self._loop(f"page {page.number} leads to a page that was read before")
        asked.add(asking)

    def _loop(self, seen: str) -> DataError:
        return DataError(
            f"{self._who}: the pages repeat",
            seen=seen,
            allowed="pages that differ and come to an end",
            next="correct `paging` (does the API know the parameter it names?), or tell the API's owner",
        )

    def _head_columns(self) -> dict[str, None]:
        columns: dict[str, None] = {}
        missing = set(self.config.columns.values())
        first: Page | None = None
        for page in self._pages():
            first = first or page
            for record in page.records:
                if isinstance(record, dict):
                    columns.update(dict.fromkeys(record))
                    missing.difference_update(record)
            if columns and not missing:
                break
        if not columns:
            raise self._no_rows(len(first.records) if first else 0)
        self._first = first
        return columns

    def _no_rows(self, num_records: int) -> DataError:
        return DataError(
            f"{self._who}: the API has no rows",
            seen=f"{num_records} records that are no objects" if num_records else "an empty list",
            allowed='a list of objects: [{"text": "…", "label": "…"}]',
            next="look at `params` and `records` of the source",
        )

    def _client(self) -> JsonClient:
        from tunesmith.connectors.addresses import lookup
        from tunesmith.connectors.http_client import JsonClient, Limits

        config = self.config
        _, held = http_request.resolve(config.url, source=config.name)
        headers, secrets = ({}, ()) if config.auth is None else config.auth.headers(config.name)
        return JsonClient(
            self._who,
            headers={**config.headers, **headers},
            secrets=(*secrets, *held),
            limits=Limits(
                timeout_s=config.timeout_s,
                answer_bytes=config.max_page_mb * 1_000_000,
                num_retries=config.retries,
                wait_s=config.max_wait_s,
            ),
            is_private_allowed=config.allow_private,
            clock=self._clock,
            find=self._find or lookup,
        )

    def _version(self) -> str | None:
        """What tells a version of the only answer from another; None where the server does not say."""
        if self.config.paging.kind != "none" or self.config.method != "GET":
            return None
        with self._client() as client:
            headers = client.headers_of(self._first_ask().url)
        return headers.get("etag") or headers.get("last-modified")

    def _now_s(self) -> float:
        from tunesmith.connectors.waiting import SystemClock

        return (self._clock or SystemClock()).time()

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as they stand in a query."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
