"""The right of an API token to manage tokens, which existing tokens do not get, and the token that created it."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tokens", sa.Column("can_manage_tokens", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("tokens", sa.Column("parent_id", sa.String(length=32), nullable=True))


def downgrade() -> None:
    op.drop_column("tokens", "parent_id")
    op.drop_column("tokens", "can_manage_tokens")
