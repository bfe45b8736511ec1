"""Names to paths: the one place where a name given from outside becomes a place on disk."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote

from tunesmith.core.errors import StoreError

MAX_NAME_BYTES = 255
_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DECODINGS = 5


def slug(name: str, what: str) -> str:
    """The name, if it is one: lower case, so that two names never meet on a disk that ignores case.

    Raises: StoreError saying which characters a name of that sort may have.
    """
    if not isinstance(name, str) or not _SLUG.fullmatch(name) or ".." in name or name.endswith("."):
        raise StoreError(
            f"this is not a valid {what}",
            seen=repr(name)[:200],
            allowed="1 to 128 of a-z 0-9 . _ -, beginning with a letter or digit, no `..`, no dot at the end",
            next=f"choose another {what}, for example `support-intents`",
        )
    return name


def digest(value: str) -> str:
    """The value, if it is an artifact digest."""
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise StoreError("this is not an artifact digest", seen=repr(value)[:200], allowed="64 of 0-9 a-f")
    return value


def confined(root: Path, *parts: str) -> Path:
    """The path of ``root`` / parts, each part one plain file name, never outside the root, also not by a link.

    Raises: StoreError for a name that is, hides or decodes to anything but one name.
    """
    for part in parts:
        if reason := _hostile(part):
            raise _refusal(part, reason)
    home = root.resolve()
    path = home.joinpath(*parts)
    try:
        # Loops of links raise RuntimeError here.
        is_inside = path.resolve().is_relative_to(home)
    except (RuntimeError, OSError) as error:
        raise _refusal("/".join(parts), str(error)) from error
    if not is_inside:
        raise _refusal("/".join(parts), f"a link leads out of {home}")
    return path


def _hostile(part: str) -> str | None:
    """Why a name is refused, or None."""
    if not isinstance(part, str):
        return "not a text"
    seen = part
    for _ in range(_DECODINGS):
        # A later layer may decode or normalise the name, so every reading of it must be harmless.
        for reading in (seen, unicodedata.normalize("NFKC", seen)):
            if reason := _hostile_reading(reading):
                return reason
        decoded = unquote(seen)
        if decoded == seen:
            return None
        seen = decoded
    return "encoded again and again"


def _hostile_reading(name: str) -> str | None:
    try:
        num_bytes = len(name.encode())
    except UnicodeEncodeError:
        return "not valid Unicode"
    if name.strip(". ") == "":
        return "empty, or only dots and spaces"
    if "/" in name or "\\" in name or re.match(r"[A-Za-z]:", name):
        return "a path, not one name"
    if any(unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") for char in name):
        return "a control or invisible character"
    if name.startswith("~"):
        return "a home folder"
    return "too long" if num_bytes > MAX_NAME_BYTES else None


def _refusal(name: object, reason: str) -> StoreError:
    return StoreError(
        f"this name cannot be used as a path: {reason}",
        seen=repr(name)[:200],
        allowed=f"one plain file name of at most {MAX_NAME_BYTES} bytes",
    )
