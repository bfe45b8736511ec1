"""JSON objects as cells: one rule for every source that reads JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

NOT_A_NUMBER = "NaN or Infinity, which JSON does not have"
REPEATED_KEY = "a key that repeats"
TOO_LARGE = "a number too large to hold"
SURROGATE = "half a surrogate pair"
NOT_AN_OBJECT = "not a JSON object"


class Reader:
    """Reads JSON values and remembers what is wrong with one that has a shape all the same."""

    def __init__(self) -> None:
        self.flaw = ""
        """Why the value read last must not be used; empty where nothing is wrong."""
        self._decode = self._decoder(None).raw_decode
        self._decode_leniently = self._decoder(self._no_integer).raw_decode

    def value(self, text: str, start: int = 0) -> tuple[Any, int]:
        """The value that begins at a place of a text, and where it ends.

        Raises: json.JSONDecodeError, RecursionError.
        """
        self.flaw = ""
        try:
            return self._decode(text, start)
        except json.JSONDecodeError:
            raise
        except ValueError:
            # An integer of more digits than Python converts; read again, so that its end is known.
            return self._decode_leniently(text, start)

    def _decoder(self, parse_int: Callable[[str], Any] | None) -> json.JSONDecoder:
        return json.JSONDecoder(
            object_pairs_hook=self._object, parse_constant=self._constant, parse_int=parse_int
        )  # fmt: skip

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            self.flaw = REPEATED_KEY
        return found

    def _constant(self, name: str) -> None:
        self.flaw = NOT_A_NUMBER

    def _no_integer(self, digits: str) -> Any:
        try:
            return int(digits)
        except ValueError:
            self.flaw = TOO_LARGE
            return None


def cells(record: Any, raw: str) -> tuple[dict[str, Any], str]:
    """The cells of a record by key, or why it is refused; arrays and objects in it become compact JSON text.

    ``raw``: the record as it stood.
    """
    if not isinstance(record, dict):
        return {}, NOT_AN_OBJECT
    found = {}
    for key, value in record.items():
        if isinstance(value, dict | list):
            try:
                value = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            except ValueError:
                return {}, TOO_LARGE
        elif isinstance(value, float) and math.isinf(value):
            return {}, TOO_LARGE
        found[key] = value
    if ("\\ud" in raw or "\\uD" in raw) and not _is_unicode(found):
        return {}, SURROGATE
    return found, ""


def _is_unicode(found: dict[str, Any]) -> bool:
    try:
        for key, value in found.items():
            f"{key}{value}".encode()
    except UnicodeEncodeError:
        return False
    return True
