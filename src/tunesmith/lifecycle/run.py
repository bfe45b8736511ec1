"""One run from its recipe to the release decision, and the same run again after it was stopped."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import Interrupted, StepError, TunesmithError
from tunesmith.core.events import Event, EventLog
from tunesmith.lifecycle import news
from tunesmith.lifecycle.base_step import held_fast
from tunesmith.lifecycle.champion import note_champion, noted
from tunesmith.lifecycle.flow import Flow
from tunesmith.lifecycle.flows import flow_of
from tunesmith.lifecycle.recorded import digest_of, record, recorded
from tunesmith.lifecycle.release import Release, release
from tunesmith.lifecycle.runner import Outputs, Runner
from tunesmith.lifecycle.session import Session
from tunesmith.recipe.load import dump
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.reporting.report import write_report
from tunesmith.reporting.view import RunView, StepView
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.files import write_json

REPORT, RESULT = "report.html", "result.json"
Until = Literal["evaluate", "release"]


@dataclass(frozen=True)
class RunResult:
    """How a run ended."""

    run: str
    status: str
    """done: released, or evaluated where that was all that was asked; waiting: for a person's word; denied: by the gate
    or a person."""
    verdict: str
    metrics: Mapping[str, Any]
    baselines: Mapping[str, Any]
    model: str | None
    """``name@alias`` where the model was released, else the run's own reference ``run:ID``."""
    report: str
    rows: Mapping[str, Any]
    comparisons: list[Mapping[str, Any]]
    gate: Mapping[str, Any]
    seconds: float
    approval: Mapping[str, Any] | None = None
    """The last word of a person on this model: kind (`exception` where the gate had said no), decision, by, reason."""
    why: str | None = None
    """Why a person's word is waited for, where the recipe does not ask for it; or why the alias was not moved."""

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return asdict(self)


def start_run(session: Session, recipe: AnyRecipe, until: Until = "release", cause: str = "by hand") -> RunResult:
    """Run a recipe under a new run id; ``cause``: why a model in production is trained again, where one is.

    Raises: NothingNew, before a run is on record, where such a model would be given nothing that it does not have.
    """
    recipe = held_fast(recipe, session.ledger)
    warned = news.ask(session, recipe)
    stamp = datetime.now(UTC).strftime("%m%d-%H%M")
    run_id = f"{recipe.name}-{stamp}-{secrets.token_hex(2)}"
    with _held(session, run_id) as folder:
        record(recipe, folder)
        return _locked(session, recipe, digest_of(recipe), run_id, until, folder, cause, warned)


def resume_run(session: Session, run_id: str, until: Until = "release") -> RunResult:
    """Go on with a run that was stopped; done steps are taken over, a killed training goes on from its checkpoint.

    Raises: RecipeError where the run's recipe has been changed since.
    """
    known = session.ledger.run(run_id)
    with _held(session, run_id) as folder:
        recipe = recorded(folder, run_id, known.recipe_digest)
        return _locked(session, recipe, known.recipe_digest, run_id, until, folder)


@contextmanager
def _held(session: Session, run_id: str) -> Iterator[Path]:
    """A run's folder, for this process alone."""
    folder = session.workspace.run_folder(run_id)
    # Before anything is recorded: a second resume must not mark the run that is under way as failed.
    with session.workspace.lock(folder / "lock", wait=False):
        yield folder


