"""Windows drawn from texts whose vectors and answers were computed once, so that hundreds of checks cost minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.lifecycle.model import base_path
from tunesmith.lifecycle.reports import splits_of
from tunesmith.lifecycle.runner import Runner
from tunesmith.lifecycle.session import Session
from tunesmith.models.manifest import ModelManifest
from tunesmith.monitoring.answers import columns_of
from tunesmith.monitoring.config import DriftConfig, ReferenceConfig
from tunesmith.monitoring.drift import VECTORS, Columns, Outcome, compared, judge
from tunesmith.monitoring.reference import answered, embedded, measured, open_transformers, read_reference
from tunesmith.store.artifacts import ArtifactStore


class Silent:
    """A context that nobody listens to."""

    def progress(self, done: float, total: float, unit: str, note: str = "") -> None: ...

    def check_cancelled(self) -> None: ...


@dataclass(frozen=True)
class Pool:
    """Texts to draw windows from."""

    columns: Columns
    num: int

    def window(self, places: NDArray[np.int64]) -> Columns:
        """The rows at these places."""
        return Columns(
            {name: rows[places] for name, rows in self.columns.numbers.items()},
            {name: [rows[at] for at in places] for name, rows in self.columns.categories.items()},
            {},
            {name: rows[places] for name, rows in self.columns.vectors.items()},
        )


def joined(first: Pool, second: Pool) -> Pool:
    """The texts of both, the first one's first."""
    one, two = first.columns, second.columns
    return Pool(
        Columns(
            {name: np.concatenate([rows, two.numbers[name]]) for name, rows in one.numbers.items()},
            {name: [*rows, *two.categories[name]] for name, rows in one.categories.items()},
            {},
            {name: np.concatenate([rows, two.vectors[name]]) for name, rows in one.vectors.items()},
        ),
        first.num + second.num,
    )


def prepared(session: Session, reference: str, texts: Sequence[Sequence[str]]) -> tuple[Columns, list[Pool]]:
    """The reference of a model, by its stage, and the pools of the texts."""
    store = ArtifactStore(session.workspace, session.ledger)
    name, _, which = reference.partition("@")
    model = store.load(session.ledger.resolve(name, which).digest)
    base = store.load(model.facts["base"]["digest"])
    manifest = ModelManifest.read(model.path)
    runner = Runner(session.workspace, session.ledger, seed=0, listener=lambda event: None)
    given = {"model": model, "base": base, "splits": splits_of(session, reference)}
    made = runner.on("monitor:reference", "reference", ReferenceConfig(task="classify"), given)["reference"]
    words = pl.read_parquet(made.path / "words.parquet")
    engine = open_transformers(model.path, base_path(session, model) or model.path)
    try:
        pools = [_pool(engine, manifest, list(some), words) for some in texts]
    finally:
        engine.close()
    return read_reference(made, manifest), pools


def _pool(engine: Any, manifest: ModelManifest, texts: list[str], words: pl.DataFrame) -> Pool:
    context: Any = Silent()
    vectors, tokens = embedded(engine, texts, context, "")
    answers = columns_of(manifest.task, answered(engine, manifest, texts, context, ""))
    table = measured(texts, tokens, words)
    numbers = {name: table[name].to_numpy() for name in table.columns if name != "language"}
    categories = {"language": table["language"].to_list(), **answers.categories}
    return Pool(Columns({**numbers, **answers.numbers}, categories, {}, {VECTORS: vectors}), len(texts))


def check(reference: Columns, window: Columns, config: DriftConfig, seed: int) -> list[Outcome]:
    """One check of a window."""
    outcomes = compared(reference, window, config, np.random.default_rng([seed, 5]))
    judge(outcomes, config)
    return outcomes


def write_learned_and_held(train: Path, folder: Path, num_learned: int) -> list[str]:
    """Write the training rows that are learned from to ``learn.csv`` and return the texts of the others."""
    rows = pl.read_csv(train)
    order = np.random.default_rng(0).permutation(rows.height)
    rows[order[:num_learned]].write_csv(folder / "learn.csv")
    return rows[order[num_learned:]]["text"].to_list()
