"""A check of a released model: what it is asked and answers now, against what it was made with."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import RecipeError, StoreError, TunesmithError
from tunesmith.lifecycle import alerting, observed
from tunesmith.lifecycle.observed import Observed
from tunesmith.lifecycle.origin import recipe_of
from tunesmith.lifecycle.registry import base_digest
from tunesmith.lifecycle.reports import report_of, splits_of, trained_columns, version_of
from tunesmith.lifecycle.runner import Runner
from tunesmith.lifecycle.session import Session
from tunesmith.models.manifest import ModelManifest
from tunesmith.models.manifests import read_manifest
from tunesmith.monitoring.alerts import Alert, causes
from tunesmith.monitoring.config import MonitorConfig, seconds_of
from tunesmith.recipe.recipe import Recipe
from tunesmith.reporting.drift_report import DriftView, write_drift_report
from tunesmith.store import observations
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.files import make_folder, write_json
from tunesmith.store.records import ModelVersion

FOLDER, PAGE, LAST = "monitor", "monitor.html", "last.json"


@dataclass(frozen=True)
class Monitored:
    """What a check found."""

    model: str
    """``name@version``, whatever the reference was."""
    checked: str
    """UTC, ISO 8601."""
    since: str | None
    """Begin of the window; None for a file."""
    file: str | None
    is_alert: bool
    causes: list[dict[str, Any]]
    rows: dict[str, int]
    tests: list[dict[str, Any]]
    performance: dict[str, Any]
    traffic: dict[str, Any] | None
    """Requests by outcome and times; None for a file."""
    notes: list[str]
    webhook: dict[str, Any] | None
    """Whether the webhook took the alert; None where none was sent."""
    report: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The check as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Gauge:
    """One value of the last checks, as `/metrics` shows it."""

    name: str
    means: str
    labels: Mapping[str, str]
    value: float


def monitor(
    session: Session,
    reference: str,
    *,
    since: str | None = None,
    file: Path | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
) -> Monitored:
    """Check a released model's captured answers, or the texts of a file; the report is written beside.

    Raises: RecipeError for a language model or a window that is none, StoreError where the model's run is gone.
    """
    started = time.monotonic()
    if reference.startswith("run:"):
        raise RecipeError(
            "a released model is watched, and a run is none",
            seen=reference,
            allowed="name@alias, name@version or name",
            next="tunesmith models lists the released ones",
        )
    version = version_of(session, reference)
    store = ArtifactStore(session.workspace, session.ledger)
    model = store.load(version.digest)
    manifest, recipe = _readable(session, version, model)
    config = recipe.monitor
    now = datetime.now(UTC)
    begin = now - timedelta(seconds=_seconds(since or config.window))
    if file is not None:
        found: Observed | None = observed.from_file(
            session,
            version,
            manifest,
            file,
            config.drift.most_rows,
            text_column=text_column,
            label_column=label_column,
            trained_on=trained_columns(session, reference, "text"),
            seed=recipe.seed,
        )
        traffic = None
    else:
        found = observed.captured(session, version, begin, config.drift.most_rows)
        traffic = _traffic(session, version, begin, found)
    report = None if found is None else _compared(session, store, reference, recipe, model, found)
    return _told(session, version, config, report, found, traffic, now, None if file else begin, file, started)


def gauges(session: Session) -> list[Gauge]:
    """What the last check of each model version found, for whoever scrapes metrics."""
    made = []
    for path in sorted((session.workspace.folder / FOLDER).glob(f"*/{LAST}")):
        last = json.loads(path.read_text(encoding="utf-8"))
        model = {"model": last["model"]}
        checked = datetime.fromisoformat(last["checked"]).timestamp()
        made.append(Gauge("tunesmith_monitor_checked_seconds", "When the model was last checked", model, checked))
        made.append(
            Gauge("tunesmith_monitor_alert", "Whether the last check gave an alert", model, float(last["is_alert"]))
        )
        rows = float(last["rows"].get("looked_at", 0))
        made.append(Gauge("tunesmith_monitor_rows", "Texts that the last check looked at", model, rows))
        for one in last["tests"]:
            labels = {**model, "test": one["name"]}
            for name, key, means in (
                ("effect", "effect", "How much changed, 0 to 1"),
                ("p_value", "adjusted", "p-value, adjusted for all tests of the check"),
            ):
                if one[key] is not None:
                    made.append(Gauge(f"tunesmith_monitor_{name}", means, labels, float(one[key])))
        primary = last["performance"].get("primary")
        if primary is not None:
            labels = {**model, "metric": primary["metric"]}
            made.append(Gauge("tunesmith_monitor_score", "Score of rows with a true label", labels, primary["value"]))
    return made


def last_check(session: Session, name: str, version: int) -> dict[str, Any] | None:
    """What the last check of a version found; None before the first."""
    path = _folder(session, f"{name}@{version}") / LAST
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _readable(session: Session, version: ModelVersion, model: Artifact) -> tuple[ModelManifest, Recipe]:
    manifest = read_manifest(model.path)
    name = f"{version.name}@{version.version}"
    if not isinstance(manifest, ModelManifest):
        raise RecipeError(
            "models that answer with labels or numbers are watched, and this one writes text",
            seen=f"{name}: task {manifest.task}",
            next=f"tunesmith evaluate {name} FILE measures it on rows with references",
        )
    recipe = recipe_of(session, version)
    if not isinstance(recipe, Recipe):
        raise StoreError(
            f"the recipe that made `{name}` is gone, and it says how the model is watched",
            seen=f"run {version.run_id}",
            next="run the recipe again: what was done is taken over",
        )
    return manifest, recipe


def _seconds(since: str) -> int:
    try:
        return seconds_of(since)
    except ValueError as error:
        raise RecipeError(str(error), seen=since, allowed="90m, 24h, 7d, 2w", next="--since 7d") from None


def _compared(
    session: Session, store: ArtifactStore, reference: str, recipe: Recipe, model: Artifact, found: Observed
) -> Artifact:
    """The drift report of a dataset of observations; what it needs of the model's own rows is computed once."""
    runner = Runner(
        session.workspace,
        session.ledger,
        seed=recipe.seed,
        listener=session.listener,
        is_cancelled=session.cancel.is_set,
    )
    own = base_digest(model)
    # A model that brings its own weights needs no base: its own folder stands in the place.
    given = {
        "model": model,
        "base": model if own is None else store.load(own),
        "splits": splits_of(session, reference),
    }
    made = runner.on("monitor:reference", "reference", recipe.for_reference(), given)
    given |= {"observations": found.dataset, "reference": made["reference"]}
    metric = None
    try:
        given["report"] = report_of(session, reference)
        metric = str(given["report"].facts["primary"])
    except TunesmithError:
        pass  # drift is told without it; the score says why it is not
    return runner.on("monitor:drift", "drift", recipe.for_drift(metric), given)["report"]


