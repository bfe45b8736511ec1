"""Database URLs: secrets stay references to the environment until the moment of connecting."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from tunesmith.core.errors import DataError, RecipeError

if TYPE_CHECKING:
    from sqlalchemy import URL

REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
SECRET_KEY = re.compile(r"pass|pwd|secret|token|credential|api_?key", re.IGNORECASE)
"""Names of URL parameters that carry a secret."""
SECRET_IN_VALUE = re.compile(r"(?:pwd|password)\s*=", re.IGNORECASE)
"""ODBC connection strings hide a password inside one parameter."""
MARK = "envreference{}mark"


def check(url: str) -> str:
    """The URL as written, once it is known to hold no literal secret.

    Raises: RecipeError, which never shows the secret.
    """
    held, names = marked(url)
    if held == MARK.format(0):
        return url
    parsed = _parse(held, shown=url.split(":", 1)[0] + ":…")
    marks = {MARK.format(number) for number in range(len(names))}
    shown = _unmarked(parsed.render_as_string(hide_password=True), names)
    if parsed.password and str(parsed.password) not in marks:
        raise _literal_secret("a password", shown)
    for key, values in parsed.normalized_query.items():
        for value in values:
            if value not in marks and (SECRET_KEY.search(key) or SECRET_IN_VALUE.search(value)):
                raise _literal_secret(f"a secret (`{key}`)", shown.split("?", 1)[0] + f"?{key}=***")
    return url


def _literal_secret(what: str, shown: str) -> RecipeError:
    return RecipeError(
        f"the database URL holds {what}: recipes are stored, so secrets may not stand in them",
        seen=shown,
        allowed="a reference to an environment variable in its place: ${env:NAME}",
        next="export DB_PASSWORD=… in the shell, and write ${env:DB_PASSWORD} (or ${env:DB_URL} for the whole URL)",
    )


def resolve(url: str, *, source: str) -> tuple[URL, tuple[str, ...]]:
    """The URL to connect with, and the secret texts in it that must never be printed.

    A reference that is only a part of the URL is put in its place after parsing, so it needs no percent-encoding.
    Raises: DataError naming the environment variable that is not set.
    """
    held, names = marked(url)
    values = [variable(name, source) for name in names]
    if held == MARK.format(0):
        parsed = _parse(values[0], shown=f"${{env:{names[0]}}}")
        return parsed, (values[0], *_secrets(parsed))
    parsed = _parse(held, shown=url)

    def filled(text: str | None) -> str | None:
        for number, value in enumerate(values):
            text = None if text is None else text.replace(MARK.format(number), value)
        return text

    whole = parsed.set(
        username=filled(parsed.username),
        password=filled(str(parsed.password)) if parsed.password else None,
        host=filled(parsed.host),
        database=filled(parsed.database),
        query={key: tuple(filled(one) or "" for one in many) for key, many in parsed.normalized_query.items()},
    )
    return whole, _secrets(whole)


def _secrets(url: URL) -> tuple[str, ...]:
    from urllib.parse import quote, quote_plus

    plain = [str(url.password)] if url.password else []
    plain += [one for key, many in url.normalized_query.items() for one in many if SECRET_KEY.search(key)]
    plain += [one for many in url.normalized_query.values() for one in many if SECRET_IN_VALUE.search(one)]
    return tuple(dict.fromkeys(form for one in plain if one for form in (one, quote(one), quote_plus(one))))


def scrubbed(text: str, secrets: tuple[str, ...]) -> str:
    """A text without the secrets, for messages of drivers that repeat what they were given."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def shown(url: URL) -> str:
    """The URL as it may be printed: no password, no parameters."""
    return url.set(query={}).render_as_string(hide_password=True)


def variable(name: str, source: str, key: str = "url") -> str:
    """The value of an environment variable that a source's ``key`` refers to.

    Raises: DataError naming the variable that is not set.
    """
    value = os.environ.get(name)
    if value:
        return value
    raise DataError(
        f"source `{source}`: the environment variable `{name}` is {'empty' if value == '' else 'not set'}",
        seen=f"${{env:{name}}} in `{key}`",
        next=f"export {name}=… and run the command again",
    )


def marked(url: str) -> tuple[str, list[str]]:
    """A URL with a harmless word in the place of each reference, and the names of the variables."""
    names: list[str] = []

    def mark(match: re.Match[str]) -> str:
        names.append(match[1])
        return MARK.format(len(names) - 1)

    return REFERENCE.sub(mark, url), names


def _unmarked(text: str, names: list[str]) -> str:
    for number, name in enumerate(names):
        text = text.replace(MARK.format(number), f"${{env:{name}}}")
    return text


def _parse(url: str, *, shown: str) -> URL:
    import sqlalchemy

    try:
        return sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        # Not chained: the parser's message repeats the whole URL, with what is secret in it.
        raise RecipeError(
            "the database URL cannot be understood",
            seen=shown,
            allowed="dialect://user:${env:PASSWORD}@host:port/database, or sqlite:///file.db",
            next="correct `url` of the source; a reference may not stand for the port or a part of a name",
        ) from None
