"""what a batch's file may use"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("kept_objects", sa.Column("batch_input", sa.LargeBinary(), nullable=True))