def _traffic(session: Session, version: ModelVersion, since: datetime, found: Observed | None) -> dict[str, Any]:
    """Requests by outcome, and how long captured ones took."""
    ledger = session.ledger
    counts: dict[str, int] = {"answered": 0, "refused": 0, "failed": 0}
    minute = since.replace(second=0, microsecond=0)
    for one in observations.served(ledger.engine, ledger.project, version.name, version.version, minute):
        counts[one.outcome] += one.requests
    total = sum(counts.values())
    times: dict[str, float] = {}
    if found is not None and found.latencies_ms:
        values = np.percentile(found.latencies_ms, [50, 95, 99])
        times = {name: round(float(value), 3) for name, value in zip(("p50", "p95", "p99"), values, strict=True)}
    return {
        "requests": counts,
        "failed_share": counts["failed"] / total if total else None,
        "refused_share": counts["refused"] / total if total else None,
        "latency_ms": times,
    }


def _told(
    session: Session,
    version: ModelVersion,
    config: MonitorConfig,
    report: Artifact | None,
    found: Observed | None,
    traffic: dict[str, Any] | None,
    now: datetime,
    begin: datetime | None,
    file: Path | None,
    started: float,
) -> Monitored:
    """Write the page and the last check, tell of an alert, and return what was found."""
    model = f"{version.name}@{version.version}"
    folder = make_folder(_folder(session, model))
    facts = None if report is None else report.facts
    why = causes(facts, traffic, config)
    notes = list(facts["notes"]) if facts else [f"nothing was captured since {begin:%Y-%m-%d %H:%M} UTC: not enough"]
    notes += [] if found is None else found.notes
    before = alerting.logged(folder)
    told = alerting.told_lately(before, why, config.webhook, now, None if file is None else file.name)
    notes += [] if told is None else [told]
    performance: dict[str, Any] = {"rows": 0, "scores": [], "primary": None}
    performance |= {} if facts is None else facts["performance"]
    checked = now.isoformat(timespec="seconds")
    since = None if begin is None else begin.isoformat(timespec="seconds")
    monitored = Monitored(
        model=model,
        checked=checked,
        since=since,
        file=None if file is None else str(file),
        is_alert=bool(why),
        causes=[asdict(one) for one in why],
        rows={} if found is None else found.rows,
        tests=[] if facts is None else [{k: v for k, v in one.items() if k != "picture"} for one in facts["tests"]],
        performance=performance,
        traffic=traffic,
        notes=notes,
        webhook=None,
        report=str(folder / PAGE),
        seconds=0.0,
    )
    _write_page(monitored, report, alerting.checks(before), folder / PAGE)
    alert = Alert(model, session.workspace.project, checked, monitored.rows.get("looked_at", 0), why, monitored.report)
    is_tested = any(one["adjusted"] is not None for one in monitored.tests)
    delivery = alerting.record(
        session,
        alert,
        config.webhook,
        folder,
        file=None if file is None else file.name,
        primary=performance["primary"],
        is_tested=is_tested,
        is_told=told is not None,
    )
    webhook, seconds = None if delivery is None else asdict(delivery), round(time.monotonic() - started, 1)
    monitored = replace(monitored, webhook=webhook, seconds=seconds)
    write_json(folder / LAST, monitored.to_dict())
    return monitored


def _write_page(found: Monitored, report: Artifact | None, before: Sequence[Mapping[str, Any]], page: Path) -> None:
    """Write the page of a check, with those before it."""
    view = DriftView(
        model=found.model,
        checked=found.checked,
        since=found.since,
        file=None if found.file is None else Path(found.file).name,
        rows=found.rows,
        facts=None if report is None else report.facts,
        causes=found.causes,
        traffic=found.traffic,
        strangest=None if report is None else report.path / "strangest.parquet",
        notes=found.notes,
        before=before,
    )
    write_drift_report(view, page)


def _folder(session: Session, model: str) -> Path:
    return session.workspace.folder / FOLDER / model
