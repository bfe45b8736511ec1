"""What the audit chain rests on outside the ledger: its key, and files that say how far it reached.

A chain alone does not show that its end was cut off, or that whoever holds the ledger and the key wrote it anew. The
anchor does: it lies beside the ledger, and in a second place where ``TUNESMITH_AUDIT_ANCHOR`` names a folder.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tunesmith.core import digests
from tunesmith.core.errors import StoreError
from tunesmith.store.files import make_folder, reported, write_json
from tunesmith.store.locks import locked
from tunesmith.store.paths import confined, slug
from tunesmith.store.secret_files import kept_secret

PLACE_VARIABLE = "TUNESMITH_AUDIT_ANCHOR"
GENESIS = "0" * 64
"""The digest before the first entry."""


@dataclass(frozen=True)
class Anchor:
    """How far a project's chain reached, and with which digest."""

    sequence: int
    digest: str
    at: str


@dataclass(frozen=True)
class Custody:
    """The key and the anchors of a workspace."""

    root: Path
    second: Path | None = None
    """A folder that those who can write the workspace should not be able to write."""

    @classmethod
    def of(cls, root: Path) -> Custody:
        """The custody of the workspace at a root, with the second place that the environment names."""
        place = os.environ.get(PLACE_VARIABLE)
        return cls(root, Path(place).expanduser().absolute() if place else None)

    @property
    def key_path(self) -> Path:
        """Where the key is."""
        return self.root / "audit.key"

    def key(self, *, is_new: bool) -> bytes:
        """The key that seals entries; made only where no project of the workspace has a chain yet.

        Raises: StoreError where entries were sealed with a key that is gone.
        """
        if not self.key_path.exists() and not (is_new and not any(self.root.glob("projects/*/audit.anchor"))):
            raise StoreError(
                "the key of the audit chain is gone",
                seen=f"{self.key_path} is not there, and entries are",
                next="set TUNESMITH_HOME to the folder that this ledger belongs to; if it is this one, bring the file "
                "back from a backup: a new key can vouch for no entry of the old one",
            )
        return kept_secret(self.key_path, "seals the audit chain", "a new key can vouch for no old entry")

    def places(self, project: str) -> list[Path]:
        """The anchor files of a project."""
        paths = [confined(self.root, "projects", slug(project, "project name"), "audit.anchor")]
        if self.second is not None:
            # Several workspaces may share the place, and have projects of one name: the key tells them apart.
            owner = hashlib.sha256(b"owner" + self.key(is_new=True)).hexdigest()[:12]
            paths.append(confined(self.second, f"{slug(project, 'project name')}-{owner}.anchor"))
        return paths

    def read(self, path: Path, project: str) -> Anchor | None:
        """The anchor in a file; None where there is no file.

        Raises: StoreError where it was not written with this workspace's key, for this project.
        """
        try:
            with reported("cannot read", path):
                text = path.read_bytes()
        except StoreError:
            if not path.exists():
                return None
            raise
        try:
            kept = json.loads(text)
            anchor = Anchor(kept["sequence"], kept["digest"], kept["at"])
            is_ours = hmac.compare_digest(str(kept["seal"]), self._seal(project, anchor))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError("the anchor of the audit chain is damaged", seen=f"{path}: {error!r}") from error
        if not is_ours:
            raise StoreError("the anchor of the audit chain was not written by this workspace", seen=path)
        return anchor

    @contextmanager
    def held(self, project: str) -> Iterator[None]:
        """Keep every other process from moving a project's anchors."""
        with locked(self.places(project)[0].with_name("audit.anchor.lock")):
            yield

    def write(self, path: Path, project: str, anchor: Anchor) -> None:
        """Write an anchor at once."""
        make_folder(path.parent)
        write_json(path, {"project": project, **vars(anchor), "seal": self._seal(project, anchor)})

    def _seal(self, project: str, anchor: Anchor) -> str:
        text = digests.canonical(["anchor", project, anchor.sequence, anchor.digest, anchor.at])
        return hmac.digest(self.key(is_new=True), text, "sha256").hex()
