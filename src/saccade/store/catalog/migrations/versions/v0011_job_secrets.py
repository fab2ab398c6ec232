"""Full parameters of jobs whose URLs have credentials; ``parameters`` are for display from now on."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("secret_parameters", sa.JSON(), nullable=True))
    op.add_column("jobs", sa.Column("has_secrets", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("jobs", "has_secrets")
    op.drop_column("jobs", "secret_parameters")
