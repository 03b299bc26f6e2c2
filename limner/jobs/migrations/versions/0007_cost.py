"""The cost of calls and jobs, in US dollars."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("jobs", "calls"):
        op.add_column(table, sa.Column("cost", sa.Double(), nullable=False, server_default="0"))
