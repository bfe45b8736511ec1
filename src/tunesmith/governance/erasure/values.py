"""JSON values without what they quote of a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.governance.erasure.person import Person

QUOTING = frozenset({"samples", "examples"})
"""Keys under which facts show pieces of rows, which cannot be told one by one."""


def cleaned(value: Any, person: Person, *, quotes: bool = False) -> Any:
    """A value without entries about the person's rows, and with what stands for them blacked out.

    ``quotes``: it belongs to something that was made from the person's rows, so what it shows of rows goes.
    """
    if isinstance(value, str):
        return person.redacted(value)
    if isinstance(value, Mapping):
        return {
            person.redacted(name) if isinstance(name, str) else name: []
            if quotes and name in QUOTING and isinstance(one, list)
            else cleaned(one, person, quotes=quotes)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [cleaned(one, person, quotes=quotes) for one in value if not _is_of(one, person)]
    return value


def _is_of(entry: Any, person: Person) -> bool:
    """Whether an entry of a list is about a row of the person, or about one of their words."""
    if isinstance(entry, str):
        return entry in person.row_ids
    if not isinstance(entry, Mapping):
        return False
    ids = (one for name, one in entry.items() if name == "row_id" or str(name).endswith("_row_id"))
    word = entry.get("word")
    return any(one in person.row_ids for one in ids if isinstance(one, str)) or (
        isinstance(word, str) and person.is_word(word)
    )
