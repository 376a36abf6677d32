"""top-ups and alerts of budgets"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("windows", sa.Column("top_up_nanousd", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("windows", sa.Column("alerted_percent", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "budget_top_ups",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("budget_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amount_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("total_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("created_by", sa.Text(), server_default="", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "budget_id", "number"),
    )
    op.create_table(
        "budget_alerts",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("alert_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("budget_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("threshold_percent", sa.Integer(), nullable=False),
        sa.Column("limit_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("spent_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "alert_id"),
    )
    op.create_index(
        "budget_alerts_by_window",
        "budget_alerts",
        ["customer_id", "budget_id", "start_time", "threshold_percent"],
        unique=True,
    )
