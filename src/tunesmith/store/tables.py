"""The ledger's tables. Every one carries ``project_id``, and every key begins with it: projects never meet."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)

HEAD = "0003"
"""The newest migration; kept here so that opening an up-to-date ledger does not import alembic."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite forgets the zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# Names for constraints, so that later migrations can name what they change.
METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# SQLite counts up by itself only in a column of exactly this type.
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")


def _project() -> Column[str]:
    return Column("project_id", String(128), ForeignKey("projects.id"), primary_key=True)


PROJECTS = Table(
    "projects",
    METADATA,
    Column("id", String(128), primary_key=True),
    Column("created", UtcDateTime, nullable=False),
)

RUNS = Table(
    "runs",
    METADATA,
    # Order is this number, never the clock, which can be set back.
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("project_id", String(128), ForeignKey("projects.id"), nullable=False),
    Column("id", String(128), nullable=False),
    Column("name", String, nullable=False),
    Column("task", String, nullable=False),
    Column("recipe_digest", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("verdict", String),
    Column("started", UtcDateTime),
    Column("ended", UtcDateTime),
    Column("error", JSON(none_as_null=True)),
    Column("model_digest", String(64)),
    UniqueConstraint("project_id", "id"),
)

STEPS = Table(
    "steps",
    METADATA,
    _project(),
    Column("key", String(128), primary_key=True),
    Column("content_key", String(128), nullable=False),
    Column("stage", String, nullable=False),
    Column("name", String),
    # done: it was run; aliased: an equal step's outputs were taken over.
    Column("status", String(16), nullable=False),
    Column("run_id", String(128)),
    Column("started", UtcDateTime),
    Column("ended", UtcDateTime, nullable=False),
    Column("cost", JSON, nullable=False),
    Index(None, "project_id", "content_key"),
)

ARTIFACTS = Table(
    "artifacts",
    METADATA,
    _project(),
    Column("digest", String(64), primary_key=True),
    Column("kind", String, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("made_by", JSON, nullable=False),
    Column("created", UtcDateTime, nullable=False),
)

# Two steps can make equal bytes and still have other things to say about them, so an output keeps its own facts;
# ``artifacts`` keeps those of the first.
STEP_OUTPUTS = Table(
    "step_outputs",
    METADATA,
    Column("project_id", String(128), primary_key=True),
    Column("step_key", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("kind", String, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("made_by", JSON, nullable=False),
    ForeignKeyConstraint(["project_id", "step_key"], ["steps.project_id", "steps.key"], ondelete="CASCADE"),
    ForeignKeyConstraint(["project_id", "digest"], ["artifacts.project_id", "artifacts.digest"]),
)

LINEAGE = Table(
    "lineage",
    METADATA,
    Column("project_id", String(128), primary_key=True),
    Column("child", String(64), primary_key=True),
    Column("parent", String(64), primary_key=True),
    # The step that made the child from the parent: equal bytes can come from several.
    Column("step_key", String(128), primary_key=True),
    Column("position", Integer, nullable=False),
    ForeignKeyConstraint(["project_id", "child"], ["artifacts.project_id", "artifacts.digest"]),
    ForeignKeyConstraint(["project_id", "parent"], ["artifacts.project_id", "artifacts.digest"]),
    Index(None, "project_id", "parent"),
)

# Where the pulls of a source stand: the rows as of the last one, and how to go on from there. Both are artifacts, and
# they move together, in the transaction that records them.
CURSORS = Table(
    "cursors",
    METADATA,
    _project(),
    Column("source", String(64), primary_key=True),
    Column("name", String, nullable=False),
    Column("dataset", String(64), nullable=False),
    Column("cursor", String(64), nullable=False),
    Column("step_key", String(128), nullable=False),
    Column("num_moves", Integer, nullable=False),
    Column("moved_at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["project_id", "dataset"], ["artifacts.project_id", "artifacts.digest"]),
    ForeignKeyConstraint(["project_id", "cursor"], ["artifacts.project_id", "artifacts.digest"]),
)

RUN_STEPS = Table(
    "run_steps",
    METADATA,
    Column("project_id", String(128), primary_key=True),
    Column("run_id", String(128), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False),
    Column("step_key", String(128)),
    Column("status", String(16), nullable=False),
    ForeignKeyConstraint(["project_id", "run_id"], ["runs.project_id", "runs.id"]),
)

MODEL_VERSIONS = Table(
    "model_versions",
    METADATA,
    _project(),
    Column("name", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("run_id", String(128)),
    Column("verdict", String),
    Column("created", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["project_id", "digest"], ["artifacts.project_id", "artifacts.digest"]),
    # The same bytes never get a second number under a name.
    Index(None, "project_id", "name", "digest", unique=True),
)

ALIASES = Table(
    "aliases",
    METADATA,
    Column("project_id", String(128), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("alias", String(128), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("moved_at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(
        ["project_id", "name", "version"],
        ["model_versions.project_id", "model_versions.name", "model_versions.version"],
    ),
)

ALIAS_HISTORY = Table(
    "alias_history",
    METADATA,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("project_id", String(128), ForeignKey("projects.id"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("alias", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("previous", Integer),
    Column("moved_at", UtcDateTime, nullable=False),
    Index(None, "project_id", "name"),
)

# Who may do what. A key is kept as its hash alone: 32 random bytes need no slow one.
USERS = Table(
    "users",
    METADATA,
    _project(),
    Column("name", String(128), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("disabled", UtcDateTime),
)

API_KEYS = Table(
    "api_keys",
    METADATA,
    _project(),
    Column("id", String(32), primary_key=True),
    Column("user_name", String(128), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("expires", UtcDateTime),
    Column("revoked", UtcDateTime),
    ForeignKeyConstraint(["project_id", "user_name"], ["users.project_id", "users.name"]),
)

# Each project's entries are a chain: a digest covers the entry and the digest before it.
AUDIT = Table(
    "audit",
    METADATA,
    _project(),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", String(300), nullable=False),
    # Text, not JSON: the digest covers these bytes, and a database may write JSON anew.
    Column("details", String, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Index(None, "project_id", "target"),
)

APPROVALS = Table(
    "approvals",
    METADATA,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("project_id", String(128), ForeignKey("projects.id"), nullable=False),
    Column("run_id", String(128), nullable=False),
    # The model that was looked at: an approval says nothing of what the run makes later.
    Column("model_digest", String(64), nullable=False),
    # exception: the gate said no; release: the recipe asks for a name.
    Column("kind", String(16), nullable=False),
    Column("decision", String(16), nullable=False),
    Column("by", String(200), nullable=False),
    Column("reason", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["project_id", "run_id"], ["runs.project_id", "runs.id"]),
    Index(None, "project_id", "run_id"),
)

# What served models were asked and answered, treated by the recipe's privacy rules before it comes here.
OBSERVATIONS = Table(
    "observations",
    METADATA,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("project_id", String(128), ForeignKey("projects.id"), nullable=False),
    Column("id", String(64), nullable=False),
    Column("name", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("text", String, nullable=False),
    # The keyed hash of the person, where the caller named one: what erasure looks for.
    Column("subject", String(64)),
    Column("answer", JSON, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("key_id", String(32)),
    UniqueConstraint("project_id", "id"),
    Index(None, "project_id", "name", "sequence"),
    Index(None, "project_id", "subject"),
)

# The true answers, known later; the latest word on an observation counts.
FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("project_id", String(128), ForeignKey("projects.id"), nullable=False),
    Column("observation_id", String(64), nullable=False),
    Column("truth", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("key_id", String(32)),
    ForeignKeyConstraint(["project_id", "observation_id"], ["observations.project_id", "observations.id"]),
    Index(None, "project_id", "observation_id"),
)

# Requests by minute and outcome (answered, refused, failed), whether captured or not.
SERVED = Table(
    "served",
    METADATA,
    _project(),
    Column("name", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("minute", UtcDateTime, primary_key=True),
    Column("outcome", String(16), primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("latency_ms_sum", Float, nullable=False),
)

# Sources whose rows may no longer be used, for one purpose or (an empty purpose) for any.
WITHDRAWALS = Table(
    "withdrawals",
    METADATA,
    _project(),
    Column("source", String(128), primary_key=True),
    Column("purpose", String(128), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("by", String(200), nullable=False),
)

ERASURES = Table(
    "erasures",
    METADATA,
    _project(),
    Column("id", String(64), primary_key=True),
    # The keyed hash: the record must not name whom it forgot.
    Column("subject", String(64), nullable=False),
    Column("by", String(200), nullable=False),
    Column("started", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime),
    Column("proof", JSON(none_as_null=True)),
)

# Artifacts that held an erased person: their bytes are gone; what stands in their place, if anything does.
TOMBSTONES = Table(
    "tombstones",
    METADATA,
    _project(),
    Column("digest", String(64), primary_key=True),
    Column("kind", String, nullable=False),
    Column("replaced_by", String(64)),
    Column("erasure_id", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["project_id", "erasure_id"], ["erasures.project_id", "erasures.id"]),
)

# Models that learned from rows of an erased person, and are to be trained again.
STALE_MODELS = Table(
    "stale_models",
    METADATA,
    _project(),
    Column("digest", String(64), primary_key=True),
    Column("erasure_id", String(64), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["project_id", "erasure_id"], ["erasures.project_id", "erasures.id"]),
)

# Child runs: which run they go on from, and why (by hand, drift, labels, erasure).
RETRAININGS = Table(
    "retrainings",
    METADATA,
    Column("project_id", String(128), primary_key=True),
    Column("run_id", String(128), primary_key=True),
    Column("parent_run_id", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    Column("from_version", Integer, nullable=False),
    Column("cause", String(32), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["project_id", "run_id"], ["runs.project_id", "runs.id"]),
)
