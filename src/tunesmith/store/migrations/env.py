"""Runs migrations on the connection that ``store.database`` opened; its transaction holds them all or none."""

from alembic import context

from tunesmith.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite too can take back DDL; alembic believes that it cannot.
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
