"""The rows that a check looks at, as a dataset: captured answers, or the texts of a file."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core import digests, machine
from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.errors import DataError
from tunesmith.core.source import Batch
from tunesmith.data.dataset import write_dataset
from tunesmith.data.targets import names_of
from tunesmith.governance.privacy.treat import treatment_of
from tunesmith.lifecycle import columns
from tunesmith.lifecycle.session import Session
from tunesmith.lifecycle.table_file import Record, open_table, sample
from tunesmith.models.manifest import ModelManifest
from tunesmith.store import observations
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.records import ModelVersion
from tunesmith.texts.repair import repair_texts

STAGE = "observations"
NAMES = ("row_id", "subject", "text", "answer", "truth")


@dataclass(frozen=True)
class Observed:
    """A dataset of observations, and what was read for it."""

    dataset: Artifact
    rows: dict[str, int]
    """``read``, ``looked_at``, and why the others were not."""
    latencies_ms: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    """What was odd about the file."""


def captured(session: Session, version: ModelVersion, since: datetime, most: int) -> Observed | None:
    """The newest captured answers of a version since a moment; None where there is none."""
    engine, project = session.ledger.engine, session.ledger.project
    found = observations.read(engine, project, version.name, version=version.version, since=since, most=most)
    if not found:
        return None
    num = observations.count(engine, project, version.name, version.version, since)
    table: dict[str, list[Any]] = {
        "row_id": [one.id for one in found],
        "subject": [one.subject for one in found],
        "text": [one.text for one in found],
        "answer": [_json(dict(one.answer)) for one in found],
        "truth": [_json(one.truth) if one.has_truth else None for one in found],
    }
    dataset = _dataset(session, table, f"{version.name}@{version.version}")
    rows = {"read": num, "looked_at": len(found)} | ({"older": num - len(found)} if num > len(found) else {})
    return Observed(dataset, rows, tuple(one.latency_ms for one in found))


def from_file(
    session: Session,
    version: ModelVersion,
    manifest: ModelManifest,
    path: Path,
    most: int,
    *,
    text_column: str | None,
    label_column: str | None,
    trained_on: Sequence[str],
    seed: int,
) -> Observed:
    """The texts of a file, treated as the model's own, and their labels where it has a column of them.

    Raises: DataError where no row has a text.
    """
    wanted = [name for name in (text_column, label_column) if name] or list(trained_on)
    table = open_table(path, wanted)
    head = sample(table)
    text, _ = columns.text_column(head, text_column, trained_on, path.name)
    # Only as asked: a column that is called as in training may hold something else, and would look like wrong answers.
    label = None if label_column is None else columns.named(head, label_column, "--label-column", path.name)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    # Counted first and read again: only the rows that are drawn are held.
    num = sum(1 for _ in _usable(table.records(), text, counts, reasons))
    if not num:
        raise DataError(
            f"{path.name}: no row has a text, so nothing can be compared",
            seen=", ".join(f"{number} {what}" for what, number in (counts + reasons).items()) or "no rows",
            next="check --text-column",
        )
    drawn = np.ones(num, bool)
    if num > most:
        counts["not drawn"] += num - most
        drawn = np.zeros(num, bool)
        drawn[np.random.default_rng([seed, 33]).permutation(num)[:most]] = True
    again = _usable(table.records(), text, Counter(), Counter())
    pairs = [(str(one.cells[text]), _truth(one, label, manifest)) for one in compress(again, drawn)]
    key = session.workspace.subject_key() if manifest.privacy else None
    treatment = treatment_of(manifest.privacy, key)
    texts = [one for one, _ in pairs]
    treated = texts if treatment is None else treatment.texts(texts)
    learned = repair_texts(treated, unicode=manifest.repair.unicode, whitespace=manifest.repair.whitespace)
    rows: dict[str, list[Any]] = {
        "row_id": [f"{path.name}:{place}" for place in range(len(learned))],
        "subject": [None] * len(learned),
        "text": learned,
        "answer": [None] * len(learned),
        "truth": [None if truth is None else _json(truth) for _, truth in pairs],
    }
    dataset = _dataset(session, rows, f"{version.name}@{version.version}")
    told = {"read": sum(counts.values()) + len(pairs), "looked_at": len(pairs), **counts}
    return Observed(dataset, told, notes=(*_refusals(path, reasons), *table.notes))


def _usable(records: Iterator[Record], text: str, counts: Counter[str], reasons: Counter[str]) -> Iterator[Record]:
    """Each record that has a text; every other one is counted, one that is no row with its reason too."""
    for record in records:
        if record.error is not None:
            counts["refused"] += 1
            reasons[record.reason] += 1
        elif columns.is_empty(record.cells.get(text)):
            counts["text is empty"] += 1
        else:
            yield record


def _refusals(path: Path, reasons: Counter[str]) -> tuple[str, ...]:
    if not reasons:
        return ()
    words = ", ".join(f"{why} ({number:,})" for why, number in reasons.most_common())
    return (f"{path.name}: {reasons.total():,} records cannot be read as rows: {words}",)


def _truth(record: Record, label: str | None, manifest: ModelManifest) -> Any:
    """The true label of a record; None where it has none."""
    cell = None if label is None else record.cells.get(label)
    if columns.is_empty(cell):
        return None
    if manifest.task == "tag":
        return names_of(cell, "|")
    return columns.as_number(cell) if manifest.task == "regress" else str(cell).strip()


def _dataset(session: Session, table: Mapping[str, list[Any]], model: str) -> Artifact:
    """The rows as an artifact; equal rows are one."""
    store = ArtifactStore(session.workspace, session.ledger)
    key = digests.of_value({"sort": STAGE, "model": model, "rows": {name: table[name] for name in NAMES}})
    found = store.find(key)
    if found is not None:
        return found["dataset"]
    num = len(table["row_id"])
    lineage = {"row_id": table["row_id"], "source_id": [STAGE] * num, "subject": table["subject"]}
    batch = Batch({**lineage, "parents": [[]] * num, **{name: table[name] for name in NAMES[2:]}}, ())
    folder = session.workspace.step_folder(key)
    with session.workspace.lock(folder / "lock"):
        write_dataset(folder / "out" / "dataset", [batch], list(NAMES[2:]))
        num_labelled = sum(one is not None for one in table["truth"])
        facts = {"source": STAGE, "model": model, "rows": num, "labelled": num_labelled}
        made_by = MadeBy(key, STAGE, 0, machine.versions(), machine.hardware(), {})
        saved = store.save_step(key, key, STAGE, folder / "out", {"dataset": ("dataset", facts)}, made_by, ())
    shutil.rmtree(folder / "out", ignore_errors=True)
    return saved["dataset"]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
