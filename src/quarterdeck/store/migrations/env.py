"""What Alembic runs: the steps, on the connection that `store.schema` hands it."""

from alembic import context

from quarterdeck.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
