"""Run by Alembic: steps run on the connection that `control.migrations` opened, each in its own
transaction."""

from alembic import context

from control.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_server_default=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
