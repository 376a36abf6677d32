"""objects that vendors keep"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "kept_objects",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("usage_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("pending_record", sa.LargeBinary(), nullable=True),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "object_id"),
    )
    op.create_index(
        "kept_objects_by_kind", "kept_objects", ["customer_id", "kind", "usage_id", "object_id"], unique=False
    )
    op.create_index(
        "kept_objects_pending",
        "kept_objects",
        ["customer_id", "usage_id"],
        unique=False,
        postgresql_where=sa.text("pending_record IS NOT NULL"),
    )
    op.create_index(
        "kept_objects_by_expire_time",
        "kept_objects",
        ["expire_time"],
        unique=False,
        postgresql_where=sa.text("expire_time IS NOT NULL"),
    )
