"""Entry point of Alembic: applies the revisions through the connection in its configuration."""

from alembic import context

from saccade.store.catalog.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
