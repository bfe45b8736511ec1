"""``tunesmith users``: who may do what in a project, and their keys."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import typer
from rich.text import Text

from tunesmith.cli.screen import Screen
from tunesmith.cli.tables import table
from tunesmith.cli.verb import verb
from tunesmith.core.errors import RecipeError

What = Annotated[
    Literal["list", "add", "disable", "key", "revoke"],
    typer.Argument(
        help="list: every user; add: a new one; disable: take a user's rights and keys; key: a new key of a user, "
        "shown once; revoke: let a key count no more."
    ),
]
Subject = Annotated[
    str | None,
    typer.Argument(
        help="add, disable, key: the user's name; revoke: the key's id.", metavar="NAME|KEYID", show_default=False
    ),
]
RoleOption = Annotated[
    Literal["viewer", "engineer", "approver", "admin"] | None,
    typer.Option("--role", help="add: what the user may do.", show_default=False),
]
Expires = Annotated[
    str | None,
    typer.Option("--expires", help="key: after how long it counts no more, such as 30d or 12h.", show_default=False),
]
UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
LONGEST = timedelta(days=3650)
USERS = ("role", "state", "keys")


@verb
def users(
    screen: Screen, what: What = "list", subject: Subject = None, role: RoleOption = None, expires: Expires = None
) -> None:
    """List, add or disable users, make a key, or revoke one."""
    _check(what, subject, role, expires)
    if what == "list":
        _list(screen)
    elif what == "add":
        _add(screen, str(subject), role)
    elif what == "disable":
        _disable(screen, str(subject))
    elif what == "key":
        _key(screen, str(subject), expires)
    else:
        _revoke(screen, str(subject))


def lifetime(words: str) -> timedelta:
    """How long ``30d``, ``12h`` or ``45m`` is."""
    found = re.fullmatch(r"(\d{1,6})([dhm])", words.strip())
    length = int(found[1]) * UNITS[found[2]] if found else timedelta(0)
    if not timedelta(0) < length <= LONGEST:
        raise RecipeError("this is no lifetime of a key", seen=words, allowed="30d, 12h, 45m …, at most 3650d")
    return length


def _check(what: str, subject: str | None, role: str | None, expires: str | None) -> None:
    if what == "list" and subject is not None:
        raise RecipeError("`users list` takes no name", seen=subject, next="tunesmith users list")
    if what != "list" and subject is None:
        example = "3f9a1c22d0e4" if what == "revoke" else "ana --role engineer" if what == "add" else "ana"
        raise RecipeError(f"`users {what}` needs to know whom", next=f"tunesmith users {what} {example}")
    if role is not None and what != "add":
        raise RecipeError("a role goes with `users add`", seen=f"users {what} --role {role}")
    if expires is not None and what != "key":
        raise RecipeError("a lifetime goes with `users key`", seen=f"users {what} --expires {expires}")


def _list(screen: Screen) -> None:
    from tunesmith import api

    found = api.users(**screen.where)
    shown = table("user", *USERS, words=USERS)
    now = datetime.now(UTC)
    for one in found:
        keys = [key.id for key in one.keys if key.revoked is None and (key.expires is None or key.expires > now)]
        shown.add_row(one.name, one.role, "disabled" if one.disabled else "active", ", ".join(keys) or "–")
    nothing = Text(f"no users yet; {screen.command('users', 'add', 'NAME', '--role', 'engineer')} adds one")
    screen.result([one.to_dict() for one in found], shown if found else nothing)


def _add(screen: Screen, name: str, role: Literal["viewer", "engineer", "approver", "admin"] | None) -> None:
    from tunesmith import api

    if role is None:
        raise RecipeError(
            "a user needs a role",
            allowed="viewer, engineer, approver, admin",
            next=f"tunesmith users add {name} --role engineer",
        )
    user = api.add_user(name, role, **screen.where)
    next_one = Text.assemble("next     ", (screen.command("users", "key", name), "bold"))
    screen.result(user.to_dict(), Text(f"{user.name} is {user.role}"), next_one)


def _disable(screen: Screen, name: str) -> None:
    from tunesmith import api

    user = api.disable_user(name, **screen.where)
    screen.result(user.to_dict(), Text(f"{user.name} is disabled, and no key of it counts"))


def _key(screen: Screen, name: str, expires: str | None) -> None:
    from tunesmith import api

    until = None if expires is None else datetime.now(UTC) + lifetime(expires)
    made = api.make_key(name, until, **screen.where)
    ends = "never expires" if made.expires is None else f"expires {made.expires:%Y-%m-%d %H:%M} UTC"
    screen.result(
        made.to_dict(),
        Text.assemble("key      ", (made.key, "bold")),
        Text(f"{ends}; it is shown this once: keep it where secrets are kept, and give it in TUNESMITH_KEY", "dim"),
    )


def _revoke(screen: Screen, key_id: str) -> None:
    from tunesmith import api

    key = api.revoke_key(key_id, **screen.where)
    screen.result(key.to_dict(), Text(f"the key {key.id} of {key.user} counts no more"))
