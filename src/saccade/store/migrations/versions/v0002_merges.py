"""Versions that were merged or came from another workspace, and aliases that never move."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("dataset_versions") as table:
        table.add_column(sa.Column("merged", sa.Integer(), nullable=True))
        table.add_column(sa.Column("origin", sa.JSON(), nullable=True))
    with op.batch_alter_table("dataset_aliases") as table:
        table.add_column(sa.Column("fixed", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table("dataset_aliases") as table:
        table.drop_column("fixed")
    with op.batch_alter_table("dataset_versions") as table:
        table.drop_column("origin")
        table.drop_column("merged")
