"""Connect Alembic to the ledger, over the connection that `database.migrate` passes."""

from alembic import context

from limner.jobs.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="limner_version",
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
