"""Versions that a later one absorbed while somebody was still typing."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("versions", sa.Column("folded", sa.Integer(), nullable=True))
    op.add_column("versions", sa.Column("began", sa.Double(), nullable=True))
