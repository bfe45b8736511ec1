"""Whom a row is about, as it is kept: a keyed hash, never the name."""

from __future__ import annotations

import hmac


def subject_hash(key: bytes, plain: str) -> str:
    """The keyed hash by which rows of a person are found, the same as in training rows."""
    return hmac.digest(key, plain.encode(), "sha256").hex()[:32]
