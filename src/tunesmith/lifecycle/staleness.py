"""Whether a version that answers learned from rows of people who were erased since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tunesmith.lifecycle.session import Session
from tunesmith.store import erasures
from tunesmith.store.records import ModelVersion


@dataclass(frozen=True)
class Stale:
    """Why a version is to be trained again."""

    since: datetime
    """When the first of the people it learned from was erased."""
    erasures: tuple[str, ...]
    """Of whom, as `tunesmith erase` and `tunesmith models` name them; the first one first."""


class Staleness:
    """Looks up versions of a project; cheap enough to be asked twice a second."""

    def __init__(self, session: Session) -> None:
        self._engine, self._project = session.ledger.engine, session.ledger.project
        self._marks: dict[str, datetime] = {}
        self._found: dict[str, Stale | None] = {}

    def of(self, version: ModelVersion) -> Stale | None:
        """Why a version is stale; None where it is not.

        Raises: StoreError where the ledger cannot be asked.
        """
        marks = erasures.stale_marks(self._engine, self._project)
        if marks != self._marks:
            self._marks, self._found = marks, {}
        if not marks:
            return None
        if version.digest not in self._found:
            # What a version was made from does not change: its lineage is walked once for each erasure.
            of_it = erasures.stale(self._engine, self._project).get(version.digest, [])
            known = sorted((one for one in of_it if one in marks), key=lambda one: marks[one])
            self._found[version.digest] = Stale(marks[known[0]], tuple(known)) if known else None
        return self._found[version.digest]
