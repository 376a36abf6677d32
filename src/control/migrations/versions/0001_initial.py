"""initial"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("budget_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("scope", sa.SmallInteger(), nullable=False),
        sa.Column("scope_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("limit_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("period", sa.SmallInteger(), nullable=False),
        sa.Column("soft", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("thresholds", sa.ARRAY(sa.Integer()), server_default="{}", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("delete_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "budget_id"),
    )
    op.create_index("budgets_by_scope", "budgets", ["customer_id", "scope_id"], unique=False)
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "credentials",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("credential_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("acting_customer_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoke_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "credential_id"),
    )
    op.create_index("credentials_by_user", "credentials", ["customer_id", "user_id"], unique=False)
    op.create_table(
        "customers",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), server_default="", nullable=False),
        sa.Column("plan", sa.Text(), server_default="free", nullable=False),
        sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("suspended", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("cf_gateway_id", sa.Text(), nullable=True),
        sa.Column("default_router_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("default_output_limit", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("urgent_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("change_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("chain_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("delete_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id"),
    )
    op.create_index("customers_by_version", "customers", ["version"], unique=False)
    op.create_table(
        "directory",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("target_id", sa.UUID(as_uuid=False), nullable=False),
        sa.PrimaryKeyConstraint("kind", "value"),
    )
    op.create_table(
        "entries",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("usage_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("lease_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("amount_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("estimated", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("post_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "usage_id", "part"),
    )
    op.create_index("entries_by_lease", "entries", ["customer_id", "lease_id"], unique=False)
    op.create_table(
        "incarnations",
        sa.Column("incarnation_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("edge_name", sa.Text(), server_default="", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("close_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_sequence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("gap_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("incarnation_id"),
    )
    op.create_table(
        "keys",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("key_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("user_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("team_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("router_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("allowed_models", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("disabled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("default_output_limit", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("clamp_output", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoke_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Text(), server_default="", nullable=False),
        sa.Column("chain_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "key_id"),
    )
    op.create_index("keys_by_router", "keys", ["customer_id", "router_id"], unique=False)
    op.create_index("keys_by_team", "keys", ["customer_id", "team_id"], unique=False)
    op.create_index("keys_by_user", "keys", ["customer_id", "user_id"], unique=False)
    op.create_table(
        "lease_grants",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("lease_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("top_up", sa.Integer(), nullable=False),
        sa.Column("granted_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("seen", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "lease_id", "top_up"),
    )
    op.create_table(
        "lease_windows",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("lease_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("budget_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "lease_id", "budget_id", "start_time"),
    )
    op.create_index(
        "lease_windows_by_window", "lease_windows", ["customer_id", "budget_id", "start_time"], unique=False
    )
    op.create_table(
        "leases",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("lease_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("incarnation_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("key_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("chain_version", sa.BigInteger(), nullable=False),
        sa.Column("unlimited", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("granted_nanousd", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("posted_nanousd", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("returned_nanousd", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("undrawn_nanousd", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("in_flight_nanousd", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("top_up", sa.Integer(), server_default="0", nullable=False),
        sa.Column("renewals", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("close_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "lease_id"),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index(
        "leases_open_by_incarnation",
        "leases",
        ["incarnation_id"],
        unique=False,
        postgresql_where=sa.text("close_time IS NULL"),
    )
    op.create_table(
        "memberships",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("user_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "user_id"),
    )
    op.create_table(
        "missing_models",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("request_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "last_seen_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("customer_id", "model"),
    )
    op.create_table(
        "prices",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("price_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("provider_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("provider_type", sa.Text(), server_default="", nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("rates", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("max_output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("context_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "effective_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "price_id"),
    )
    op.create_index("prices_by_model", "prices", ["customer_id", "model"], unique=False)
    op.create_index("prices_by_version", "prices", ["customer_id", "version"], unique=False)
    op.create_table(
        "providers",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("provider_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("provider_type", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), server_default="", nullable=False),
        sa.Column("sealed_credential", sa.LargeBinary(), nullable=True),
        sa.Column("stored_key_alias", sa.Text(), server_default="", nullable=False),
        sa.Column("disabled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("delete_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "provider_id"),
    )
    op.create_table(
        "refused_records",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("usage_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("incarnation_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "usage_id", "digest"),
    )
    op.create_table(
        "request_ids",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "request_id"),
    )
    op.create_index("request_ids_by_time", "request_ids", ["create_time"], unique=False)
    op.create_table(
        "rollups",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("scope", sa.SmallInteger(), nullable=False),
        sa.Column("scope_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cost_nanousd", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "scope", "scope_id", "hour"),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "routers",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("router_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("delete_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "router_id"),
    )
    op.create_table(
        "routing_rules",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("router_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("rule_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("priority", sa.Integer(), server_default="1", nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("condition", sa.Text(), server_default="primary", nullable=False),
        sa.Column("provider_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("allowed_models", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("model_rewrite", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "router_id", "rule_id"),
    )
    op.create_index(
        "routing_rules_by_provider", "routing_rules", ["customer_id", "provider_id"], unique=False
    )
    op.create_table(
        "team_members",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("team_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("user_id", sa.UUID(as_uuid=False), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "team_id", "user_id"),
    )
    op.create_index("team_members_by_user", "team_members", ["customer_id", "user_id"], unique=False)
    op.create_table(
        "teams",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("team_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("suspended", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("chain_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("delete_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "team_id"),
    )
    op.create_table(
        "usage_records",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("usage_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("incarnation_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("lease_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("key_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("user_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("team_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("cost_nanousd", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("provider_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("provider_name", sa.Text(), server_default="", nullable=False),
        sa.Column("provider_type", sa.Text(), server_default="", nullable=False),
        sa.Column("price_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("requested_model", sa.Text(), server_default="", nullable=False),
        sa.Column("response_model", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Integer(), server_default="0", nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cached_input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempt_count", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("stream", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("failover", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("cached", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("finish", sa.Text(), server_default="", nullable=False),
        sa.Column("cf_log_id", sa.Text(), server_default="", nullable=False),
        sa.Column("latency_ms", sa.Integer(), server_default="0", nullable=False),
        sa.Column("first_byte_ms", sa.Integer(), server_default="0", nullable=False),
        sa.Column("begin_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("post_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "usage_id"),
    )
    op.create_index(
        "usage_records_by_incarnation", "usage_records", ["incarnation_id", "sequence"], unique=False
    )
    op.create_index(
        "usage_records_by_key", "usage_records", ["customer_id", "key_id", "usage_id"], unique=False
    )
    op.create_table(
        "users",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("user_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("suspended", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("chain_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("delete_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "user_id"),
    )
    op.create_table(
        "windows",
        sa.Column("customer_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("budget_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scope", sa.SmallInteger(), nullable=False),
        sa.Column("spent_nanousd", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held_nanousd", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("highest_limit_nanousd", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("recall_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "budget_id", "start_time"),
        postgresql_with={"fillfactor": 50},
    )
