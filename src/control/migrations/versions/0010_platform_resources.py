"""platform resources"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    for table in ("providers", "routers"):
        op.add_column(
            table, sa.Column("granted_to_all", sa.Boolean(), server_default=sa.text("false"), nullable=False)
        )
        _number_equal_names(table, f"{table.removesuffix('s')}_id")
        op.create_index(
            f"{table}_by_name",
            table,
            ["customer_id", "name"],
            unique=True,
            postgresql_where=sa.text("delete_time IS NULL"),
        )
    op.add_column(
        "providers", sa.Column("direct", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("routing_rules", sa.Column("weight", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "resource_grants",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.UUID(as_uuid=False), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "kind", "resource_id"),
    )
    op.create_index("resource_grants_by_resource", "resource_grants", ["resource_id"], unique=False)


def _number_equal_names(table: str, identifier: str) -> None:
    """Names were not unique before: the oldest keeps its name, others get the end of their id behind it."""
    op.execute(
        f"""
        UPDATE {table} t SET name = t.name || ' (' || right(t.{identifier}::text, 12) || ')'
        FROM (
            SELECT customer_id, {identifier},
                   row_number() OVER (PARTITION BY customer_id, name ORDER BY {identifier}) AS number
            FROM {table} WHERE delete_time IS NULL
        ) n
        WHERE n.number > 1 AND t.customer_id = n.customer_id AND t.{identifier} = n.{identifier}
        """  # noqa: S608 - names come from this step
    )
