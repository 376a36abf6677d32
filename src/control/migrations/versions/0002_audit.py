"""audit"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("audit_entry_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("actor_email", sa.Text(), server_default="", nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("resource_type", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), server_default="", nullable=False),
        sa.Column("resource_name", sa.Text(), server_default="", nullable=False),
        sa.Column("before", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("changed_fields", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "audit_entry_id"),
    )
    op.create_index(
        "audit_entries_by_actor", "audit_entries", ["customer_id", "actor_id", "audit_entry_id"], unique=False
    )
    op.create_index("audit_entries_by_id", "audit_entries", ["audit_entry_id"], unique=False)
    op.create_index(
        "audit_entries_by_resource",
        "audit_entries",
        ["customer_id", "resource_id", "audit_entry_id"],
        unique=False,
    )
