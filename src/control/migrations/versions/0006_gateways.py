"""gateways"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("customers", sa.Column("gateway_id", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "customers", sa.Column("gateway_state", sa.SmallInteger(), server_default="0", nullable=False)
    )
    op.add_column("customers", sa.Column("gateway_error", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "customers", sa.Column("gateway_tries", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column("customers", sa.Column("gateway_try_time", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "customers_by_gateway_try_time",
        "customers",
        ["gateway_try_time"],
        unique=False,
        postgresql_where=sa.text("gateway_try_time IS NOT NULL"),
    )
