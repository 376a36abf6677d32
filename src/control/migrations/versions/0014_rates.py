"""rates and concurrent requests: limits of users and teams, meters"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    for table in ("users", "teams"):
        for column in ("requests_per_minute", "tokens_per_minute"):
            op.add_column(table, sa.Column(column, sa.BigInteger(), server_default="0", nullable=False))
    for table in ("customers", "users", "teams", "keys"):
        op.add_column(
            table, sa.Column("max_concurrent_requests", sa.BigInteger(), server_default="0", nullable=False)
        )
    op.create_table(
        "rate_meters",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("scope_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("first_slot", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("used", postgresql.ARRAY(sa.BigInteger()), server_default="{}", nullable=False),
        sa.Column("shares", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "scope_id", "model", "kind"),
        postgresql_with={"fillfactor": 50},
    )
