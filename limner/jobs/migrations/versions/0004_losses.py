"""Attempts that broke off, counted apart from crashes that the job caused."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("losses", sa.Integer(), nullable=False, server_default="0"))