def _locked(
    session: Session,
    recipe: AnyRecipe,
    digest: str,
    run_id: str,
    until: Until,
    folder: Path,
    cause: str = "by hand",
    warned: Sequence[Event] = (),
) -> RunResult:
    started = datetime.now(UTC)
    session.ledger.start_run(run_id, recipe.name, recipe.task, digest, by=session.actor)
    note_champion(session, recipe, run_id, cause)
    log = EventLog(folder / "events.jsonl", session.listener)
    warnings: list[str] = []

    def listen(event: Event) -> None:
        if event.get("event") == "warning":
            warnings.append(str(event.get("message")))
        log.forward({"run": run_id, **event})

    runner = Runner(
        session.workspace,
        session.ledger,
        seed=recipe.seed,
        listener=listen,
        is_cancelled=session.cancel.is_set,
        run_id=run_id,
    )
    try:
        for event in warned:
            listen(event)
        flow = flow_of(recipe, runner.store)
        results = runner.run(flow.specs)
        made = flow.made(results)
        released = _release(session, recipe, run_id, made, until)
        status = "done" if until == "evaluate" else released.status
        view = _view(session, recipe, run_id, flow, results, released, status, started, warnings)
        write_report(view, folder / REPORT)
        session.ledger.end_run(
            run_id, status, verdict=released.verdict, model_digest=made["model"].digest, by=session.actor
        )
    except BaseException as error:
        raise _ended(session, run_id, error) from error
    finally:
        log.close()
    outcome = _outcome(run_id, status, made, released, folder / REPORT, started)
    write_json(folder / RESULT, outcome.to_dict())
    return outcome


def _outcome(
    run_id: str, status: str, made: Mapping[str, Artifact], released: Release, page: Path, started: datetime
) -> RunResult:
    report = made["report"].facts
    return RunResult(
        run=run_id,
        status=status,
        verdict=released.verdict,
        metrics=report["metrics"],
        baselines=report["baselines"],
        model=released.reference or f"run:{run_id}",
        report=str(page),
        rows=made["splits"].facts["rows"],
        comparisons=report["comparisons"],
        gate=report["gate"],
        seconds=round((datetime.now(UTC) - started).total_seconds(), 1),
        approval=released.approval.to_dict() if released.approval else None,
        why=released.why,
    )


def _ended(session: Session, run_id: str, error: BaseException) -> BaseException:
    """The error that ended a run, recorded and carrying the run's id."""
    if isinstance(error, KeyboardInterrupt):
        error = Interrupted("interrupted")
    if isinstance(error, TunesmithError):
        error.run_id = run_id
        status: Literal["interrupted", "failed"] = "interrupted" if isinstance(error, Interrupted) else "failed"
        session.ledger.end_run(run_id, status, error=error.to_dict(), by=session.actor)
    else:
        unknown = StepError(f"{type(error).__name__}: {error}")
        session.ledger.end_run(run_id, "failed", error=unknown.to_dict(), by=session.actor)
    return error


def _release(session: Session, recipe: AnyRecipe, run_id: str, made: Mapping[str, Artifact], until: Until) -> Release:
    model, report = made["model"], made["report"]
    if until == "evaluate":
        return Release(False, report.facts["gate"]["verdict"], recipe.name)
    return release(session, recipe.name, recipe.serve.alias, run_id, model, report, recipe.serve.approval)


def _view(
    session: Session,
    recipe: AnyRecipe,
    run_id: str,
    flow: Flow,
    results: Mapping[str, Outputs],
    released: Release,
    status: str,
    started: datetime,
    warnings: list[str],
) -> RunView:
    done = {step.name: step.status for step in session.ledger.run_steps(run_id)}
    made = flow.made(results)
    model, splits = made["model"], made["splits"]
    steps = [
        StepView(
            name=spec.name,
            stage=spec.kind,
            status=done.get(spec.name, "done"),
            key=next(iter(results[spec.name].values())).made_by.step_key,
            outputs={name: one.digest for name, one in results[spec.name].items()},
            cost=dict(next(iter(results[spec.name].values())).made_by.cost),
        )
        for spec in flow.specs
    ]
    return RunView(
        run_id=run_id,
        name=recipe.name,
        task=recipe.task,
        created=started.isoformat(timespec="seconds"),
        status=status,
        reference=released.reference,
        version=released.version,
        approval=released.approval.to_dict() if released.approval else None,
        retraining=noted(session, recipe, run_id),
        sources=[results[f"ingest:{source.name}"]["dataset"].facts for source in recipe.read_sources],
        splits=splits.facts,
        quality=made["quality"].facts,
        base=made["base"].facts,
        model=model.facts,
        report=made["report"].facts,
        baselines=made["baselines"].facts if "baselines" in made else {},
        history=made["history"].path / "history.jsonl",
        predictions=made["report"].path / "predictions.parquet",
        removed=splits.path / "removed.parquet",
        quarantine=splits.path / "quarantine.parquet",
        steps=steps,
        versions=dict(model.made_by.versions),
        hardware=dict(model.made_by.hardware),
        recipe_yaml=dump(recipe),
        warnings=tuple(dict.fromkeys(warnings)),
        settings=_settings(recipe, made),
        confidence=recipe.confidence,
        made={spec.name: {name: one.facts for name, one in results[spec.name].items()} for spec in flow.specs},
        files={f"{spec.name}/{name}": one.path for spec in flow.specs for name, one in results[spec.name].items()},
        split_files={name: splits.path / f"{name}.parquet" for name in splits.facts["splits"]},
    )


