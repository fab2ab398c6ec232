"""Unique ids of datasets, merged and pulled versions, and tags."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("uid", sa.String(length=32), nullable=False, server_default=""))
    datasets = sa.table("datasets", sa.column("id", sa.Integer), sa.column("uid", sa.String))
    connection = op.get_bind()
    for (dataset_id,) in connection.execute(sa.select(datasets.c.id)).all():
        connection.execute(datasets.update().where(datasets.c.id == dataset_id).values(uid=uuid.uuid4().hex))
    op.add_column("dataset_versions", sa.Column("merged", sa.Integer(), nullable=True))
    op.add_column("dataset_versions", sa.Column("origin", sa.JSON(), nullable=True))
    op.add_column("dataset_aliases", sa.Column("fixed", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("dataset_aliases", "fixed")
    op.drop_column("dataset_versions", "origin")
    op.drop_column("dataset_versions", "merged")
    op.drop_column("datasets", "uid")
