"""What is sent to an API: its address, its secrets and where the values of a page go."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from tunesmith.core.config import Config
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.data.sources import sql_url

if TYPE_CHECKING:
    import httpx

OWN_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "host", "content-length", "connection"})
"""Headers that carry secrets, or that the client makes itself."""
HEADER_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$"


class BearerAuth(Config):
    """A token in the Authorization header."""

    kind: Literal["bearer"] = "bearer"
    """`Authorization: Bearer <token>`."""
    token: str
    """A reference to the environment, `${env:CRM_TOKEN}`; never the token itself."""

    _is_reference = field_validator("token")(lambda value: check_reference(value, "token"))

    def headers(self, source: str) -> tuple[dict[str, str], tuple[str, ...]]:
        """The headers to send and the secrets in them."""
        token = _secret(self.token, source, "auth.token")
        return {"Authorization": f"Bearer {token}"}, (token,)


class HeaderAuth(Config):
    """A token in a header of its own."""

    kind: Literal["header"] = "header"
    """`<name>: <token>`."""
    name: str = Field(default="X-API-Key", pattern=HEADER_NAME)
    """The header that carries the token. Default: X-API-Key."""
    token: str
    """A reference to the environment, `${env:CRM_TOKEN}`; never the token itself."""

    _is_reference = field_validator("token")(lambda value: check_reference(value, "token"))

    def headers(self, source: str) -> tuple[dict[str, str], tuple[str, ...]]:
        """The headers to send and the secrets in them."""
        token = _secret(self.token, source, "auth.token")
        return {self.name: token}, (token,)


class BasicAuth(Config):
    """A user name and a password."""

    kind: Literal["basic"] = "basic"
    """`Authorization: Basic …`."""
    username: str
    """The user's name."""
    password: str
    """A reference to the environment, `${env:CRM_PASSWORD}`; never the password itself."""

    _is_reference = field_validator("password")(lambda value: check_reference(value, "password"))

    def headers(self, source: str) -> tuple[dict[str, str], tuple[str, ...]]:
        """The headers to send and the secrets in them."""
        import base64

        password = _secret(self.password, source, "auth.password")
        packed = base64.b64encode(f"{self.username}:{password}".encode()).decode()
        return {"Authorization": f"Basic {packed}"}, (password, packed)


Auth = BearerAuth | HeaderAuth | BasicAuth


def check_reference(value: str, key: str) -> str:
    """The value, once it is known to be a reference and no secret.

    Raises: RecipeError, which never shows the value.
    """
    if sql_url.REFERENCE.fullmatch(value):
        return value
    raise RecipeError(
        f"`auth.{key}` must be a reference to the environment: recipes are stored, so secrets may not stand in them",
        seen="a text that is no reference",
        allowed="${env:NAME}",
        next=f"export CRM_{key.upper()}=… in the shell, and write `{key}: ${{env:CRM_{key.upper()}}}`",
    )


def _secret(reference: str, source: str, key: str) -> str:
    match = sql_url.REFERENCE.fullmatch(reference)
    assert match is not None, "checked when the recipe was read"
    value = sql_url.variable(match[1], source, key)
    if not value.isascii() or not value.isprintable():
        # What the value is stays unsaid.
        raise DataError(
            f"source `{source}`: the environment variable `{match[1]}` holds characters that a header cannot",
            seen=f"{reference} in `{key}`: a line break, a blank at the edge or a letter beyond ASCII",
            next=f"export {match[1]} again, without a line break at its end",
        )
    return value


def check_url(url: str) -> str:
    """The address as written, once it is known to be one and to hold no secret.

    Raises: RecipeError, which shows no query.
    """
    held, names = sql_url.marked(url)
    if len(names) == 1 and held == sql_url.MARK.format(0):
        return url
    _checked(held, shown=url.split("?", 1)[0].rpartition("@")[2])
    return url


def resolve(url: str, *, source: str) -> tuple[httpx.URL, tuple[str, ...]]:
    """The address to ask, references filled in, and what came from the environment.

    Raises: DataError for a variable that is not set; RecipeError for what is no address then.
    """
    values: list[str] = []

    def fill(match: re.Match[str]) -> str:
        values.append(sql_url.variable(match[1], source))
        return values[-1]

    return _checked(sql_url.REFERENCE.sub(fill, url), shown=url.split("?", 1)[0]), tuple(values)


def _checked(url: str, *, shown: str) -> httpx.URL:
    import httpx

    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host or "\\" in url:
        raise RecipeError(
            "the address of the API cannot be understood",
            seen=shown,
            allowed="https://host/path",
            next="correct `url` of the source",
        )
    if parsed.userinfo:
        raise RecipeError(
            "the address of the API holds a user name or password",
            seen=shown,
            allowed="an address without them",
            next="write `auth: {kind: basic, username: …, password: ${env:NAME}}`",
        )
    if parsed.fragment:
        raise RecipeError("the address of the API ends in a place within a page", seen=shown, next="leave the `#…` out")
    check_no_secret(dict(parsed.params), "url")
    return parsed


def check_no_secret(values: Mapping[str, Any], key: str) -> None:
    """Raise RecipeError where a value is called like a secret; the value is not shown."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            check_no_secret(value, key)
        elif isinstance(value, str) and value and sql_url.SECRET_KEY.search(name):
            raise RecipeError(
                f"`{key}` holds a secret (`{name}`): recipes are stored, so secrets may not stand in them",
                seen=f"{name}=***",
                allowed="a secret in `auth`, as a reference to the environment",
                next="write `auth: {kind: bearer, token: ${env:NAME}}`, or `{kind: header, name: X-API-Key, token: …}`",
            )


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise RecipeError for headers that carry secrets or that the client makes itself."""
    for name, value in headers.items():
        is_bad = not re.fullmatch(HEADER_NAME, name) or not value.isascii() or not value.isprintable()
        if is_bad or name.lower() in OWN_HEADERS or sql_url.SECRET_KEY.search(name):
            raise RecipeError(
                f"the header `{name[:100]}` cannot be given in `headers`",
                seen=f"{name[:100]}: ***",
                allowed="headers without secrets, such as `Accept-Language: en`",
                next="write `auth: {kind: bearer, token: ${env:NAME}}`, or `{kind: header, name: …, token: …}`",
            )


def with_values(body: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A body with values at dotted paths: ``{"variables.after": "x"}`` goes to ``{"variables": {"after": "x"}}``."""
    made: dict[str, Any] = copy.deepcopy(dict(body))
    for path, value in values.items():
        *outer, last = path.split(".")
        here = made
        for key in outer:
            if not isinstance(here.get(key), dict):
                here[key] = {}
            here = here[key]
        here[last] = value
    return made
