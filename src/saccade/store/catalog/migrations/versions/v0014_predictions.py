"""Label sets that start with the predictions of a model, and whether an object was accepted."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("label_sets", sa.Column("predictions", sa.Text(), nullable=True))
    op.add_column("label_sets", sa.Column("prediction_column", sa.String(length=255), nullable=True))
    op.add_column("label_sets", sa.Column("prediction_model", sa.String(length=255), nullable=True))
    op.add_column("label_sets", sa.Column("prediction_classes", sa.JSON(), nullable=True))
    op.add_column("label_sets", sa.Column("min_score", sa.Double(), nullable=True))
    op.add_column("label_objects", sa.Column("accepted", sa.Boolean(), nullable=False, server_default=sa.true()))


def downgrade() -> None:
    op.drop_column("label_objects", "accepted")
    for column in ("min_score", "prediction_classes", "prediction_model", "prediction_column", "predictions"):
        op.drop_column("label_sets", column)
