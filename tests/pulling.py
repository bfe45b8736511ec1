"""Pulls one after the other, each given what the last one made, as the runner does it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import polars as pl
from tests.unit.data.context import FakeContext

from tunesmith.core import digests
from tunesmith.core.artifact import Artifact
from tunesmith.core.config import Config
from tunesmith.core.source import Source
from tunesmith.data import dataset
from tunesmith.data.config import IngestConfig
from tunesmith.data.pull import Pull
from tunesmith.data.sources.sql import SqlConfig, SqlSource


class Puller:
    """The pulls of one source."""

    def __init__(self, folder: Path, config: SqlConfig, opened: Source | None = None) -> None:
        self.folder, self.config, self.opened = folder, config, opened
        self.last: dict[str, Artifact] = {}
        self._numbers = itertools.count()

    def pull(self, *, keep: bool = True) -> dict[str, Any]:
        """The facts of the next pull; without ``keep`` it is as if the process had died before the record."""
        context = _Context(self.folder / str(next(self._numbers)))
        context.opened = self.opened
        for name in Pull.makes:
            (context.out / name).mkdir(parents=True)
        facts = Pull(IngestConfig(source=self.config)).run(self.last, context)
        if keep:
            self.last = {name: context.artifact(name, name, facts[name]) for name in facts}
        return dict(facts["dataset"])

    def counts(self, *, keep: bool = True) -> tuple[int, int, int, int]:
        """New, replaced, deleted and unchanged rows of the next pull."""
        pulled = self.pull(keep=keep)["pulled"]
        return pulled["new"], pulled["replaced"], pulled["deleted"], pulled["unchanged"]

    def rows(self) -> pl.DataFrame:
        """The dataset now."""
        return dataset.scan(self.last["dataset"]).collect()

    def digest(self) -> str:
        """The digest of the dataset's bytes."""
        return digests.of_manifest(digests.of_folder(self.last["dataset"].path))


class _Context(FakeContext):
    opened: Source | None = None

    def source(self, config: Config) -> Source:
        assert isinstance(config, SqlConfig)
        return self.opened or SqlSource(config)
