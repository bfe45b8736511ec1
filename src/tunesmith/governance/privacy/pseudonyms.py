"""Tokens that stand for values: the same for the same value, and led back only by who holds the project's key."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from tunesmith.core.errors import StoreError
from tunesmith.governance.privacy.patterns import compiled

TOKEN_CHARS = 12
"""60 bits: among a million values of one kind, two share a token once in two million projects."""
SCHEMA = {"token": pl.String(), "entity": pl.String(), "sealed": pl.Binary()}
FILES = "pseudonyms-*.parquet"
_TOKEN = compiled(rf"\b[A-Z][A-Z0-9_]*_[a-z2-7]{{{TOKEN_CHARS}}}\b")
_DIGITS_ONLY = {"PHONE"}
_SPELLED = {"EMAIL", "NAME", "ADDRESS", "URL", "DATE_OF_BIRTH"}


class Pseudonyms:
    """Gives tokens, seals the values they stand for, and opens them again."""

    def __init__(self, key: bytes) -> None:
        self._token_key = hmac.digest(key, b"tunesmith privacy: tokens", "sha256")
        self._seal_key = hmac.digest(key, b"tunesmith privacy: seals", "sha512")

    def token(self, entity: str, value: str) -> str:
        """The token of a value: ``EMAIL_k3jq7ay2mwx5``, whatever the value's case and spacing."""
        content = f"{entity}\0{canonical(entity, value)}".encode()
        digest = hmac.digest(self._token_key, content, "sha256")
        return f"{entity}_{base64.b32encode(digest)[:TOKEN_CHARS].decode().lower()}"

    def seal(self, token: str, value: str) -> bytes:
        """The value encrypted for its token (AES-SIV: the same bytes for the same value, tampering is noticed)."""
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        return AESSIV(self._seal_key).encrypt(value.encode(), [token.encode()])

    def open(self, token: str, sealed: bytes) -> str:
        """The value of a token.

        Raises: StoreError where the key is another one, or the bytes were changed.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        try:
            return AESSIV(self._seal_key).decrypt(sealed, [token.encode()]).decode()
        except InvalidTag:
            raise StoreError(
                "a pseudonym cannot be led back: it was sealed with another key, or its file was changed",
                seen=token,
                next="use the workspace it was made in, with its own `subject.key`",
            ) from None


def canonical(entity: str, value: str) -> str:
    """The form in which two spellings of a value are one: case and spacing aside, of numbers only what counts."""
    if entity in _DIGITS_ONLY:
        return "".join(char for char in value if char.isdigit())
    if entity in _SPELLED:
        return " ".join(value.casefold().split())
    return "".join(char for char in value.casefold() if char.isalnum() or char in ":.")


def write(path: Path, values: Iterable[tuple[str, str, bytes]]) -> None:
    """Write tokens with their kinds and sealed values, in the order of the tokens."""
    pl.DataFrame(sorted(values), schema=SCHEMA, orient="row").write_parquet(path)


def reveal(texts: Sequence[str], folders: Iterable[Path], key: bytes) -> list[str]:
    """The texts with every token replaced by the value it was first made from; unknown tokens stay.

    ``folders``: where the stage `privacy` left its pseudonyms. Raises: StoreError where the key is another one.
    """
    wanted = {match.group() for text in texts for match in _TOKEN.finditer(text)}
    files = sorted(path for folder in folders for path in folder.glob(FILES))
    if not wanted or not files:
        return list(texts)
    found = pl.scan_parquet(files).filter(pl.col("token").is_in(sorted(wanted))).collect()
    names = Pseudonyms(key)
    sealed = dict(zip(found["token"], found["sealed"], strict=True))
    values = {token: names.open(token, one) for token, one in sealed.items()}
    return [_replaced(text, values) for text in texts]


def _replaced(text: str, values: dict[str, str]) -> str:
    pieces, end = [], 0
    for match in _TOKEN.finditer(text):
        pieces += [text[end : match.start()], values.get(match.group(), match.group())]
        end = match.end()
    return "".join([*pieces, text[end:]])
