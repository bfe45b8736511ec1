"""What people said of runs: approved or refused, and why. The latest word on a model counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from tunesmith.store.records import RunStatus
from tunesmith.store.tables import APPROVALS, RUNS

Kind = Literal["exception", "release"]
"""exception: the gate had said no; release: the recipe asks for a person's word."""
Decision = Literal["approved", "refused"]


@dataclass(frozen=True)
class Approval:
    """One decision, of the model that a run had made when it was taken."""

    run_id: str
    model_digest: str
    kind: Kind
    decision: Decision
    by: str
    reason: str
    at: datetime

    @property
    def words(self) -> str:
        """The decision as people are told it."""
        if self.decision == "refused":
            return f"refused: {self.by}, {self.reason}"
        return f"{'released by exception' if self.kind == 'exception' else 'approved'}: {self.by}, {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """The decision as JSON values."""
        return asdict(self) | {"at": self.at.isoformat(timespec="seconds"), "words": self.words}


def record(
    connection: Connection,
    project: str,
    *,
    run_id: str,
    model_digest: str,
    kind: Kind,
    decision: Decision,
    by: str,
    reason: str,
) -> Approval:
    """Keep a decision, in the caller's transaction."""
    made = Approval(run_id, model_digest, kind, decision, by, reason, datetime.now(UTC))
    connection.execute(insert(APPROVALS).values(project_id=project, **vars(made)))
    return made


def latest(connection: Connection, project: str, run_id: str, model_digest: str) -> Approval | None:
    """The last word on the model of a run; None where nobody spoke, or of another model that the run made."""
    where = (APPROVALS.c.project_id == project) & (APPROVALS.c.run_id == run_id)
    query = select(APPROVALS).where(where, APPROVALS.c.model_digest == model_digest)
    row = connection.execute(query.order_by(APPROVALS.c.sequence.desc()).limit(1)).one_or_none()
    return None if row is None else Approval(**{name: row._mapping[name] for name in Approval.__dataclass_fields__})


def status_of(connection: Connection, project: str, run_id: str) -> RunStatus:
    """How a run stands, in the caller's transaction; on a server, it stays so until the transaction ends."""
    where = (RUNS.c.project_id == project) & (RUNS.c.id == run_id)
    status: RunStatus = connection.execute(select(RUNS.c.status).where(where).with_for_update()).scalar_one()
    return status


def settle(connection: Connection, project: str, run_id: str, status: Literal["done", "denied"]) -> None:
    """Let a run stand as a decision left it."""
    where = (RUNS.c.project_id == project) & (RUNS.c.id == run_id)
    connection.execute(update(RUNS).where(where).values(status=status))
