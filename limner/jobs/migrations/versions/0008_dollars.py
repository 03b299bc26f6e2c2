"""A limit of the US dollars that an owner may spend a day."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("owners", sa.Column("dollars_a_day", sa.Double(), nullable=True))
