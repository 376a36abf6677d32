"""paths that providers let through as they are"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column(
        "providers",
        sa.Column("passthrough_paths", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
    )
