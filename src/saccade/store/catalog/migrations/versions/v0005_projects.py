"""Assign runs, evaluations, alias changes, API tokens and audit entries to a project."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = ("runs", "evaluations", "alias_changes", "tokens", "audit")


def upgrade() -> None:
    for table in _TABLES:
        # As plain SQL, because SQLite can add a foreign key only together with its column.
        key = f"CONSTRAINT fk_{table}_project_id_projects REFERENCES projects (id)"
        op.execute(sa.text(f"ALTER TABLE {table} ADD COLUMN project_id INTEGER {key}"))
        # Until this revision there was only one project.
        default = "SELECT id FROM projects WHERE name = 'default'"
        op.execute(sa.text(f"UPDATE {table} SET project_id = ({default})"))  # noqa: S608 (names from above)
        op.create_index(op.f(f"ix_{table}_project_id"), table, ["project_id"])


def downgrade() -> None:
    for table in _TABLES:
        op.drop_index(op.f(f"ix_{table}_project_id"), table_name=table)
        with op.batch_alter_table(table) as batch:
            batch.drop_column("project_id")
