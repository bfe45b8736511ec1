"""A bounded client of JSON APIs: it waits as told, tries again what may pass, and reaches no other host."""

from __future__ import annotations

import random
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from tunesmith.connectors import addresses, waiting
from tunesmith.connectors.json_body import BadBody, decoded, parsed
from tunesmith.core.errors import DataError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PORTS = {"http": 80, "https": 443}
PASSING = frozenset({408, 425, 429})
"""Answers that may be another one in a while, beside every 5xx."""
SHOWN_CHARS = 200


@dataclass(frozen=True)
class Limits:
    """What a server may cost: sizes in bytes, times in seconds."""

    timeout_s: float = 30.0
    """Silence that is taken for a lost connection."""
    answer_s: float = 300.0
    """The longest that one answer may take to arrive."""
    answer_bytes: int = 32_000_000
    depth: int = 64
    num_redirects: int = 5
    num_retries: int = 5
    wait_s: float = 60.0
    """The longest wait that a server may ask for."""


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    url: httpx.URL
    document: Any
    """The JSON value; None where the answer is empty by its status (204)."""
    headers: Mapping[str, str]


class _Again(Exception):
    """A failure that may pass."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.wait_s = reason, wait_s


class JsonClient:
    """Asks one host for JSON. Errors begin with ``who`` and hold neither secrets nor queries."""

    def __init__(
        self,
        who: str,
        *,
        headers: Mapping[str, str],
        secrets: tuple[str, ...] = (),
        limits: Limits | None = None,
        is_private_allowed: bool = False,
        clock: waiting.Clock | None = None,
        find: addresses.Lookup = addresses.lookup,
    ) -> None:
        self.who, self.limits, self._secrets = who, limits or Limits(), secrets
        self._clock = clock or waiting.SystemClock()
        self._jitter = random.Random(0)
        self.num_retries, self.waited_s = 0, 0.0
        self._client = httpx.Client(
            transport=PinnedTransport(who, is_private_allowed, find),
            headers={"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "tunesmith", **headers},
            timeout=self.limits.timeout_s,
            follow_redirects=False,
            # No proxy from the environment, which would look names up by itself, and no secrets from a .netrc.
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def fetch(self, method: str, url: httpx.URL, body: Any = None) -> Answer:
        """The answer to a request, after as many tries as it takes within the limits.

        Raises: DataError with the cause, the server's own words and the way out.
        """
        for attempt in range(self.limits.num_retries + 1):
            try:
                return self._once(method, url, body)
            except _Again as again:
                if attempt == self.limits.num_retries:
                    raise self.error(
                        f"the server failed {attempt + 1} times in a row",
                        url,
                        again.reason,
                        next="see that the server is well, and run the command again: what was done is kept",
                    ) from None
                self._wait(again, attempt, url)
        raise AssertionError("the last attempt returns or raises")

    def headers_of(self, url: httpx.URL) -> Mapping[str, str]:
        """The headers of a HEAD request; none where the server does not answer one."""
        try:
            response = self._client.request("HEAD", url)
        except (httpx.HTTPError, OSError):
            return {}
        return response.headers if response.status_code == 200 else {}

    def error(self, what: str, url: httpx.URL, seen: str, *, allowed: str | None = None, next: str) -> DataError:
        """An error about a request, without secrets."""
        return DataError(f"{self.who}: {what}", seen=self._clean(f"{shown(url)}: {seen}"), allowed=allowed, next=next)

    def _once(self, method: str, url: httpx.URL, body: Any) -> Answer:
        here = url
        for _ in range(self.limits.num_redirects + 1):
            with self._sent(method, here, body) as response:
                if response.is_redirect:
                    here = self._redirected(method, here, response)
                    continue
                self._check_status(here, response)
                if response.status_code == 204:
                    return Answer(here, None, response.headers)
                return self._read(here, response)
        raise self.error(
            "the server sends the request in circles",
            url,
            f"more than {self.limits.num_redirects} redirects",
            next="correct `url` of the source",
        )

    @contextmanager
    def _sent(self, method: str, url: httpx.URL, body: Any) -> Iterator[httpx.Response]:
        """The response, its body not read yet; a lost connection is a failure that may pass."""
        try:
            with self._client.stream(method, url, json=body) as response:
                yield response
        except httpx.ConnectError as error:
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, ssl.SSLCertVerificationError):
                    raise self.error(
                        "the server's certificate is not trusted",
                        url,
                        cause.verify_message,
                        next="correct the host, or name your own authority's file in SSL_CERT_FILE",
                    ) from None
                cause = cause.__cause__ or cause.__context__
            raise _Again(f"no connection ({error})") from None
        except httpx.TimeoutException:
            raise _Again(f"no answer within {self.limits.timeout_s:g} s") from None
        except httpx.TransportError as error:
            raise _Again(f"the connection was cut ({error})") from None

    def _redirected(self, method: str, url: httpx.URL, response: httpx.Response) -> httpx.URL:
        target = follow(url, response.headers["location"])
        if target is None:
            raise self.error(
                "the server sends the request to another host",
                url,
                f"{response.status_code} to {shown(url.join(response.headers['location']))}",
                allowed="the host in `url`, for the token is meant for that one",
                next="if that is right, write its address as `url` of the source",
            )
        if method != "GET" and response.status_code not in (307, 308):
            raise self.error(
                f"the server redirects a {method} so that its body would be lost",
                url,
                f"{response.status_code} to {shown(target)}",
                next="write the address it is sent to as `url` of the source",
            )
        return target

    def _check_status(self, url: httpx.URL, response: httpx.Response) -> None:
        status = response.status_code
        if response.is_success:
            return
        words = f"{status} {response.reason_phrase}".strip()
        if status in PASSING or status >= 500:
            raise _Again(words, self._asked_wait_s(url, words, response))
        head = self._clean(self._head(response))
        way_out = {
            401: "correct the secret that `auth` names, or add `auth`",
            403: "give the token of `auth` the right to read this",
            404: "correct `url` of the source",
            405: "correct `method` of the source",
        }.get(status, "correct `url`, `params` or `paging` of the source")
        raise self.error("the server refuses the request", url, f"{words}: {head}" if head else words, next=way_out)

    def _asked_wait_s(self, url: httpx.URL, words: str, response: httpx.Response) -> float | None:
        value = response.headers.get("retry-after")
        if value is None:
            return None
        wait_s = waiting.retry_after_s(value, response.headers.get("date"), self._clock.time())
        if wait_s is not None and wait_s > self.limits.wait_s:
            raise self.error(
                "the server asks for a longer wait than the recipe allows",
                url,
                f"{words}, Retry-After: {wait_s:.0f} s",
                allowed=f"at most {self.limits.wait_s:g} s",
                next="run the command again later, or raise `max_wait_s` of the source",
            )
        return wait_s

    def _wait(self, again: _Again, attempt: int, url: httpx.URL) -> None:
        wait_s = waiting.backoff_s(attempt, self._jitter) if again.wait_s is None else again.wait_s
        self.num_retries += 1
        self.waited_s += wait_s
        self._clock.sleep(wait_s)

    def _head(self, response: httpx.Response) -> str:
        """The beginning of an answer that is not wanted, on one line."""
        content = b""
        try:
            for chunk in decoded(response.iter_raw(4_096), response.headers.get("content-encoding"), 4_096):
                content += chunk
                break
        except BadBody:
            pass
        return " ".join(content.decode(errors="replace").split())[:SHOWN_CHARS]

    def _read(self, url: httpx.URL, response: httpx.Response) -> Answer:
        limit, headers = self.limits.answer_bytes, response.headers
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise self._too_large(url, f"{int(announced):,} bytes announced")
        content = bytearray()
        deadline_s = self._clock.monotonic() + self.limits.answer_s
        try:
            for chunk in decoded(response.iter_raw(65_536), headers.get("content-encoding"), limit):
                content += chunk
                if len(content) > limit:
                    raise self._too_large(url, f"more than {limit:,} bytes")
                if self._clock.monotonic() > deadline_s:
                    raise _Again(f"the answer took longer than {self.limits.answer_s:g} s")
            document = parsed(bytes(content), headers.get("content-type", ""), self.limits.depth)
        except BadBody as bad:
            # Without a length a cut connection looks like a whole, broken answer.
            if bad.may_be_cut and not announced and "transfer-encoding" not in headers:
                raise _Again(bad.what) from None
            raise self.error(bad.what, url, bad.seen, allowed="JSON", next=bad.way_out) from None
        return Answer(url, document, headers)

    def _too_large(self, url: httpx.URL, seen: str) -> DataError:
        return self.error(
            "the answer is too large",
            url,
            seen,
            allowed=f"at most {self.limits.answer_bytes:,} bytes a page",
            next="ask for fewer rows a page (`paging: {size: …}`), or raise `max_page_mb` of the source",
        )

    def _clean(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***") if secret else text
        return text


@dataclass
class PinnedTransport(httpx.BaseTransport):
    """Looks a host up once, checks what it finds, and connects to just that."""

    who: str
    is_private_allowed: bool
    find: addresses.Lookup
    inner: httpx.BaseTransport = field(
        default_factory=lambda: httpx.HTTPTransport(limits=httpx.Limits(max_connections=1))
    )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to a checked address of its host; the name stays in the Host header and the certificate."""
        host = request.url.raw_host.decode("ascii")
        try:
            found = addresses.checked(
                host,
                request.url.port or PORTS[request.url.scheme],
                is_private_allowed=self.is_private_allowed,
                who=self.who,
                find=self.find,
            )
        except OSError as error:
            raise httpx.ConnectError(f"the host `{host}` is not known: {error.strerror or error}") from None
        failure: httpx.TransportError = httpx.ConnectError(f"the host `{host}` has no address")
        for address in found:
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return self.inner.handle_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure

    def close(self) -> None:
        """Close the connections."""
        self.inner.close()


def shown(url: httpx.URL) -> str:
    """A URL as it may be printed: without its query, which can hold secrets and names."""
    port = f":{url.port}" if url.port is not None else ""
    return f"{url.scheme}://{url.host}{port}{url.path}"


def follow(url: httpx.URL, target: str) -> httpx.URL | None:
    """Where a link or redirect leads, if it stays on the host; None where it leaves it.

    A link from https to http on the customary ports is taken as https: servers behind a proxy do not know better.
    """
    try:
        there = url.join(target).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError):
        return None
    if there.userinfo:
        return None
    if url.scheme == "https" and there.scheme == "http" and url.port is None and there.port is None:
        there = there.copy_with(scheme="https")
    is_upgrade = url.scheme == "http" and there.scheme == "https" and url.port is None and there.port is None
    is_same = (url.scheme, _port(url)) == (there.scheme, _port(there)) or is_upgrade
    return there if is_same and url.raw_host.lower() == there.raw_host.lower() else None


def _port(url: httpx.URL) -> int:
    return url.port or PORTS.get(url.scheme, 0)
