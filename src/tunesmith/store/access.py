"""Users and their keys. A key is ``tsk_<id>_<secret>``; its SHA-256 alone is kept, and the secret is shown once."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Table, insert, select, update

from tunesmith.core.actor import ROLES, Actor, Role
from tunesmith.core.errors import StoreError, Unauthenticated
from tunesmith.store import audit, registry
from tunesmith.store.database import reading, writing
from tunesmith.store.paths import slug
from tunesmith.store.tables import API_KEYS, USERS

PREFIX = "tsk"
SECRET_BYTES = 32
"""Random, so that a fast hash hides it: nobody tries 2²⁵⁶ secrets."""
_KEY = re.compile(rf"{PREFIX}_(?P<id>[0-9a-f]{{12}})_[A-Za-z0-9_-]+")
_NOBODY = hashlib.sha256(b"nobody").hexdigest()


@dataclass(frozen=True)
class Key:
    """What is known of a key: never the key."""

    id: str
    user: str
    created: datetime
    expires: datetime | None
    revoked: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """The key's record as JSON values."""
        return {name: _iso(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class User:
    """A user with the keys that were made for it, the oldest first."""

    name: str
    role: Role
    created: datetime
    disabled: datetime | None
    keys: tuple[Key, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The user as JSON values."""
        kept = {name: _iso(value) for name, value in vars(self).items() if name != "keys"}
        return kept | {"keys": [key.to_dict() for key in self.keys]}


@dataclass(frozen=True)
class NewKey:
    """A key as it is shown, once."""

    id: str
    user: str
    key: str
    expires: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """The key with its secret, as JSON values."""
        return {name: _iso(value) for name, value in asdict(self).items()}


def users(engine: Engine, project: str) -> list[User]:
    """Every user with its keys, by name."""
    with reading(engine) as connection:
        return _users(connection, project)


def add_user(engine: Engine, project: str, by: Actor, name: str, role: Role) -> User:
    """A new user; one that was disabled comes back, with the role now given and no key that was made before.

    Raises: StoreError where there is one of that name.
    """
    slug(name, "user name")
    if role not in ROLES:
        raise StoreError("there is no such role", seen=role, allowed=", ".join(ROLES))
    with writing(engine) as connection:
        audit.lock(connection, project)
        known = _user(connection, project, name)
        if known is not None and known.disabled is None:
            raise StoreError(f"there is a user `{name}` already", seen=f"role {known.role}", next="disable it first")
        if known is None:
            connection.execute(insert(USERS).values(project_id=project, name=name, role=role, created=_now()))
        else:
            connection.execute(update(USERS).where(_is(USERS, project, name=name)).values(role=role, disabled=None))
        audit.append(connection, project, by, "user.add", name, {"role": role, "is_back": known is not None})
        return _known(connection, project, name)


def disable_user(engine: Engine, project: str, by: Actor, name: str) -> User:
    """Take a user's rights: its keys are revoked with it."""
    with writing(engine) as connection:
        audit.lock(connection, project)
        user = _known(connection, project, name)
        if user.disabled is None:
            connection.execute(update(USERS).where(_is(USERS, project, name=name)).values(disabled=_now()))
            open_keys = _is(API_KEYS, project, user_name=name) & API_KEYS.c.revoked.is_(None)
            connection.execute(update(API_KEYS).where(open_keys).values(revoked=_now()))
            lost = [key.id for key in user.keys if key.revoked is None]
            audit.append(connection, project, by, "user.disable", name, {"role": user.role, "keys": lost})
        return _known(connection, project, name)


def make_key(engine: Engine, project: str, by: Actor, user: str, expires: datetime | None = None) -> NewKey:
    """A new key of a user: the only time that its secret is seen."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(SECRET_BYTES)
    key = f"{PREFIX}_{key_id}_{secret}"
    with writing(engine) as connection:
        audit.lock(connection, project)
        known = _known(connection, project, user)
        if known.disabled is not None:
            raise StoreError(f"the user `{user}` is disabled", next=f"tunesmith users add {user} --role {known.role}")
        values = {"id": key_id, "user_name": user, "hash": _hash(key), "created": _now(), "expires": expires}
        connection.execute(insert(API_KEYS).values(project_id=project, **values))
        audit.append(connection, project, by, "key.make", user, {"key": key_id, "expires": _iso(expires)})
    return NewKey(key_id, user, key, expires)


def revoke_key(engine: Engine, project: str, by: Actor, key_id: str) -> Key:
    """Let a key count no more, from now on and for ever."""
    with writing(engine) as connection:
        audit.lock(connection, project)
        row = connection.execute(select(API_KEYS).where(_is(API_KEYS, project, id=key_id))).one_or_none()
        if row is None:
            known = connection.execute(select(API_KEYS.c.id).where(_is(API_KEYS, project))).scalars()
            # A whole key may have been given by mistake: it must not be repeated on a screen.
            raise registry.unknown("key", key_id.split("_")[1] if key_id.count("_") > 1 else key_id, list(known))
        if row.revoked is None:
            connection.execute(update(API_KEYS).where(_is(API_KEYS, project, id=key_id)).values(revoked=_now()))
            audit.append(connection, project, by, "key.revoke", row.user_name, {"key": key_id})
        return _key(connection.execute(select(API_KEYS).where(_is(API_KEYS, project, id=key_id))).one())


def authenticate(engine: Engine, project: str, key: str) -> Actor:
    """The user of a key.

    Raises: Unauthenticated, in the same words for an unknown key, a wrong secret and a key of another project.
    """
    given = _KEY.fullmatch(key.strip())
    with reading(engine) as connection:
        # One query whatever the id is, and compared also where there is nothing to compare with: the time tells
        # nothing of what is on record to whoever does not hold the secret.
        where = _is(API_KEYS, project, id=given["id"] if given else "")
        row = connection.execute(select(API_KEYS).where(where)).one_or_none()
        is_right = hmac.compare_digest(_hash(key.strip()), _NOBODY if row is None else row.hash)
        user = _user(connection, project, row.user_name) if row is not None and is_right else None
    if row is None or user is None:
        raise Unauthenticated(
            "this key is not known in this project",
            allowed=f"a key {PREFIX}_<id>_<secret>, as `tunesmith users key NAME` shows it once",
        )
    if row.revoked is not None or user.disabled is not None:
        raise Unauthenticated("this key was revoked", seen=f"key {row.id}", next="ask an admin for another")
    if row.expires is not None and row.expires <= _now():
        raise Unauthenticated("this key has expired", seen=f"key {row.id}", next="ask an admin for another")
    return Actor(user.name, user.role, row.id)


def active(connection: Connection, project: str) -> list[User]:
    """The users that are not disabled, by name."""
    return [user for user in _users(connection, project) if user.disabled is None]


def _users(connection: Connection, project: str) -> list[User]:
    keys: dict[str, list[Key]] = {}
    for row in connection.execute(select(API_KEYS).where(_is(API_KEYS, project)).order_by(API_KEYS.c.created)):
        keys.setdefault(row.user_name, []).append(_key(row))
    rows = connection.execute(select(USERS).where(_is(USERS, project)).order_by(USERS.c.name)).all()
    return [User(row.name, row.role, row.created, row.disabled, tuple(keys.get(row.name, ()))) for row in rows]


def _user(connection: Connection, project: str, name: str) -> User | None:
    return next((user for user in _users(connection, project) if user.name == name), None)


def _known(connection: Connection, project: str, name: str) -> User:
    user = _user(connection, project, name)
    if user is None:
        raise registry.unknown("user", name, [one.name for one in _users(connection, project)])
    return user


def _key(row: Row[Any]) -> Key:
    return Key(row.id, row.user_name, row.created, row.expires, row.revoked)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _is(table: Table, project: str, **values: Any) -> ColumnElement[bool]:
    where: ColumnElement[bool] = table.c.project_id == project
    for column, value in values.items():
        where = where & (table.c[column] == value)
    return where


def _iso(value: Any) -> Any:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value


def _now() -> datetime:
    return datetime.now(UTC)
