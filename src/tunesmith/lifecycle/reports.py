"""From a model or a run to what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import RecipeError, StoreError, TunesmithError
from tunesmith.data.formats.config import FormatConfig
from tunesmith.lifecycle.recorded import RECIPE
from tunesmith.lifecycle.session import Session
from tunesmith.recipe.language import LanguageRecipe
from tunesmith.recipe.load import load
from tunesmith.recipe.recipe import Recipe
from tunesmith.store import erasures
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.records import ModelVersion

EVALUATE = "evaluate"


@dataclass(frozen=True)
class ReleasedModel:
    """A released version with its main figure."""

    name: str
    version: int
    aliases: tuple[str, ...]
    reference: str
    verdict: str | None
    metric: str | None
    """The metric its gate rests on; None where its run's report is gone."""
    value: float | None
    low: float | None
    high: float | None
    run: str | None
    created: str
    approval: Mapping[str, Any] | None = None
    """The last word of a person on it: kind (`exception` where the gate had said no), decision, by, reason."""
    stale: tuple[str, ...] = ()
    """The erasures of people from whose rows it has learned: it is to be trained again."""

    def to_dict(self) -> dict[str, Any]:
        """The version as JSON values."""
        return asdict(self)


def run_of(session: Session, reference: str) -> str:
    """The run that made a model: of ``run:ID``, ``name@alias``, ``name@version`` or ``name`` (its newest version)."""
    if reference.startswith("run:"):
        return session.ledger.run(reference.removeprefix("run:")).id
    version = version_of(session, reference)
    if version.run_id is None:
        raise StoreError(f"`{reference}` was not made by a run of this workspace", seen=f"version {version.version}")
    return version.run_id


def version_of(session: Session, reference: str) -> ModelVersion:
    """The released version that a reference means."""
    name, _, which = reference.partition("@")
    if not which:
        which = str(max((one.version for one in session.ledger.models() if one.name == name), default=1))
    return session.ledger.resolve(name, which)


def report_of(session: Session, reference: str) -> Artifact:
    """The report of the run that made a model.

    Raises: StoreError where that run was not evaluated.
    """
    run_id = run_of(session, reference)
    key = _key(session, run_id, EVALUATE)
    outputs = None if key is None else ArtifactStore(session.workspace, session.ledger).find(key)
    if outputs is None:
        raise StoreError(
            f"`{reference}` has no report: its run was not evaluated",
            seen=f"run {run_id}",
            next=f"tunesmith resume {run_id}",
        )
    return outputs["report"]


def released(session: Session) -> list[ReleasedModel]:
    """Every released version, by name and number."""
    stale = erasures.stale(session.ledger.engine, session.ledger.project)
    return [_released(session, one, tuple(stale.get(one.digest, ()))) for one in session.ledger.models()]


def trained_columns(session: Session, reference: str, role: str) -> list[str]:
    """The names that the text, or another role, had in the sources a model was trained on; none where unknown."""
    try:
        recipe = load(session.workspace.run_folder(run_of(session, reference)) / RECIPE)
    except TunesmithError:
        # A model can outlive its run's folder: then the columns are told by their content.
        return []
    several = recipe.label_columns if role == "label" and isinstance(recipe, Recipe) else ()
    return list(several) or list(dict.fromkeys(source.columns.get(role, role) for source in recipe.data.sources))


def asked_columns(session: Session, reference: str) -> list[str]:
    """The names that prompts had in the sources a language model was trained on; none where unknown."""
    try:
        recipe = load(session.workspace.run_folder(run_of(session, reference)) / RECIPE)
    except TunesmithError:
        return []
    if not isinstance(recipe, LanguageRecipe):
        return []
    roles = ("messages", "prompt", "text")
    told = [source.columns.get(role) for source in recipe.data.sources for role in roles]
    told += [name for role in roles if isinstance(name := recipe.data.format.columns.get(role), str)]
    return list(dict.fromkeys(name for name in told if name is not None))


def learned_format(
    session: Session, reference: str, *, question: str | None = None, answer: str | None = None
) -> FormatConfig:
    """How the rows that a language model learned from were read as conversations, or the columns that are named;
    detected anew where nothing is known.

    Raises: RecipeError where one column is named and not the other.
    """
    if (question is None) != (answer is None):
        raise RecipeError(
            "the columns of questions and of answers are named together",
            seen=f"--text-column {question}" if answer is None else f"--label-column {answer}",
            next="name both, or none: then they are read as in training",
        )
    if question is not None and answer is not None:
        return FormatConfig(columns={"prompt": question, "completion": answer})
    try:
        recipe = load(session.workspace.run_folder(run_of(session, reference)) / RECIPE)
    except TunesmithError:
        return FormatConfig()
    return recipe.for_format(recipe.data.sources[0].name) if isinstance(recipe, LanguageRecipe) else FormatConfig()


def splits_of(session: Session, reference: str) -> Artifact:
    """The rows of the run that made a model.

    Raises: StoreError where they are gone.
    """
    run_id = run_of(session, reference)
    key = _key(session, run_id, "extend") or _key(session, run_id, "prepare")
    outputs = None if key is None else ArtifactStore(session.workspace, session.ledger).find(key)
    if outputs is None:
        raise StoreError(f"the rows that `{reference}` was trained on are gone")
    return outputs["splits"]


def learned_texts(session: Session, reference: str) -> frozenset[str]:
    """The texts a model was trained and chosen on, as ``same_text`` has them; empty where they are gone."""
    try:
        folder = splits_of(session, reference).path
    except TunesmithError:
        return frozenset()
    files = [folder / f"{split}.parquet" for split in ("train", "validation")]
    return frozenset(same_text(text) for file in files for text in pl.read_parquet(file, columns=["text"])["text"])


def same_text(text: str) -> str:
    """A text without what cleaning may have changed: case and white space."""
    return " ".join(text.casefold().split())


def task_of(report: Artifact, wanted: Artifact) -> str:
    """The task that two reports share.

    Raises: RecipeError where one classifies and the other regresses.
    """
    first, second = report.facts["task"], wanted.facts["task"]
    if first != second:
        raise RecipeError("these models answer different questions", seen=f"{first} and {second}")
    return str(first)


def _released(session: Session, version: ModelVersion, stale: tuple[str, ...] = ()) -> ReleasedModel:
    facts = _facts(session, version.run_id)
    metric = None if facts is None else str(facts["primary"])
    score: Mapping[str, Any] = {} if facts is None else facts["metrics"]["test"].get(metric, {})
    word = None if version.run_id is None else session.ledger.approval(version.run_id, version.digest)
    shown = version.aliases[0] if version.aliases else str(version.version)
    return ReleasedModel(
        name=version.name,
        version=version.version,
        aliases=version.aliases,
        reference=f"{version.name}@{shown}",
        verdict=version.verdict,
        metric=metric,
        value=score.get("value"),
        low=score.get("low"),
        high=score.get("high"),
        run=version.run_id,
        created=version.created.isoformat(timespec="seconds"),
        approval=word.to_dict() if word else None,
        stale=stale,
    )


def _facts(session: Session, run_id: str | None) -> Mapping[str, Any] | None:
    """What a run's report says, from the ledger alone: a list of models opens no files."""
    key = None if run_id is None else _key(session, run_id, EVALUATE)
    made = None if key is None else session.ledger.find_step(key)
    return None if made is None else made["report"].facts


def _key(session: Session, run_id: str, name: str) -> str | None:
    """The key of a run's step, once it is done."""
    step = next((step for step in session.ledger.run_steps(run_id) if step.name == name), None)
    return step.step_key if step is not None and step.status in ("done", "cached") else None
