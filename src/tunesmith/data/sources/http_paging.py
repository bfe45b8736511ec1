"""How an API hands out its rows page by page: each way is a type that knows what to ask next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tunesmith.core.config import Config
from tunesmith.core.errors import DataError

if TYPE_CHECKING:
    import httpx

_LINK = re.compile(r"<([^<>]*)>((?:\s*;\s*[^\s=;,\"]+\s*(?:=\s*(?:\"[^\"]*\"|[^\s;,\"]*))?)*)")
_RELATION = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]*))", re.IGNORECASE)
MISSING = object()


@dataclass(frozen=True)
class Ask:
    """What to ask for: an address, and the values that pick the page."""

    url: httpx.URL
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """One answer of an API."""

    number: int
    ask: Ask
    url: httpx.URL
    document: Any
    headers: Mapping[str, str]
    records: list[Any]
    num_before: int
    """Records of the pages before."""
    who: str

    @property
    def num_after(self) -> int:
        """Records up to the end of this page."""
        return self.num_before + len(self.records)


def at(document: Any, path: str) -> Any:
    """The value at a dotted path (``data.items``), ``MISSING`` where there is none."""
    for key in path.split("."):
        if not isinstance(document, dict) or key not in document:
            return MISSING
        document = document[key]
    return document


class NoPaging(Config):
    """One answer holds every row."""

    kind: Literal["none"] = "none"
    """One answer holds every row."""

    def first(self) -> Mapping[str, Any]:
        """The values of the first page."""
        return {}

    def after(self, page: Page) -> Ask | None:
        """Nothing more to ask."""
        return None


class NextLinkPaging(Config):
    """Each answer names the address of the next one."""

    kind: Literal["next_link"] = "next_link"
    """Each answer names the address of the next one, on the same host."""
    path: str | None = None
    """Where in the answer the address stands, such as `links.next`; null: in the `Link` header with `rel="next"`
    (RFC 8288). The last page has none."""

    def first(self) -> Mapping[str, Any]:
        """The values of the first page."""
        return {}

    def after(self, page: Page) -> Ask | None:
        """What the answer's link leads to.

        Raises: DataError for a link to another host.
        """
        from tunesmith.connectors.http_client import follow, shown

        link = next_link(page.headers.get("link", "")) if self.path is None else at(page.document, self.path)
        if link is MISSING or link in (None, "", False):
            return None
        target = follow(page.url, link) if isinstance(link, str) else None
        if target is None:
            raise DataError(
                f"{page.who}: page {page.number} names a next page that is not on the same host",
                seen=_shortened(link),
                allowed=f"an address on {shown(page.url)}: the token and the trust are meant for that host",
                next="correct `paging.path`, or ask the API's owner why it leads elsewhere",
            )
        return Ask(target)


class CursorPaging(Config):
    """Each answer holds a mark that fetches the next one."""

    kind: Literal["cursor"] = "cursor"
    """Each answer holds a mark that fetches the next one."""
    path: str
    """Where in the answer the mark stands, such as `meta.next_cursor`; missing, null or empty on the last page."""
    param: str = "cursor"
    """The parameter that takes the mark; of a POST a path in the body, such as `variables.after`."""
    more: str | None = None
    """Where in the answer it says `true` while there are more pages; null: the mark itself is missing at the end."""

    def first(self) -> Mapping[str, Any]:
        """The values of the first page."""
        return {}

    def after(self, page: Page) -> Ask | None:
        """The page that the answer's mark fetches.

        Raises: DataError where the answer says that there is more and names no mark.
        """
        mark = at(page.document, self.path)
        is_end = mark is MISSING or mark in (None, "")
        if self.more is not None:
            if at(page.document, self.more) in (MISSING, None, False):
                return None
            if is_end:
                raise DataError(
                    f"{page.who}: page {page.number} says that there is more, but holds no mark for the next page",
                    seen=f"`{self.more}` is true, `{self.path}` is missing or empty",
                    next="correct `paging.path`",
                )
        return None if is_end else Ask(page.ask.url, {self.param: mark})


class PagePaging(Config):
    """Pages are numbered."""

    kind: Literal["page"] = "page"
    """Pages are numbered; the one after the last is empty."""
    param: str = "page"
    """The parameter that takes the number."""
    first_page: int = Field(default=1, ge=0, le=1)
    """The number of the first page, 0 or 1. Default: 1."""
    size_param: str | None = None
    """The parameter that takes `size`; null: the server's own page size."""
    size: int = Field(default=100, ge=1, le=100_000)
    """Rows to ask for in each page, 1 to 100,000, where `size_param` is given. Fewer may come. Default: 100."""
    num_pages: str | None = None
    """Where in the answer the number of pages stands; null: pages are read until one is empty."""

    def first(self) -> Mapping[str, Any]:
        """The values of the first page."""
        return self._values(self.first_page)

    def after(self, page: Page) -> Ask | None:
        """The page with the next number; a page that is not full is no end, for servers cap what is asked for."""
        if not page.records:
            return None
        if self.num_pages is not None and page.number >= _count(page, self.num_pages, "paging.num_pages"):
            return None
        return Ask(page.ask.url, self._values(self.first_page + page.number))

    def _values(self, number: int) -> Mapping[str, Any]:
        return {self.param: number} | ({self.size_param: self.size} if self.size_param else {})


class OffsetPaging(Config):
    """Pages begin after a number of rows."""

    kind: Literal["offset"] = "offset"
    """Pages begin after a number of rows; the one after the last row is empty."""
    param: str = "offset"
    """The parameter that takes the number of rows to pass over."""
    size_param: str = "limit"
    """The parameter that takes `size`."""
    size: int = Field(default=100, ge=1, le=100_000)
    """Rows to ask for in each page, 1 to 100,000; fewer may come, and the next page begins after those that came.
    Default: 100."""
    total: str | None = None
    """Where in the answer the number of all rows stands; null: pages are read until one is empty."""

    def first(self) -> Mapping[str, Any]:
        """The values of the first page."""
        return {self.param: 0, self.size_param: self.size}

    def after(self, page: Page) -> Ask | None:
        """The page after the rows that came."""
        if not page.records:
            return None
        if self.total is not None and page.num_after >= _count(page, self.total, "paging.total"):
            return None
        return Ask(page.ask.url, {self.param: page.num_after, self.size_param: self.size})


Paging = NoPaging | NextLinkPaging | CursorPaging | PagePaging | OffsetPaging


def next_link(header: str) -> str | None:
    """The address with the relation ``next`` in a Link header. Source: RFC 8288, section 3."""
    for target, parameters in _LINK.findall(header):
        relation = _RELATION.search(parameters)
        if relation and "next" in (relation[1] or relation[2]).lower().split():
            return str(target)
    return None


def _count(page: Page, path: str, key: str) -> int:
    value = at(page.document, path)
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise DataError(
        f"{page.who}: page {page.number} holds no number at `{path}`",
        seen="nothing" if value is MISSING else _shortened(value),
        next=f"correct `{key}`, or leave it out: pages are then read until one is empty",
    )


def _shortened(value: object) -> str:
    # Without its query: a link can carry a token.
    return str(value).split("?", 1)[0][:200]
