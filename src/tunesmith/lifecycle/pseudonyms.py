"""Pseudonyms led back to the values they stand for, by who holds the project's key."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.core.errors import RecipeError
from tunesmith.governance.privacy import pseudonyms
from tunesmith.lifecycle.session import Session
from tunesmith.store.artifacts import ArtifactStore

STEP = "privacy:"


def reveal(session: Session, texts: Sequence[str]) -> list[str]:
    """The texts with every token of the project's runs replaced by its value; tokens that no run made stay.

    Raises: StoreError where the workspace's key is not the one they were sealed with.
    """
    if isinstance(texts, str):
        raise RecipeError("`reveal` takes a list of texts", seen="one text", next=f"reveal([{texts[:20]!r}])")
    store = ArtifactStore(session.workspace, session.ledger)
    keys = {
        step.step_key: None
        for run in session.ledger.runs()
        for step in session.ledger.run_steps(run.id)
        if step.name.startswith(STEP) and step.step_key is not None
    }
    made = [outputs for key in keys if (outputs := store.find(key)) is not None]
    folders = [outputs["findings"].path for outputs in made if "findings" in outputs]
    return pseudonyms.reveal(texts, folders, session.workspace.subject_key())
