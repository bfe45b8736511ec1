"""The release decision: a model whose gate is passed gets a version and the recipe's alias, any other gets neither."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.core.artifact import Artifact
from tunesmith.store.ledger import Ledger


@dataclass(frozen=True)
class Release:
    """What the gate allowed."""

    is_released: bool
    verdict: str
    """better, not shown or worse."""
    name: str
    version: int | None = None
    alias: str | None = None

    @property
    def reference(self) -> str | None:
        """How the model is named from now on: ``name@alias``."""
        return f"{self.name}@{self.alias}" if self.is_released else None


def release(ledger: Ledger, name: str, alias: str, run_id: str, model: Artifact, report: Artifact) -> Release:
    """Register the model under its name and move the alias to it, if the gate was passed.

    The same bytes never get a second version: running a recipe again leaves the registry as it is.
    """
    gate = report.facts["gate"]
    if not gate["passed"]:
        return Release(False, gate["verdict"], name)
    known = [one for one in ledger.models() if one.name == name and one.digest == model.digest]
    version = known[-1].version if known else ledger.register_version(name, model.digest, run_id, gate["verdict"])
    if not any(alias in one.aliases for one in known):
        ledger.set_alias(name, alias, version)
    return Release(True, gate["verdict"], name, version, alias)
