"""What a recipe says of an HTTP API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tunesmith.core.errors import RecipeError
from tunesmith.data.sources import http_request
from tunesmith.data.sources.config import SourceConfig
from tunesmith.data.sources.http_paging import NoPaging, Paging
from tunesmith.data.sources.http_request import Auth

Scalar = str | int | float | bool


def _spelled(value: Any) -> Any:
    """`next_link` is short for `{kind: next_link}`."""
    return {"kind": value} if isinstance(value, str) else value


class HttpConfig(SourceConfig):
    """An HTTP API that answers with JSON. Where it stands on this machine or in a private network, `allow_private`
    must say so."""

    kind: Literal["http"] = "http"
    """Which kind of source this is."""
    url: str
    """The address of the first page, `https://host/path`; `${env:NAME}` may stand for a part or all of it. No user
    name, password or token in it: those are `auth`."""
    method: Literal["GET", "POST"] = "GET"
    """How it is asked; a POST sends `body` as JSON, and the values of `paging` in it. Default: GET."""
    params: dict[str, Scalar] = Field(default_factory=dict)
    """What stands in the query, such as `{state: closed}`. No secrets."""
    headers: dict[str, str] = Field(default_factory=dict)
    """More headers, such as `{Accept-Language: en}`. No secrets."""
    body: dict[str, Any] = Field(default_factory=dict)
    """What a POST sends, as a table. No secrets."""
    auth: Annotated[Auth, Field(discriminator="kind")] | None = None
    """Who asks: `{kind: bearer, token: "${env:NAME}"}`, `{kind: header, name: X-API-Key, token: …}` or `{kind: basic,
    username: …, password: …}`; null: nobody in particular."""
    records: str | None = None
    """Where in the answer the list of records stands, such as `data.items`; null: the answer is the list."""
    paging: Annotated[Paging, Field(discriminator="kind"), BeforeValidator(_spelled)] = NoPaging()
    """How the next page is found: `next_link`, `cursor`, `page`, `offset` or `none` (the default: one answer holds
    every row)."""
    key: str | None = None
    """The field that tells records apart. One that comes again in the same pull, as happens with `page` and `offset`
    while rows are added, is put aside and counted; null: every record counts."""
    refresh: Literal["always", "daily", "never"] = "daily"
    """When rows that were read before are read again: at every plan and run, on a new day (UTC), or never. An API does
    not say whether its rows changed; only one that answers in a single page and sends an ETag or Last-Modified to a
    HEAD is asked that instead (`never` asks nothing). Default: daily, so that a run takes over what its plan read."""
    max_pages: int = Field(default=10_000, ge=1, le=1_000_000)
    """Pages after which the pull is given up as endless, 1 to 1,000,000. Default: 10,000."""
    max_rows: int | None = Field(default=None, ge=1)
    """Read no more rows than these; plan and report say so where there were more. Null: all."""
    max_page_mb: int = Field(default=32, ge=1, le=1_000)
    """The largest answer in megabytes, unpacked, 1 to 1,000; parsed it takes several times that in memory.
    Default: 32."""
    timeout_s: float = Field(default=30.0, gt=0, le=600)
    """Seconds of silence that are taken for a lost connection, up to 600. Default: 30."""
    retries: int = Field(default=5, ge=0, le=20)
    """Further tries of a request that was cut off or answered with 408, 425, 429 or 5xx, 0 to 20. Default: 5."""
    max_wait_s: float = Field(default=60.0, ge=0, le=3_600)
    """The longest wait in seconds that the server may ask for by Retry-After, up to 3,600; it is obeyed up to there,
    and an error beyond. Default: 60."""
    allow_private: bool = False
    """Whether the host may stand on this machine or in a private network. Default: false, so that a recipe from
    elsewhere cannot read what only you can see."""

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        return http_request.check_url(url)

    @model_validator(mode="after")
    def _holds_no_secret(self) -> HttpConfig:
        http_request.check_headers(self.headers)
        http_request.check_no_secret(self.params, "params")
        http_request.check_no_secret(self.body, "body")
        if self.body and self.method == "GET":
            raise RecipeError(
                f"source `{self.name}` has a `body`, and a GET sends none",
                seen="method: GET",
                next="write `method: POST`, or give `params` instead",
            )
        return self
