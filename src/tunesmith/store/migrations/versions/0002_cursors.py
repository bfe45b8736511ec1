"""Where the pulls of incremental sources stand."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cursors",
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(length=64), nullable=False),
        sa.Column("cursor", sa.String(length=64), nullable=False),
        sa.Column("step_key", sa.String(length=128), nullable=False),
        sa.Column("num_moves", sa.Integer(), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "cursor"],
            ["artifacts.project_id", "artifacts.digest"],
            name=op.f("fk_cursors_project_id_cursor"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "dataset"],
            ["artifacts.project_id", "artifacts.digest"],
            name=op.f("fk_cursors_project_id_dataset"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_cursors_project_id")),
        sa.PrimaryKeyConstraint("project_id", "source", name=op.f("pk_cursors")),
    )


def downgrade() -> None:
    op.drop_table("cursors")
