"""The fields of an API's records: united over the pages, and watched for those that vanish."""

from __future__ import annotations

import difflib
import hashlib
import json
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import DataError
from tunesmith.data.sources import json_record

if TYPE_CHECKING:
    from tunesmith.data.sources.http_config import HttpConfig
    from tunesmith.data.sources.http_paging import Page


CHANGED_RECORDS = 3
ANY_ESCAPE = "\\ud"
"""Stands for a record's own text, which is not kept: it says that half a character may be in it."""


class Fields:
    """What the records of one pull were made of so far."""

    def __init__(self, who: str, config: HttpConfig) -> None:
        self._who, self._key = who, config.key
        self.columns: dict[str, None] = {}
        """Every field so far, in the order they came."""
        self._always: set[str] | None = None
        """The mapped columns that every record had so far; None before the first."""
        self._mapped = set(config.columns.values()) | ({config.key} if config.key else set())
        self._keys: set[bytes] = set()

    def check(self, page: Page) -> None:
        """Take note of a page's fields.

        Raises: DataError where a mapped column that every record had before is in none of this page.
        """
        records = [record for record in page.records if isinstance(record, dict)]
        if not records:
            return
        found = {name for record in records for name in record}
        gone = sorted((self._always or set()) - found)
        fresh = sorted(found - set(self.columns))
        # APIs leave empty fields out: a record or two without one, and nothing new in its place, are no change.
        if gone and (fresh or len(records) >= CHANGED_RECORDS):
            near = difflib.get_close_matches(gone[0], fresh, n=1, cutoff=0.4)
            raise DataError(
                f"{self._who}: the column `{gone[0]}` is gone from page {page.number} on",
                seen=f"{len(records)} records without it, after {page.num_before:,} that had it"
                + (f"; new: {', '.join(fresh[:8])}" if fresh else ""),
                allowed="the same columns in the whole pull",
                next=f"is it called `{near[0]}` now? Correct `columns`, and run the command again"
                if near
                else "ask the API's owner what changed, and run the command again",
            )
        whole = set(self._mapped)
        for record in records:
            whole.intersection_update(record)
        self._always = whole if self._always is None else self._always & whole

    def cells(self, record: Any) -> tuple[dict[str, Any], str]:
        """The cells of a record by field, or why it is no row; lists and objects become compact JSON."""
        if isinstance(record, dict) and self._key is not None and (reason := self._repeated(record)):
            return {}, reason
        return json_record.cells(record, ANY_ESCAPE)

    def _repeated(self, record: dict[str, Any]) -> str:
        value = record.get(self._key or "")
        if value is None:
            return f"no `{self._key}`"
        digest = hashlib.blake2b(json.dumps(value).encode(), digest_size=16).digest()
        if digest in self._keys:
            return f"a `{self._key}` that came before"
        self._keys.add(digest)
        return ""