def _settings(recipe: AnyRecipe, made: Mapping[str, Artifact]) -> dict[str, Any]:
    """The settings that were trained with: those that tuning chose, else the recipe's own."""
    if "settings" not in made:
        settings = recipe.settings()
        if settings["optimizer"]["lr"] is None:
            # A language model's vetted rate goes with its size, which only the step knew.
            settings["optimizer"]["lr"] = made["model"].facts["lr"]
        return settings
    chosen: dict[str, Any] = json.loads((made["settings"].path / "settings.json").read_text(encoding="utf-8"))["train"]
    return chosen


def report_path(session: Session, run_id: str) -> Path:
    """Where a run's report is."""
    session.ledger.run(run_id)
    return session.workspace.run_folder(run_id) / REPORT


def tell_decision(session: Session, run_id: str, released: Release) -> Path | None:
    """Write a run's result and report anew after a person decided, from what its steps made.

    None where something that the report shows is gone: the decision is in the ledger all the same.
    """
    folder = session.workspace.run_folder(run_id)
    try:
        outcome = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        told: dict[str, Any] = {"status": released.status, "model": released.reference or f"run:{run_id}"}
        told["approval"] = released.approval.to_dict() if released.approval else None
        write_json(folder / RESULT, outcome | told)
        recipe = recorded(folder, run_id, session.ledger.run(run_id).recipe_digest)
        store = ArtifactStore(session.workspace, session.ledger)
        keys = {step.name: step.step_key for step in session.ledger.run_steps(run_id)}
        flow = flow_of(recipe, store)
        results = {spec.name: store.find(str(keys[spec.name])) or {} for spec in flow.specs}
        started = session.ledger.run(run_id).started or datetime.now(UTC)
        warnings = _warnings(folder)
        view = _view(session, recipe, run_id, flow, results, released, released.status, started, warnings)
        write_report(view, folder / REPORT)
    except (TunesmithError, OSError, ValueError, LookupError, StopIteration):
        return None
    return folder / REPORT


def rebuild_report(session: Session, run_id: str) -> Path | None:
    """Write a run's report anew from what is left of what its steps made; None where that is too little.

    For after rows were taken out: what was measured stays, what shows rows shows those that are left.
    """
    folder, known = session.workspace.run_folder(run_id), session.ledger.run(run_id)
    try:
        recipe = recorded(folder, run_id, known.recipe_digest)
        store = ArtifactStore(session.workspace, session.ledger)
        keys = {step.name: step.step_key for step in session.ledger.run_steps(run_id)}
        flow = flow_of(recipe, store)
        results = {spec.name: store.on_record(str(keys[spec.name])) for spec in flow.specs}
        versions = [one for one in session.ledger.models() if one.digest == known.model_digest]
        mine = next((one for one in versions if one.run_id == run_id), None)
        word = None if known.model_digest is None else session.ledger.approval(run_id, known.model_digest)
        alias = next(iter(mine.aliases), None) if mine else None
        number = mine.version if mine else None
        released = Release(mine is not None, known.verdict or "", recipe.name, number, alias, approval=word)
        started = known.started or datetime.now(UTC)
        view = _view(session, recipe, run_id, flow, results, released, known.status, started, _warnings(folder))
        write_report(view, folder / REPORT)
    except (TunesmithError, OSError, ValueError, LookupError, StopIteration):
        return None
    return folder / REPORT


def _warnings(folder: Path) -> list[str]:
    """The warnings of a run, from its events."""
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    return [str(event.get("message")) for event in events if event.get("event") == "warning"]
