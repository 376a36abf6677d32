"""the request log apart from the usage records, and sums by dimension"""

from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

_MOVED = (
    "provider_id",
    "provider_name",
    "provider_type",
    "price_id",
    "requested_model",
    "response_model",
    "status",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "attempt_count",
    "stream",
    "failover",
    "cached",
    "finish",
    "cf_log_id",
    "latency_ms",
    "first_byte_ms",
)

_COPY_LOG = """
    INSERT INTO request_log (customer_id, usage_id, key_id, user_id, team_id, requested_model, response_model,
        provider_id, state, status, why, attempts, stream, failover, cached, finish, cf_log_id, latency_ms,
        first_byte_ms, begin_time, log_time)
    SELECT customer_id, usage_id, key_id, user_id, team_id, requested_model, response_model, provider_id, state,
        status, why,
        -- Of a request's attempts only the last one's names and the sum of all usage were kept.
        jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
            'number', attempt_count, 'provider_id', provider_id, 'provider_name', nullif(provider_name, ''),
            'provider_type', nullif(provider_type, ''), 'price_id', price_id, 'state', state,
            'status', nullif(status, 0), 'cost_nanousd', nullif(cost_nanousd, 0), 'why', nullif(why, ''),
            'usage', jsonb_strip_nulls(jsonb_build_object(
                'input_tokens', nullif(input_tokens, 0), 'cached_input_tokens', nullif(cached_input_tokens, 0),
                'cache_write_tokens', nullif(cache_write_tokens, 0), 'output_tokens', nullif(output_tokens, 0),
                'reasoning_tokens', nullif(reasoning_tokens, 0)))))),
        stream, failover, cached, finish, cf_log_id, latency_ms, first_byte_ms, begin_time,
        post_time
    FROM usage_records WHERE sequence > 0
    """
_COPY_ROLLUPS = """
    INSERT INTO rollups (customer_id, dimension, value, hour, request_count, cost_nanousd, input_tokens,
        output_tokens)
    SELECT customer_id, scope, CAST(scope_id AS text), hour, request_count, cost_nanousd, input_tokens,
        output_tokens
    FROM rollups_by_scope
    UNION ALL
    SELECT customer_id, 7, requested_model, date_trunc('hour', begin_time, 'UTC'), count(*), sum(cost_nanousd),
        sum(input_tokens), sum(output_tokens)
    FROM usage_records WHERE sequence > 0 AND requested_model <> '' GROUP BY 1, 3, 4
    UNION ALL
    SELECT customer_id, 8, CAST(provider_id AS text), date_trunc('hour', begin_time, 'UTC'), count(*),
        sum(cost_nanousd), sum(input_tokens), sum(output_tokens)
    FROM usage_records WHERE sequence > 0 AND provider_id IS NOT NULL GROUP BY 1, 3, 4
    """


def upgrade() -> None:
    _create_log()
    _create_rollups()
    _create_partitions()
    op.execute(_COPY_LOG)
    op.execute(_COPY_ROLLUPS)
    op.drop_table("rollups_by_scope")
    op.drop_index("usage_records_by_key", table_name="usage_records")
    for column in _MOVED:
        op.drop_column("usage_records", column)


def _create_log() -> None:
    op.create_table(
        "request_log",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("usage_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("key_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("user_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("team_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("router_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("end_user", sa.Text(), nullable=True),
        sa.Column("tags", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("requested_model", sa.Text(), server_default="", nullable=False),
        sa.Column("response_model", sa.Text(), server_default="", nullable=False),
        sa.Column("provider_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.Integer(), server_default="0", nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("refused_scope", sa.Text(), server_default="", nullable=False),
        sa.Column("omitted_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("stream", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("failover", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("cached", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("finish", sa.Text(), server_default="", nullable=False),
        sa.Column("cf_log_id", sa.Text(), server_default="", nullable=False),
        sa.Column("latency_ms", sa.Integer(), server_default="0", nullable=False),
        sa.Column("first_byte_ms", sa.Integer(), server_default="0", nullable=False),
        sa.Column("begin_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("log_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "usage_id"),
        postgresql_partition_by="RANGE (usage_id)",
    )
    for name, column, holds in (
        ("key", "key_id", None),
        ("user", "user_id", "user_id IS NOT NULL"),
        ("team", "team_id", "team_id IS NOT NULL"),
        ("end_user", "end_user", "end_user IS NOT NULL"),
        ("model", "requested_model", None),
        ("provider", "provider_id", "provider_id IS NOT NULL"),
        ("state", "state", "state <> 1"),
        ("status", "status", "status <> 200"),
    ):
        op.create_index(
            f"request_log_by_{name}",
            "request_log",
            ["customer_id", column, "usage_id"],
            postgresql_where=sa.text(holds) if holds else None,
        )
    op.create_table(
        "request_tags",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("usage_id", sa.UUID(as_uuid=False), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "tag", "usage_id"),
        postgresql_partition_by="RANGE (usage_id)",
    )


def _create_rollups() -> None:
    op.rename_table("rollups", "rollups_by_scope")
    op.execute("ALTER INDEX rollups_pkey RENAME TO rollups_by_scope_pkey")
    op.create_table(
        "rollups",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("dimension", sa.SmallInteger(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refused_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cost_nanousd", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "dimension", "value", "hour"),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index("rollups_by_hour", "rollups", ["customer_id", "dimension", "hour"])


def _create_partitions() -> None:
    """The default ones, one for each month that there is something of, and those of this month and the next.
    Later ones are control.partitions' to make."""
    op.execute("CREATE SCHEMA IF NOT EXISTS partitions")
    for table in ("request_log", "request_tags"):
        op.execute(f"CREATE TABLE partitions.{table}_default PARTITION OF {table} DEFAULT")
    months = op.get_bind().execute(
        sa.text(
            """
            SELECT DISTINCT date_trunc('month', to_timestamp(
                ('x' || left(replace(CAST(usage_id AS text), '-', ''), 12))::bit(48)::bigint / 1000.0), 'UTC')
            FROM usage_records
            WHERE usage_id BETWEEN :first AND :last
            """
        ),
        {"first": _floor(datetime(2026, 1, 1, tzinfo=UTC)), "last": _floor(datetime.now(UTC))},
    )
    starts = {month.astimezone(UTC) for month in months.scalars()}
    this = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for start in sorted(starts | {this, _after(this)}):
        for table in ("request_log", "request_tags"):
            op.execute(
                f"CREATE TABLE partitions.{table}_{start:%Y%m} PARTITION OF {table}"
                f" FOR VALUES FROM ('{_floor(start)}') TO ('{_floor(_after(start))}')"
            )


def _after(month: datetime) -> datetime:
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)


def _floor(moment: datetime) -> str:
    return str(UUID(int=int(moment.timestamp() * 1000) << 80))
