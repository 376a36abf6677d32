"""conditions, expressions, retries and deadlines of routers"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    for column in ("retries", "deadlines"):
        op.add_column("routers", sa.Column(column, postgresql.JSONB(), server_default="{}", nullable=False))
    op.add_column(
        "routing_rules", sa.Column("statuses", sa.ARRAY(sa.Integer()), server_default="{}", nullable=False)
    )
    op.add_column("routing_rules", sa.Column("when", sa.Text(), server_default="", nullable=False))
