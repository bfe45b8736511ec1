"""Who may do what, what was served, and what was erased."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _access()
    _captured()
    _used()
    _erasure()


def _access() -> None:
    op.create_table(
        "audit",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=300), nullable=False),
        sa.Column("details", sa.String(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_audit_project_id")),
        sa.PrimaryKeyConstraint("project_id", "sequence", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_project_id_target"), "audit", ["project_id", "target"])
    op.create_index(
        op.f("ix_model_versions_project_id_name_digest"),
        "model_versions",
        ["project_id", "name", "digest"],
        unique=True,
    )
    op.create_table(
        "users",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_users_project_id")),
        sa.PrimaryKeyConstraint("project_id", "name", name=op.f("pk_users")),
    )
    op.create_table(
        "api_keys",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_name", sa.String(length=128), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "user_name"],
            ["users.project_id", "users.name"],
            name=op.f("fk_api_keys_project_id_user_name"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_api_keys_project_id")),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_api_keys")),
    )
    op.create_table(
        "approvals",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("run_id", sa.String(length=128), nullable=False),
        sa.Column("model_digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "run_id"], ["runs.project_id", "runs.id"], name=op.f("fk_approvals_project_id_run_id")
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_approvals_project_id")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_approvals")),
    )
    op.create_index(op.f("ix_approvals_project_id_run_id"), "approvals", ["project_id", "run_id"])


def _captured() -> None:
    op.create_table(
        "observations",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=True),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_observations_project_id")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_observations")),
        sa.UniqueConstraint("project_id", "id", name=op.f("uq_observations_project_id_id")),
    )
    op.create_table(
        "feedback",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("observation_id", sa.String(length=64), nullable=False),
        sa.Column("truth", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "observation_id"],
            ["observations.project_id", "observations.id"],
            name=op.f("fk_feedback_project_id_observation_id"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_feedback_project_id")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_feedback")),
    )
    op.create_index(
        op.f("ix_observations_project_id_name_sequence"), "observations", ["project_id", "name", "sequence"]
    )
    op.create_index(op.f("ix_observations_project_id_subject"), "observations", ["project_id", "subject"])
    op.create_index(op.f("ix_feedback_project_id_observation_id"), "feedback", ["project_id", "observation_id"])


def _used() -> None:
    op.create_table(
        "served",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("latency_ms_sum", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_served_project_id")),
        sa.PrimaryKeyConstraint("project_id", "name", "version", "minute", "outcome", name=op.f("pk_served")),
    )
    op.create_table(
        "withdrawals",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("source", sa.String(length=128), nullable=False),
        sa.Column("purpose", sa.String(length=128), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_withdrawals_project_id")),
        sa.PrimaryKeyConstraint("project_id", "source", "purpose", name=op.f("pk_withdrawals")),
    )
    op.create_table(
        "retrainings",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("run_id", sa.String(length=128), nullable=False),
        sa.Column("parent_run_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("from_version", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "run_id"], ["runs.project_id", "runs.id"], name=op.f("fk_retrainings_project_id_run_id")
        ),
        sa.PrimaryKeyConstraint("project_id", "run_id", name=op.f("pk_retrainings")),
    )


def _erasure() -> None:
    op.create_table(
        "erasures",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.Column("proof", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_erasures_project_id")),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_erasures")),
    )
    op.create_table(
        "stale_models",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("erasure_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "erasure_id"],
            ["erasures.project_id", "erasures.id"],
            name=op.f("fk_stale_models_project_id_erasure_id"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_stale_models_project_id")),
        sa.PrimaryKeyConstraint("project_id", "digest", "erasure_id", name=op.f("pk_stale_models")),
    )
    op.create_table(
        "tombstones",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("replaced_by", sa.String(length=64), nullable=True),
        sa.Column("erasure_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "erasure_id"],
            ["erasures.project_id", "erasures.id"],
            name=op.f("fk_tombstones_project_id_erasure_id"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_tombstones_project_id")),
        sa.PrimaryKeyConstraint("project_id", "digest", name=op.f("pk_tombstones")),
    )


def downgrade() -> None:
    op.drop_table("stale_models")
    op.drop_table("tombstones")
    op.drop_table("erasures")
    op.drop_table("retrainings")
    op.drop_table("withdrawals")
    op.drop_table("served")
    op.drop_table("feedback")
    op.drop_table("observations")
    op.drop_table("approvals")
    op.drop_table("audit")
    op.drop_table("api_keys")
    op.drop_table("users")
