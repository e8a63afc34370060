"""Alembic's entry: runs on the connection it is given, in that connection's transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    transaction_per_migration=False,
    render_as_batch=False,
)
context.run_migrations()
