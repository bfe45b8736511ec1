"""Artifacts as the product uses them: the ledger's record joined with the verified bytes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.errors import StoreError
from tunesmith.store.ledger import Ledger
from tunesmith.store.records import ArtifactRecord, CursorMove
from tunesmith.store.workspace import Workspace


class ArtifactStore:
    """Saves and finds the results of steps."""

    def __init__(self, workspace: Workspace, ledger: Ledger) -> None:
        if workspace.project != ledger.project:
            raise StoreError("workspace and ledger are of two projects", seen=f"{workspace.project}, {ledger.project}")
        self.workspace = workspace
        self.ledger = ledger
        self.blobs = workspace.blobs

    def save_step(
        self,
        key: str,
        content_key: str,
        stage: str,
        out_folder: Path,
        outputs: Mapping[str, tuple[str, Mapping[str, Any]]],
        made_by: MadeBy,
        parents: tuple[str, ...],
        *,
        run_id: str | None = None,
        name: str | None = None,
        started: datetime | None = None,
        moves: CursorMove | None = None,
    ) -> dict[str, Artifact]:
        """Take over what a step left in ``out_folder / output name`` and return it as artifacts.

        The bytes come first and the record after, in one transaction: a kill in between leaves bytes that nothing
        refers to. A record that was there first wins, unless its bytes are gone. A cursor moves in that transaction.
        Raises: StoreError when a folder is missing or was not announced.
        """
        self._check_folders(stage, out_folder, outputs)
        made = {}
        for output, (kind, facts) in outputs.items():
            digest, _ = self.blobs.put(out_folder / output)
            made[output] = ArtifactRecord(kind, digest, dict(facts), made_by, parents)
        before = self.ledger.find_step(key)
        replaces = before is not None and not self._has_all(before)
        more: dict[str, Any] = {
            "run_id": run_id,
            "name": name,
            "started": started,
            "replaces": replaces,
            "moves": moves,
        }
        return self._opened(self.ledger.record_step(key, content_key, stage, made, **more))

    def find(self, key: str) -> dict[str, Artifact] | None:
        """What a step made, its bytes verified; None when it must be run: never done, or its bytes are gone.

        Raises: StoreError when the bytes are damaged.
        """
        records = self.ledger.find_step(key)
        return None if records is None or not self._has_all(records) else self._opened(records)

    def knows(self, key: str) -> bool:
        """Whether ``find`` would answer, told without reading the bytes."""
        records = self.ledger.find_step(key)
        return records is not None and self._has_all(records)

    def on_record(self, key: str) -> dict[str, Artifact]:
        """What a step made, as the ledger has it: bytes are not verified, and may be gone."""
        records = self.ledger.find_step(key) or {}
        return {
            name: Artifact(one.kind, one.digest, self.blobs.path(one.digest), one.facts, one.made_by, one.parents)
            for name, one in records.items()
        }

    def load(self, digest: str) -> Artifact:
        """The artifact of a digest, its bytes verified."""
        return self._artifact(self.ledger.artifact(digest))

    def before(self, source: str) -> tuple[str | None, dict[str, Artifact]]:
        """The cursor that a source's pulls stand at, and the outputs ``dataset`` and ``cursor`` of the last one.

        No outputs before the first pull, or where their bytes are gone: then everything is read again.
        """
        record = self.ledger.cursor(source)
        if record is None:
            return None, {}
        digests = {"dataset": record.dataset, "cursor": record.cursor}
        if not all(self.blobs.has(digest) for digest in digests.values()):
            return record.cursor, {}
        return record.cursor, {name: self.load(digest) for name, digest in digests.items()}

    def _check_folders(self, stage: str, out_folder: Path, outputs: Mapping[str, object]) -> None:
        found = {path.name for path in out_folder.iterdir()} if out_folder.is_dir() else set()
        if found != set(outputs):
            raise StoreError(
                f"the stage `{stage}` did not write the outputs that it reported",
                seen=f"written: {', '.join(sorted(found)) or 'nothing'}",
                allowed=f"a folder for each of: {', '.join(sorted(outputs)) or 'nothing'}",
            )

    def _has_all(self, records: Mapping[str, ArtifactRecord]) -> bool:
        return all(self.blobs.has(one.digest) for one in records.values())

    def _opened(self, records: Mapping[str, ArtifactRecord]) -> dict[str, Artifact]:
        return {name: self._artifact(one) for name, one in records.items()}

    def _artifact(self, one: ArtifactRecord) -> Artifact:
        path = self.blobs.open(one.digest)
        return Artifact(one.kind, one.digest, path, one.facts, one.made_by, one.parents)
