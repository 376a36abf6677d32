"""gateway accounts"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("customers", sa.Column("gateway_account_id", sa.Text(), server_default="", nullable=False))
