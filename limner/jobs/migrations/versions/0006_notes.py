"""Codes and parameters beside the texts of errors and of the history."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("error_note", sa.JSON()))
    op.add_column("versions", sa.Column("what_note", sa.JSON()))
