"""price plans"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "price_plans",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("price_plan_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("markup_ppm", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "model_markups", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False
        ),
        sa.Column("granted_to_all", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("delete_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "price_plan_id"),
    )
    op.create_index(
        "price_plans_by_name",
        "price_plans",
        ["customer_id", "name"],
        unique=True,
        postgresql_where=sa.text("delete_time IS NULL"),
    )
    op.create_index(
        "price_plans_granted_to_all",
        "price_plans",
        ["customer_id"],
        unique=True,
        postgresql_where=sa.text("granted_to_all AND delete_time IS NULL"),
    )
    op.add_column("customers", sa.Column("price_plan_id", sa.UUID(as_uuid=False), nullable=True))
    op.create_index(
        "customers_by_price_plan",
        "customers",
        ["price_plan_id"],
        unique=False,
        postgresql_where=sa.text("price_plan_id IS NOT NULL"),
    )
