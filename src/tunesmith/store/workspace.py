"""The workspace: the folder that holds everything tunesmith keeps.

``<root>/ledger.db``, ``<root>/runs/<id>/`` and, for each project, ``<root>/projects/<project>/`` with
``blobs/sha256/``, ``steps/<key>/`` and ``subject.key``.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tunesmith.core.errors import StoreError
from tunesmith.store.blobs import Blobs
from tunesmith.store.files import collect_orphans, make_folder, write_bytes
from tunesmith.store.locks import locked
from tunesmith.store.paths import confined, slug
from tunesmith.store.secret_files import kept_secret

HOME_VARIABLE = "TUNESMITH_HOME"
LEDGER_VARIABLE = "TUNESMITH_LEDGER"
"""Names the ledger's SQLAlchemy URL where it is not the workspace's own file. It may hold a password, so it is no
option: those are seen in the list of processes."""
DEFAULT_FOLDER = ".tunesmith"
DEFAULT_PROJECT = "default"


@dataclass(frozen=True)
class Workspace:
    """Where one project's runs, steps and blobs lie; making the value touches no disk, ``at`` makes the root and
    ``open`` the project's folders too."""

    root: Path
    project: str = DEFAULT_PROJECT

    def __post_init__(self) -> None:
        slug(self.project, "project name")

    @classmethod
    def open(cls, root: Path | str | None = None, project: str = DEFAULT_PROJECT) -> Workspace:
        """The workspace at ``root``, else ``TUNESMITH_HOME``, else ``./.tunesmith``: made if new, orphans removed."""
        workspace = cls.at(root, project)
        workspace.make()
        return workspace

    @classmethod
    def at(cls, root: Path | str | None = None, project: str = DEFAULT_PROJECT) -> Workspace:
        """The workspace there, its root made if new, and nothing for the project yet."""
        chosen = Path(root or os.environ.get(HOME_VARIABLE) or DEFAULT_FOLDER).expanduser().absolute()
        workspace = cls(chosen, project)
        if chosen.exists() and not chosen.is_dir():
            raise StoreError(
                "the workspace is not a folder",
                seen=chosen,
                next=f"name a folder in {HOME_VARIABLE}, or move that file away",
            )
        make_folder(chosen)
        if not (chosen / ".gitignore").exists():
            # Data and models do not belong into the repository that the workspace happens to stand in.
            write_bytes(chosen / ".gitignore", b"*\n")
        return workspace

    def make(self) -> None:
        """Make the project's folders if new, and remove what killed processes left unfinished."""
        for folder in (self.folder, self._runs, self._steps, self._blobs):
            make_folder(folder)
        self.collect_orphans()

    @property
    def ledger_url(self) -> str:
        """The SQLAlchemy URL of the ledger: ``TUNESMITH_LEDGER``, else the workspace's own file."""
        from sqlalchemy import URL

        return (
            os.environ.get(LEDGER_VARIABLE)
            or URL.create("sqlite", database=str(self.root / "ledger.db")).render_as_string()
        )

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return confined(self.root, "projects", self.project)

    @property
    def traces(self) -> Path | None:
        """Something of the project that nobody but a ledger can tell the meaning of; None where it is new."""
        anchor = confined(self.folder, "audit.anchor")
        kept = (path for folder in (self._blobs, self._steps) if folder.is_dir() for path in folder.iterdir())
        return anchor if anchor.exists() else next(kept, None)

    @cached_property
    def blobs(self) -> Blobs:
        """The project's payloads."""
        return Blobs(make_folder(self._blobs))

    def run_folder(self, run_id: str) -> Path:
        """The folder of a run, made if new: recipe, plan, events and report."""
        return make_folder(confined(self._runs, slug(run_id, "run id")))

    def step_folder(self, step_key: str) -> Path:
        """The folder of a step with its ``out/`` and ``scratch/``, made if new."""
        folder = confined(self._steps, slug(step_key, "step key"))
        make_folder(folder / "out")
        make_folder(folder / "scratch")
        return folder

    def lock(self, path: Path, *, wait: bool = True) -> AbstractContextManager[None]:
        """Hold the lock at a path; without ``wait``, a StoreError names who holds it."""
        return locked(path, wait=wait)

    def subject_key(self) -> bytes:
        """The project's secret for hashing subjects: made once, the same for ever, readable by its owner alone."""
        path = confined(self.folder, "subject.key")
        return kept_secret(path, "hides the subjects", "a new key would give every subject a new name")

    def collect_orphans(self) -> list[Path]:
        """Delete what killed processes left unfinished anywhere in the workspace, and return the paths."""
        folders = [self.root, self.folder, self._blobs, self._runs, self._steps]
        folders += [folder for parent in (self._runs, self._steps) for folder in parent.iterdir() if folder.is_dir()]
        return [folder / name for folder in folders for name in collect_orphans(folder)]

    @property
    def _runs(self) -> Path:
        return confined(self.root, "runs")

    @property
    def _steps(self) -> Path:
        return confined(self.folder, "steps")

    @property
    def _blobs(self) -> Path:
        return confined(self.folder, "blobs", "sha256")
