"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _runs()
    _steps()
    _models()


def _runs() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
    )
    op.create_table(
        "runs",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("recipe_digest", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("started", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("model_digest", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_runs_project_id")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_runs")),
        sa.UniqueConstraint("project_id", "id", name=op.f("uq_runs_project_id_id")),
    )
    op.create_table(
        "run_steps",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("run_id", sa.String(length=128), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("step_key", sa.String(length=128), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "run_id"], ["runs.project_id", "runs.id"], name=op.f("fk_run_steps_project_id_run_id")
        ),
        sa.PrimaryKeyConstraint("project_id", "run_id", "position", name=op.f("pk_run_steps")),
    )


def _steps() -> None:
    op.create_table(
        "artifacts",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("made_by", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_artifacts_project_id")),
        sa.PrimaryKeyConstraint("project_id", "digest", name=op.f("pk_artifacts")),
    )
    op.create_table(
        "steps",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("content_key", sa.String(length=128), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("run_id", sa.String(length=128), nullable=True),
        sa.Column("started", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cost", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_steps_project_id")),
        sa.PrimaryKeyConstraint("project_id", "key", name=op.f("pk_steps")),
    )
    op.create_index(op.f("ix_steps_project_id_content_key"), "steps", ["project_id", "content_key"], unique=False)
    op.create_table(
        "lineage",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("child", sa.String(length=64), nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=False),
        sa.Column("step_key", sa.String(length=128), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "child"],
            ["artifacts.project_id", "artifacts.digest"],
            name=op.f("fk_lineage_project_id_child"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "parent"],
            ["artifacts.project_id", "artifacts.digest"],
            name=op.f("fk_lineage_project_id_parent"),
        ),
        sa.PrimaryKeyConstraint("project_id", "child", "parent", "step_key", name=op.f("pk_lineage")),
    )
    op.create_index(op.f("ix_lineage_project_id_parent"), "lineage", ["project_id", "parent"], unique=False)
    op.create_table(
        "step_outputs",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("step_key", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("made_by", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "digest"],
            ["artifacts.project_id", "artifacts.digest"],
            name=op.f("fk_step_outputs_project_id_digest"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "step_key"],
            ["steps.project_id", "steps.key"],
            name=op.f("fk_step_outputs_project_id_step_key"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "step_key", "name", name=op.f("pk_step_outputs")),
    )


def _models() -> None:
    op.create_table(
        "alias_history",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("alias", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("previous", sa.Integer(), nullable=True),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_alias_history_project_id")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_alias_history")),
    )
    op.create_index(op.f("ix_alias_history_project_id_name"), "alias_history", ["project_id", "name"], unique=False)
    op.create_table(
        "model_versions",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=128), nullable=True),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "digest"],
            ["artifacts.project_id", "artifacts.digest"],
            name=op.f("fk_model_versions_project_id_digest"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_model_versions_project_id")),
        sa.PrimaryKeyConstraint("project_id", "name", "version", name=op.f("pk_model_versions")),
    )
    op.create_table(
        "aliases",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("alias", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "name", "version"],
            ["model_versions.project_id", "model_versions.name", "model_versions.version"],
            name=op.f("fk_aliases_project_id_name_version"),
        ),
        sa.PrimaryKeyConstraint("project_id", "name", "alias", name=op.f("pk_aliases")),
    )


def downgrade() -> None:
    op.drop_table("aliases")
    op.drop_table("step_outputs")
    op.drop_table("run_steps")
    op.drop_table("model_versions")
    op.drop_index(op.f("ix_lineage_project_id_parent"), table_name="lineage")
    op.drop_table("lineage")
    op.drop_index(op.f("ix_steps_project_id_content_key"), table_name="steps")
    op.drop_table("steps")
    op.drop_table("runs")
    op.drop_table("artifacts")
    op.drop_index(op.f("ix_alias_history_project_id_name"), table_name="alias_history")
    op.drop_table("alias_history")
    op.drop_table("projects")
