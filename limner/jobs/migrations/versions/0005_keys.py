"""The idempotency key of a change to an article."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("versions", sa.Column("key", sa.String(64)))
    op.create_index("versions_by_key", "versions", ["job", "key"])
