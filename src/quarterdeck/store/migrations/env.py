"""What Alembic runs: the steps, each a transaction of its own, on the connection that `store.schema` hands it.

Cut off in the middle, the steps that were taken stand, and the next start goes on with the one behind them.
"""

from alembic import context

from quarterdeck.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
