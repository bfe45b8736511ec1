"""The steps of a run as they are put together, and the parts that recipes of every task have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.core import wiring
from tunesmith.core.artifact import Artifact
from tunesmith.core.config import Config
from tunesmith.core.source import IncrementalSource
from tunesmith.data.config import IngestConfig
from tunesmith.lifecycle.steps import From, StepSpec
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.store import erasures
from tunesmith.store.artifacts import ArtifactStore


class Flow:
    """The steps so far, and where the newest datasets, splits, base and so on come from.

    A part that changes what later parts read (cleaned splits, a chosen base) points the name at its own output.
    """

    def __init__(self, store: ArtifactStore | None = None) -> None:
        self.store = store
        """Where models of this workspace are found that the recipe starts from."""
        self.specs: list[StepSpec] = []
        self.datasets: dict[str, From] = {}
        """By source, in the recipe's order."""
        self.tables: dict[str, From] = {}
        """Joined tables by name."""
        self.variant = ""
        """Ends the names of steps that are run a second time, on other rows."""
        self.at: dict[str, From] = {}
        """``splits``, ``base``, ``activations``, ``baselines``, ``model`` …: the output that later steps read; in the
        end, what the run made."""

    def add(
        self,
        name: str,
        kind: str,
        config: Config,
        given: Mapping[str, From] | None = None,
        fingerprint: str = "",
        pulls: str = "",
        held: Mapping[str, str] | None = None,
    ) -> str:
        """Append a step and return its name."""
        self.specs.append(StepSpec(name + self.variant, kind, config, given or {}, fingerprint, pulls, held or {}))
        return name + self.variant

    def given(self, *names: str) -> dict[str, From]:
        """The current outputs of these names."""
        return {name: self.at[name] for name in names}

    def made(self, results: Mapping[str, Mapping[str, Artifact]]) -> dict[str, Artifact]:
        """What a finished run made, by the names of ``at``."""
        return {name: results[one.step][one.output] for name, one in self.at.items()}


def ingest(recipe: AnyRecipe, flow: Flow, required: tuple[str, ...]) -> None:
    """A dataset for each source, and a table for each join; `required` columns every source must have."""
    source: Any
    for source in recipe.read_sources:
        config = IngestConfig(source=source, required=required)
        flow.datasets[source.name] = read(flow, source, config)
    for join in recipe.read_joins:
        table: Any = join.table
        flow.tables[table.name] = read(flow, table, IngestConfig(source=table, required=()))


def read(flow: Flow, source: Any, config: IngestConfig) -> From:
    """The dataset of a source: read whole, or from where the last pull ended where a cursor tells what is new."""
    opened: Any = wiring.load(wiring.wire("source", source.kind).make)(source)
    pulls = opened.cursor_identity() if isinstance(opened, IncrementalSource) else None
    kind = "ingest" if pulls is None else "pull"
    if flow.store is not None and (erased := erasures.subjects(flow.store.ledger.engine, flow.store.ledger.project)):
        # Part of the key: what was read while somebody was still there is not taken over.
        config = config.model_copy(update={"erased": erased})
    step = flow.add(f"ingest:{source.name}", kind, config, fingerprint=opened.fingerprint(), pulls=pulls or "")
    return From(step, "dataset")


def privacy(recipe: AnyRecipe, flow: Flow) -> None:
    """Personal data is found, and treated, before any other step reads the rows."""
    tables: list[Any] = [join.table for join in recipe.read_joins]
    for source in (*recipe.read_sources, *tables):
        config = recipe.for_privacy(source.name, source.columns)
        if config is None:
            return
        where = flow.tables if source.name in flow.tables else flow.datasets
        kind = "privacy" if config.privacy.changes_rows else "pii_scan"
        step = flow.add(f"privacy:{source.name}", kind, config, {"dataset": where[source.name]})
        if config.privacy.changes_rows:
            where[source.name] = From(step, "dataset")
