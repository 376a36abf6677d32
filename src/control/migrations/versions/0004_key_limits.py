"""limits and rotation of keys, limits of customers"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for table in ("keys", "customers"):
        for column in ("requests_per_minute", "tokens_per_minute"):
            op.add_column(table, sa.Column(column, sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "customers", sa.Column("allowed_models", sa.ARRAY(sa.Text()), server_default="{}", nullable=False)
    )
    op.add_column(
        "customers", sa.Column("key_defaults", postgresql.JSONB(), server_default="{}", nullable=False)
    )
    op.add_column("keys", sa.Column("model_limits", postgresql.JSONB(), server_default="[]", nullable=False))
    op.add_column("keys", sa.Column("max_cost_nanousd", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("keys", sa.Column("allowed_ips", sa.ARRAY(sa.Text()), server_default="{}", nullable=False))
    op.add_column("keys", sa.Column("previous_key_hash", sa.LargeBinary(), nullable=True))
    op.add_column("keys", sa.Column("previous_prefix", sa.Text(), server_default="", nullable=False))
    op.add_column("keys", sa.Column("previous_expire_time", sa.DateTime(timezone=True), nullable=True))
    op.add_column("keys", sa.Column("rotate_time", sa.DateTime(timezone=True), nullable=True))
