"""What is known of a released model: its data, base, scores, verdict, where it comes from and its size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import TunesmithError
from tunesmith.lifecycle.model import find_model
from tunesmith.lifecycle.reports import ReleasedModel, released, report_of, run_of, version_of
from tunesmith.lifecycle.run import REPORT
from tunesmith.lifecycle.session import Session
from tunesmith.store.artifacts import ArtifactStore


@dataclass(frozen=True)
class ModelCard:
    """A model as it was made and measured."""

    reference: str
    digest: str
    version: Mapping[str, Any] | None
    """Name, number, aliases, verdict and date; None for a model that was not released."""
    task: str
    labels: int
    base: Mapping[str, Any]
    trained: Mapping[str, Any]
    """What was trained, on how many rows, for how long, its best validation."""
    data: Mapping[str, Any]
    """Sources with purpose and licence, and rows by split; empty where the run's steps are gone."""
    scores: Mapping[str, Any]
    """Metrics on the test rows with intervals, the primary first; empty where it was not evaluated."""
    verdicts: list[Mapping[str, Any]]
    gate: Mapping[str, Any]
    not_measured: Mapping[str, str]
    lineage: Mapping[str, Any]
    """The run and its report, the step key, seed and versions, and the digests it was made from."""
    size_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON values."""
        return asdict(self)


def model_card(session: Session, reference: str) -> ModelCard:
    """The card of ``name@alias``, ``name@version``, ``name`` or ``run:ID``."""
    model, run_id = find_model(session, reference), run_of(session, reference)
    facts, steps = model.facts, _steps(session, run_id)
    try:
        report: Mapping[str, Any] = report_of(session, reference).facts
    except TunesmithError:
        report = {}
    scores = report.get("metrics", {}).get("test", {})
    primary = report.get("primary")
    report_path = session.workspace.run_folder(run_id) / REPORT
    trained = ("trainable", "num_trained_parameters", "rows", "epochs", "steps", "best", "watched", "precision")
    return ModelCard(
        reference=reference,
        digest=model.digest,
        version=_version(session, reference),
        task=str(facts["task"]),
        labels=len(facts.get("labels") or ()),
        base=_base(facts, steps),
        trained={name: facts[name] for name in trained if name in facts},
        data=_data(steps),
        scores={name: scores[name] for name in sorted(scores, key=lambda name: (name != primary, name))},
        verdicts=[dict(one) for one in report.get("comparisons", ())],
        gate=report.get("gate", {}),
        not_measured=report.get("not_measured", {}),
        lineage={
            "run": run_id,
            "report": str(report_path) if report_path.is_file() else None,
            "step_key": model.made_by.step_key,
            "seed": model.made_by.seed,
            "versions": dict(model.made_by.versions),
            "parents": list(model.parents),
        },
        size_bytes=sum(path.stat().st_size for path in model.path.rglob("*") if path.is_file()),
    )


def _version(session: Session, reference: str) -> dict[str, Any] | None:
    if reference.startswith("run:"):
        return None
    wanted = version_of(session, reference)
    found: ReleasedModel = next(
        one for one in released(session) if (one.name, one.version) == (wanted.name, wanted.version)
    )
    return found.to_dict()


def _steps(session: Session, run_id: str) -> dict[str, Mapping[str, Artifact]]:
    """What the run's steps made, by step name; those whose files are gone are left out."""
    store = ArtifactStore(session.workspace, session.ledger)
    found: dict[str, Mapping[str, Artifact]] = {}
    for step in session.ledger.run_steps(run_id):
        made = store.find(step.step_key) if step.step_key and step.status in ("done", "cached") else None
        if made is not None:
            found[step.name] = made
    return found


def _base(facts: Mapping[str, Any], steps: Mapping[str, Mapping[str, Artifact]]) -> dict[str, Any]:
    digest = facts["base"]["digest"]
    pinned = next(
        (made["base"].facts for made in steps.values() if "base" in made and made["base"].digest == digest), {}
    )
    known = ("model_type", "num_parameters", "num_layers", "hidden", "max_tokens", "adapted")
    return {**facts["base"], **{name: pinned[name] for name in known if name in pinned}}


def _data(steps: Mapping[str, Mapping[str, Artifact]]) -> dict[str, Any]:
    named = ("source", "format", "rows", "purpose", "licence")
    sources = [
        {key: made["dataset"].facts.get(key) for key in named}
        for name, made in steps.items()
        if name.startswith("ingest:") and "dataset" in made
    ]
    prepared = steps.get("extend", steps.get("prepare", {})).get("splits")
    return {} if prepared is None else {"sources": sources, "splits": dict(prepared.facts["splits"])}
