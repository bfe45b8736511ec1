"""Secrets in files: random bytes made once, readable by their owner alone."""

from __future__ import annotations

import secrets
import stat
from pathlib import Path

from tunesmith.core.errors import StoreError
from tunesmith.store.files import reported, write_bytes
from tunesmith.store.locks import locked

KEY_BYTES = 32


def kept_secret(path: Path, what: str, without: str) -> bytes:
    """The secret at a path, made if new.

    ``what`` it does and what a new one would mean (``without``) are said where it cannot be used.
    """
    if not path.exists():
        with locked(path.with_name(f"{path.name}.lock")):
            if not path.exists():
                write_bytes(path, secrets.token_bytes(KEY_BYTES), mode=0o600)
    with reported("cannot read", path):
        mode, key = stat.S_IMODE(path.stat().st_mode), path.read_bytes()
    if mode & 0o077:
        raise StoreError(
            f"other users can read the key that {what}",
            seen=f"{path} has mode {mode:04o}",
            allowed="0600",
            next=f"chmod 600 {path}",
        )
    if len(key) != KEY_BYTES:
        raise StoreError(
            f"the key that {what} is damaged",
            seen=f"{len(key)} bytes in {path}",
            allowed=f"{KEY_BYTES} bytes",
            next=f"bring the file back from a backup; {without}",
        )
    return key
