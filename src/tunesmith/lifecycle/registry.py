"""What a reference to a model stands for, and what the model stands on."""

from __future__ import annotations

from typing import Any

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import StoreError
from tunesmith.models.language_manifest import WEIGHTS
from tunesmith.models.manifest import ENCODER
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.ledger import Ledger


def find_artifact(store: ArtifactStore, reference: str) -> Artifact:
    """The MODEL artifact of ``name@alias``, ``name@version``, ``name`` (the newest version) or ``run:ID``.

    Raises: StoreError naming the nearest known model.
    """
    return store.load(find_digest(store.ledger, reference))


def find_digest(ledger: Ledger, reference: str) -> str:
    """The digest of the model that a reference means now.

    Raises: StoreError naming the nearest known model.
    """
    if reference.startswith("run:"):
        run = ledger.run(reference.removeprefix("run:"))
        if run.model_digest is None:
            on = f"tunesmith resume {run.id}"
            if run.status == "running":
                on = f"wait until it ends; if it was killed, {on}"
            raise StoreError(f"the run `{run.id}` has no model", seen=f"it is {run.status}", next=on)
        return run.model_digest
    name, _, which = reference.partition("@")
    if not which:
        versions = [one for one in ledger.models() if one.name == name]
        which = str(max((one.version for one in versions), default=1))
    return ledger.resolve(name, which).digest


def lasting_name(ledger: Ledger, reference: str) -> str:
    """The reference by a name that never moves: ``name@version``, or ``run:ID`` where it was not released."""
    digest = find_digest(ledger, reference)
    versions = [one for one in ledger.models() if one.digest == digest]
    name = reference.partition("@")[0]
    mine = [one for one in versions if one.name == name] or versions
    return f"{mine[0].name}@{mine[0].version}" if mine else reference


def base_digest(model: Artifact) -> str | None:
    """The digest of the base a model stands on; None where the model brings its own weights."""
    if any((model.path / name).is_dir() for name in (ENCODER, WEIGHTS)):
        return None
    base: dict[str, Any] = dict(model.facts["base"])
    return str(base["digest"])
