"""Every table. Tenant tables lead their primary key with customer_id, so that a distributed engine can shard
by it.

Amounts are nano-dollars. Rows that ledger entries refer to are ended (`delete_time`, `revoke_time`,
`state`), never deleted.
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

# Operators belong to this customer, and global prices too, so that customer_id is never NULL (L26).
PLATFORM_CUSTOMER_ID = "00000000-0000-7000-8000-000000000001"

metadata = MetaData()

# Rows that every request changes: room on the page for the next version, and no index on what changes (L25).
HOT: dict[str, Any] = {"postgresql_with": {"fillfactor": 50}}


def _id(name: str, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    return Column(name, UUID(as_uuid=False), primary_key=primary_key, nullable=nullable)


def _customer() -> Column[str]:
    return _id("customer_id", primary_key=True)


def _time(name: str, nullable: bool = False) -> Column[object]:
    return Column(
        name, DateTime(timezone=True), nullable=nullable, server_default=None if nullable else text("now()")
    )


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=text("false"))


def _texts(name: str) -> Column[list[str]]:
    return Column(name, ARRAY(Text), nullable=False, server_default="{}")


# Names are unique among what hasn't been deleted.
_LIVE = text("delete_time IS NULL")

# ---- what is looked up without a customer (L26)

directory = Table(
    "directory",
    metadata,
    # key_hash, credential_hash, email, slug, cf_gateway_id; hashes in hex.
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    _id("customer_id"),
    _id("target_id"),
)

# One row a counter. Raised in the changing transaction, whose row lock makes commit order equal number
# order: a poll for
# `version > last` misses nothing (L27).
counters = Table("counters", metadata, Column("name", Text, primary_key=True), _count("value"))

request_ids = Table(
    "request_ids",
    metadata,
    _customer(),
    Column("request_id", Text, primary_key=True),
    Column("method", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    _time("create_time"),
    Index("request_ids_by_time", "create_time"),
)

# ---- people and access

customers = Table(
    "customers",
    metadata,
    _customer(),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    _text("email"),
    Column("plan", Text, nullable=False, server_default="free"),
    Column("time_zone", Text, nullable=False, server_default="UTC"),
    _flag("suspended"),
    # What requests use; the other columns tell how far it is (store/gateways.py).
    Column("cf_gateway_id", Text),
    _id("default_router_id", nullable=True),
    _count("default_output_limit"),
    _texts("allowed_models"),
    _count("requests_per_minute"),
    _count("tokens_per_minute"),
    _count("max_concurrent_requests"),
    # keys.proto KeyDefaults.
    Column("key_defaults", JSONB, nullable=False, server_default="{}"),
    _id("price_plan_id", nullable=True),
    # The name of the one it was made with.
    _text("template"),
    # Of everything a grant is made of (L27); urgent: grants older than this are dropped at once.
    _count("version"),
    _count("urgent_version"),
    _time("change_time"),
    # Added up over key, user, team and customer it is the chain's version (L3).
    _count("chain_version"),
    _count("revision"),
    _time("create_time"),
    _time("delete_time", nullable=True),
    # The gateway's id at Cloudflare, made or to be made; empty: none was ever asked for.
    _text("gateway_id"),
    # The Cloudflare account it is in, once it was made.
    _text("gateway_account_id"),
    # gateways.proto GatewayState; 0: nothing was decided yet.
    Column("gateway_state", SmallInteger, nullable=False, server_default="0"),
    _text("gateway_error"),
    # Since something else was wanted: a try that ends can't undo a later decision.
    _count("gateway_tries"),
    # Absent: nothing is to be done.
    _time("gateway_try_time", nullable=True),
    Index("customers_by_version", "version"),
    Index(
        "customers_by_gateway_try_time",
        "gateway_try_time",
        postgresql_where=text("gateway_try_time IS NOT NULL"),
    ),
    Index("customers_by_price_plan", "price_plan_id", postgresql_where=text("price_plan_id IS NOT NULL")),
)

users = Table(
    "users",
    metadata,
    _customer(),
    _id("user_id", primary_key=True),
    Column("email", Text, nullable=False),
    _text("name"),
    Column("password_hash", Text),
    _flag("suspended"),
    _count("requests_per_minute"),
    _count("tokens_per_minute"),
    _count("max_concurrent_requests"),
    _count("chain_version"),
    _count("revision"),
    _time("create_time"),
    _time("delete_time", nullable=True),
)

# The operator has one in the platform's customer and one, as owner, in the demo customer.
memberships = Table(
    "memberships",
    metadata,
    _customer(),
    _id("user_id", primary_key=True),
    Column("role", SmallInteger, nullable=False),
    _time("create_time"),
)

teams = Table(
    "teams",
    metadata,
    _customer(),
    _id("team_id", primary_key=True),
    Column("name", Text, nullable=False),
    _flag("suspended"),
    _count("requests_per_minute"),
    _count("tokens_per_minute"),
    _count("max_concurrent_requests"),
    _count("chain_version"),
    _count("revision"),
    _time("create_time"),
    _time("delete_time", nullable=True),
)

team_members = Table(
    "team_members",
    metadata,
    _customer(),
    _id("team_id", primary_key=True),
    _id("user_id", primary_key=True),
    Index("team_members_by_user", "customer_id", "user_id"),
)

# Of the customer they act in; their secrets are in credentials, under the same id.
api_tokens = Table(
    "api_tokens",
    metadata,
    _customer(),
    _id("api_token_id", primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", SmallInteger, nullable=False),
    # Empty: all that the role allows.
    _texts("scopes"),
    Column("prefix", Text, nullable=False),
    # Who made it, and where that user is; NULL: the local command line.
    _id("user_id", nullable=True),
    _id("home_customer_id"),
    _time("create_time"),
    _time("expire_time"),
    # To the minute.
    _time("last_use_time", nullable=True),
    _time("revoke_time", nullable=True),
    Index("api_tokens_by_user", "customer_id", "user_id"),
)

# Attempts to prove a password that failed, by a hash of who tried; rows outlive their window a little.
password_failures = Table(
    "password_failures",
    metadata,
    Column("name_hash", LargeBinary, primary_key=True),
    Column("attempts", Integer, nullable=False),
    _time("begin_time"),
    Index("password_failures_by_time", "begin_time"),
)

# Sessions of people, and credentials of the edges and of the local CLI.
credentials = Table(
    "credentials",
    metadata,
    _customer(),
    _id("credential_id", primary_key=True),
    # session, api_token, cli, edge.
    Column("kind", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    _id("user_id", nullable=True),
    # The customer it acts in, where it isn't the user's own (the operator's demo customer).
    _id("acting_customer_id", nullable=True),
    _time("create_time"),
    _time("expire_time", nullable=True),
    _time("revoke_time", nullable=True),
    Index("credentials_by_user", "customer_id", "user_id"),
)

# Who changed what; append-only.
audit_entries = Table(
    "audit_entries",
    metadata,
    _customer(),
    # Made in the order of the changes: lists go by it, and its time is create_time.
    _id("audit_entry_id", primary_key=True),
    _time("create_time"),
    # identity.CallerKind; system outside of any call.
    Column("actor_kind", Text, nullable=False),
    _id("actor_id", nullable=True),
    _text("actor_email"),
    Column("method", Text, nullable=False),
    Column("resource_type", Text, nullable=False),
    _text("resource_id"),
    _text("resource_name"),
    # Messages in proto3 JSON, without secrets.
    Column("before", JSONB(none_as_null=True)),
    Column("after", JSONB(none_as_null=True)),
    _texts("changed_fields"),
    # For operators, who see all customers', and for retention.
    Index("audit_entries_by_id", "audit_entry_id"),
    Index("audit_entries_by_resource", "customer_id", "resource_id", "audit_entry_id"),
    Index("audit_entries_by_actor", "customer_id", "actor_id", "audit_entry_id"),
)

# ---- what requests go through

providers = Table(
    "providers",
    metadata,
    _customer(),
    _id("provider_id", primary_key=True),
    Column("name", Text, nullable=False),
    Column("provider_type", Text, nullable=False),
    _text("base_url"),
    # AES-256-GCM under the key-encryption key named in it; absent: none.
    Column("sealed_credential", LargeBinary),
    _text("stored_key_alias"),
    _flag("disabled"),
    _flag("direct"),
    # providers.proto: paths that go through as they are.
    _texts("passthrough_paths"),
    # The platform's only, as for routers.
    _flag("granted_to_all"),
    _count("revision"),
    _time("create_time"),
    _time("delete_time", nullable=True),
    Index("providers_by_name", "customer_id", "name", unique=True, postgresql_where=_LIVE),
)

routers = Table(
    "routers",
    metadata,
    _customer(),
    _id("router_id", primary_key=True),
    Column("name", Text, nullable=False),
    _flag("granted_to_all"),
    # Numbers of routers.proto's Retries and Deadlines that aren't zero.
    Column("retries", JSONB, nullable=False, server_default="{}"),
    Column("deadlines", JSONB, nullable=False, server_default="{}"),
    Column("cache_ttl_s", Integer, nullable=False, server_default="0"),
    _count("revision"),
    _time("create_time"),
    _time("delete_time", nullable=True),
    Index("routers_by_name", "customer_id", "name", unique=True, postgresql_where=_LIVE),
)

routing_rules = Table(
    "routing_rules",
    metadata,
    _customer(),
    _id("router_id", primary_key=True),
    _id("rule_id", primary_key=True),
    Column("priority", Integer, nullable=False, server_default="1"),
    # Order among equal priorities.
    Column("position", Integer, nullable=False, server_default="0"),
    Column("condition", Text, nullable=False, server_default="primary"),
    # Of the condition on_status.
    Column("statuses", ARRAY(Integer), nullable=False, server_default="{}"),
    _text("when"),
    _id("provider_id"),
    _texts("allowed_models"),
    _text("model_rewrite"),
    # 0: not drawn.
    Column("weight", Integer, nullable=False, server_default="0"),
    Index("routing_rules_by_provider", "customer_id", "provider_id"),
)

# What the platform owns and a customer may use, where it isn't granted to all.
resource_grants = Table(
    "resource_grants",
    metadata,
    _customer(),
    # store.resource_grants.Kind
    Column("kind", Text, primary_key=True),
    _id("resource_id", primary_key=True),
    Index("resource_grants_by_resource", "resource_id"),
)

# The platform's: rows of its own customer.
templates = Table(
    "templates",
    metadata,
    _customer(),
    _id("template_id", primary_key=True),
    Column("name", Text, nullable=False),
    # templates.proto Template, but for what the row has columns for.
    Column("settings", JSONB, nullable=False),
    _count("revision"),
    _time("create_time"),
    _time("delete_time", nullable=True),
)

keys = Table(
    "keys",
    metadata,
    _customer(),
    _id("key_id", primary_key=True),
    Column("name", Text, nullable=False),
    Column("key_hash", LargeBinary, nullable=False),
    Column("prefix", Text, nullable=False),
    _id("user_id", nullable=True),
    _id("team_id", nullable=True),
    _id("router_id", nullable=True),
    _texts("allowed_models"),
    _flag("disabled"),
    _count("default_output_limit"),
    _flag("clamp_output"),
    _time("expire_time", nullable=True),
    _time("revoke_time", nullable=True),
    _text("created_by"),
    _count("requests_per_minute"),
    _count("tokens_per_minute"),
    _count("max_concurrent_requests"),
    # [keys.proto ModelLimit].
    Column("model_limits", JSONB, nullable=False, server_default="[]"),
    _count("max_cost_nanousd"),
    _texts("allowed_ips"),
    # The secret before the last rotation; it works until its time, also while it is still in the directory.
    Column("previous_key_hash", LargeBinary),
    _text("previous_prefix"),
    _time("previous_expire_time", nullable=True),
    _time("rotate_time", nullable=True),
    _count("chain_version"),
    _count("revision"),
    _time("create_time"),
    Index("keys_by_user", "customer_id", "user_id"),
    Index("keys_by_team", "customer_id", "team_id"),
    Index("keys_by_router", "customer_id", "router_id"),
)

prices = Table(
    "prices",
    metadata,
    # The platform's customer for global prices.
    _customer(),
    _id("price_id", primary_key=True),
    # One of these two: own prices name a provider, global ones a provider type.
    _id("provider_id", nullable=True),
    _text("provider_type"),
    Column("model", Text, nullable=False),
    Column("rates", JSONB, nullable=False),
    _count("max_output_tokens"),
    _count("context_tokens"),
    _time("effective_time"),
    _time("end_time", nullable=True),
    # The global price counter's value when the row was last changed, for the edges' price books.
    _count("version"),
    _time("create_time"),
    Index("prices_by_model", "customer_id", "model"),
    Index("prices_by_version", "customer_id", "version"),
)

# Of the platform's customer.
price_plans = Table(
    "price_plans",
    metadata,
    _customer(),
    _id("price_plan_id", primary_key=True),
    Column("name", Text, nullable=False),
    _count("markup_ppm"),
    # [{"pattern": model or wildcard, "markup_ppm": parts per million}], the first that matches holds.
    Column("model_markups", JSONB, nullable=False, server_default="[]"),
    _flag("granted_to_all"),
    _count("revision"),
    _time("create_time"),
    _time("delete_time", nullable=True),
    Index(
        "price_plans_by_name",
        "customer_id",
        "name",
        unique=True,
        postgresql_where=text("delete_time IS NULL"),
    ),
    Index(
        "price_plans_granted_to_all",
        "customer_id",
        unique=True,
        postgresql_where=text("granted_to_all AND delete_time IS NULL"),
    ),
)

missing_models = Table(
    "missing_models",
    metadata,
    _customer(),
    Column("model", Text, primary_key=True),
    _count("request_count"),
    _time("last_seen_time"),
)

# ---- budgets and the ledger

budgets = Table(
    "budgets",
    metadata,
    _customer(),
    _id("budget_id", primary_key=True),
    # budgets.proto Scope: 1 key, 2 user, 3 team, 4 customer: the order windows are locked in (L24).
    Column("scope", SmallInteger, nullable=False),
    _id("scope_id"),
    Column("limit_nanousd", BigInteger, nullable=False),
    # budgets.proto Period: 1 none, 2 daily, 3 weekly, 4 monthly.
    Column("period", SmallInteger, nullable=False),
    _flag("soft"),
    Column("thresholds", ARRAY(Integer), nullable=False, server_default="{}"),
    _count("revision"),
    _time("create_time"),
    _time("delete_time", nullable=True),
    Index("budgets_by_scope", "customer_id", "scope_id"),
)

windows = Table(
    "windows",
    metadata,
    _customer(),
    _id("budget_id", primary_key=True),
    Column("start_time", DateTime(timezone=True), primary_key=True),
    # `infinity` for a period of none.
    Column("end_time", DateTime(timezone=True), nullable=False),
    Column("scope", SmallInteger, nullable=False),
    _count("spent_nanousd"),
    _count("held_nanousd"),
    # The highest hard limit any grant saw, for `ledger verify`.
    _count("highest_limit_nanousd"),
    # Until then every incarnation returns what it hasn't drawn (L10).
    Column("recall_until", DateTime(timezone=True)),
    # Sum of its top-ups: on top of the budget's limit.
    _count("top_up_nanousd"),
    # The highest threshold that an alert told of.
    Column("alerted_percent", Integer, nullable=False, server_default="0"),
    **HOT,
)

# What was added to the limit of one window, never edited.
budget_top_ups = Table(
    "budget_top_ups",
    metadata,
    _customer(),
    _id("budget_id", primary_key=True),
    # 1, 2, 3, ... of the budget.
    Column("number", Integer, primary_key=True),
    Column("start_time", DateTime(timezone=True), nullable=False),
    Column("amount_nanousd", BigInteger, nullable=False),
    # Of all top-ups of the window so far: what grants see, for `ledger verify`.
    Column("total_nanousd", BigInteger, nullable=False),
    _text("note"),
    _text("created_by"),
    _time("create_time"),
)

# One row a window and threshold, written with the entries that reached it.
budget_alerts = Table(
    "budget_alerts",
    metadata,
    _customer(),
    _id("alert_id", primary_key=True),
    _id("budget_id"),
    Column("start_time", DateTime(timezone=True), nullable=False),
    Column("end_time", DateTime(timezone=True), nullable=False),
    Column("threshold_percent", Integer, nullable=False),
    Column("limit_nanousd", BigInteger, nullable=False),
    Column("spent_nanousd", BigInteger, nullable=False),
    _time("create_time"),
    Index(
        "budget_alerts_by_window",
        "customer_id",
        "budget_id",
        "start_time",
        "threshold_percent",
        unique=True,
    ),
)

leases = Table(
    "leases",
    metadata,
    _customer(),
    _id("lease_id", primary_key=True),
    _id("incarnation_id"),
    _id("key_id"),
    Column("chain_version", BigInteger, nullable=False),
    # No hard budget: only pins windows (L9).
    _flag("unlimited"),
    # Growing totals; held = granted - posted - returned (L5).
    _count("granted_nanousd"),
    _count("posted_nanousd"),
    _count("returned_nanousd"),
    # As last reported.
    _count("undrawn_nanousd"),
    _count("in_flight_nanousd"),
    Column("top_up", Integer, nullable=False, server_default="0"),
    # Raised by every sign of life; the expiry task watches it stand still (L6).
    _count("renewals"),
    # 1 open, 2 closed, 3 lost (grace ran out).
    Column("state", SmallInteger, nullable=False, server_default="1"),
    _time("create_time"),
    _time("close_time", nullable=True),
    Index("leases_open_by_incarnation", "incarnation_id", postgresql_where=text("close_time IS NULL")),
    **HOT,
)

# The windows a lease pins for life: its entries count there, whatever happened since (L3).
lease_windows = Table(
    "lease_windows",
    metadata,
    _customer(),
    _id("lease_id", primary_key=True),
    _id("budget_id", primary_key=True),
    Column("start_time", DateTime(timezone=True), primary_key=True),
    Index("lease_windows_by_window", "customer_id", "budget_id", "start_time"),
)

# One row a top-up: the stored answer (L5), and what was seen under the lock (I1).
lease_grants = Table(
    "lease_grants",
    metadata,
    _customer(),
    _id("lease_id", primary_key=True),
    Column("top_up", Integer, primary_key=True),
    Column("granted_nanousd", BigInteger, nullable=False),
    # [{budget_id, start_time, hard, limit, top_up, spent, held}] before the grant; the limit has the top-up
    # in it.
    Column("seen", JSONB, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    _time("create_time"),
)

# One row a request, kept for good: what makes it count once, and what it costs (I3, I4). What people look up
# is in `request_log`.
usage_records = Table(
    "usage_records",
    metadata,
    _customer(),
    _id("usage_id", primary_key=True),
    _id("incarnation_id"),
    Column("sequence", BigInteger, nullable=False),
    _id("lease_id"),
    _id("key_id"),
    _id("user_id", nullable=True),
    _id("team_id", nullable=True),
    # edge.proto UsageState: 1 reported, 2 estimated, 3 voided.
    Column("state", SmallInteger, nullable=False),
    # Of the content that must not differ when the record is sent again (L18).
    Column("digest", LargeBinary, nullable=False),
    # Sum of its entries.
    _count("cost_nanousd"),
    # As counted in the rollups.
    _count("input_tokens"),
    _count("output_tokens"),
    # Of an estimate or a void.
    _text("why"),
    _time("begin_time"),
    _time("post_time"),
    Index("usage_records_by_incarnation", "incarnation_id", "sequence"),
)

# One row a request, refused ones too, for people: in monthly partitions by the time in the usage id, dropped
# whole when they are old (control.partitions). What a request costs is in `usage_records`.
request_log = Table(
    "request_log",
    metadata,
    _customer(),
    _id("usage_id", primary_key=True),
    _id("key_id"),
    _id("user_id", nullable=True),
    _id("team_id", nullable=True),
    _id("router_id", nullable=True),
    # What the app says about its own user and purpose.
    Column("end_user", Text),
    _texts("tags"),
    _text("requested_model"),
    _text("response_model"),
    # Of the last attempt.
    _id("provider_id", nullable=True),
    # edge.proto UsageState: 1 reported, 2 estimated, 3 voided, 4 refused.
    Column("state", SmallInteger, nullable=False),
    # What the client got.
    Column("status", Integer, nullable=False, server_default="0"),
    # Of an estimate or a void; of a refusal its reason, and the scope whose limit it was.
    _text("why"),
    _text("refused_scope"),
    # Refusals like this one that were not logged.
    _count("omitted_count"),
    # edge.proto Attempt, by field name, without what is empty.
    Column("attempts", JSONB, nullable=False, server_default="[]"),
    _flag("stream"),
    _flag("failover"),
    _flag("cached"),
    _text("finish"),
    _text("cf_log_id"),
    Column("latency_ms", Integer, nullable=False, server_default="0"),
    Column("first_byte_ms", Integer, nullable=False, server_default="0"),
    # By the edge's clock, and by the database's.
    _time("begin_time"),
    _time("log_time"),
    # One for each filter of ListUsage; those of what is rare hold only that.
    Index("request_log_by_key", "customer_id", "key_id", "usage_id"),
    Index(
        "request_log_by_user",
        "customer_id",
        "user_id",
        "usage_id",
        postgresql_where=text("user_id IS NOT NULL"),
    ),
    Index(
        "request_log_by_team",
        "customer_id",
        "team_id",
        "usage_id",
        postgresql_where=text("team_id IS NOT NULL"),
    ),
    Index(
        "request_log_by_end_user",
        "customer_id",
        "end_user",
        "usage_id",
        postgresql_where=text("end_user IS NOT NULL"),
    ),
    Index("request_log_by_model", "customer_id", "requested_model", "usage_id"),
    Index(
        "request_log_by_provider",
        "customer_id",
        "provider_id",
        "usage_id",
        postgresql_where=text("provider_id IS NOT NULL"),
    ),
    Index("request_log_by_state", "customer_id", "state", "usage_id", postgresql_where=text("state <> 1")),
    Index(
        "request_log_by_status", "customer_id", "status", "usage_id", postgresql_where=text("status <> 200")
    ),
    postgresql_partition_by="RANGE (usage_id)",
)

# The requests of a tag, in order; in partitions like the log's.
request_tags = Table(
    "request_tags",
    metadata,
    _customer(),
    Column("tag", Text, primary_key=True),
    _id("usage_id", primary_key=True),
    postgresql_partition_by="RANGE (usage_id)",
)

# Append-only. An entry counts in every window its lease pins.
entries = Table(
    "entries",
    metadata,
    _customer(),
    _id("usage_id", primary_key=True),
    Column("part", SmallInteger, primary_key=True),
    _id("lease_id"),
    # post, overrun, late, correction, lease_lost, opening.
    Column("label", Text, nullable=False),
    Column("amount_nanousd", BigInteger, nullable=False),
    _flag("estimated"),
    _time("post_time"),
    Index("entries_by_lease", "customer_id", "lease_id"),
)

# Records that could not be posted, kept for a person (L17, L18).
refused_records = Table(
    "refused_records",
    metadata,
    _customer(),
    _id("usage_id", primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    # conflict, rejected.
    Column("outcome", Text, nullable=False),
    Column("why", Text, nullable=False),
    # For the gaps of an incarnation (L20).
    _id("incarnation_id"),
    Column("sequence", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),
    _time("create_time"),
)

# What vendors keep for a customer, found by the vendor's id: nobody else gets at it (DESIGN §7). Every
# look-up knows the customer, so there is no directory of these ids.
kept_objects = Table(
    "kept_objects",
    metadata,
    _customer(),
    Column("object_id", Text, primary_key=True),
    # The vendor's word: response, file, batch, ...
    Column("kind", Text, nullable=False),
    _id("provider_id"),
    # Of the request that made it. Its order is the order of making.
    _id("usage_id"),
    # edge.proto UsageRecord as it was estimated, until its end is reported (L15).
    Column("pending_record", LargeBinary),
    # edge.proto BatchInput, of a file that a batch may be made of.
    Column("batch_input", LargeBinary),
    _time("create_time"),
    # When the vendor has forgotten it too; absent: never by itself.
    _time("expire_time", nullable=True),
    # While it is pending: when its end is looked for next; absent: nobody looks.
    _time("look_time", nullable=True),
    Index("kept_objects_by_kind", "customer_id", "kind", "usage_id", "object_id"),
    Index(
        "kept_objects_pending",
        "customer_id",
        "usage_id",
        postgresql_where=text("pending_record IS NOT NULL"),
    ),
    Index("kept_objects_by_expire_time", "expire_time", postgresql_where=text("expire_time IS NOT NULL")),
    Index("kept_objects_by_create_time", "create_time", postgresql_where=text("expire_time IS NULL")),
    Index("kept_objects_by_look_time", "look_time", postgresql_where=text("look_time IS NOT NULL")),
)

# Sums by dimension and hour, kept as entries are posted, so that nothing sums a log.
rollups = Table(
    "rollups",
    metadata,
    _customer(),
    # usage.proto UsageDimension: 1 key, 2 user, 3 team, 4 customer, 5 end user, 6 tag, 7 model, 8 provider.
    Column("dimension", SmallInteger, primary_key=True),
    # An id or a name.
    Column("value", Text, primary_key=True),
    Column("hour", DateTime(timezone=True), primary_key=True),
    _count("request_count"),
    # Known for keys, users, teams and the customer only.
    _count("refused_count"),
    _count("cost_nanousd"),
    _count("input_tokens"),
    _count("output_tokens"),
    Index("rollups_by_hour", "customer_id", "dimension", "hour"),
    **HOT,
)

# Rates and requests at once (L4): what each limited scope used lately, and what workers were lent of it.
rate_meters = Table(
    "rate_meters",
    metadata,
    _customer(),
    # A key, user, team, or the customer itself.
    _id("scope_id", primary_key=True),
    # The pattern of one of the key's model limits; empty: all requests.
    Column("model", Text, primary_key=True),
    # edge.proto RateKind.
    Column("kind", SmallInteger, primary_key=True),
    # Half seconds since 1970 of used[1]; what was used in it and those after.
    _count("first_slot"),
    Column("used", ARRAY(BigInteger), nullable=False, server_default="{}"),
    # By incarnation (domain/rates.py Share).
    Column("shares", JSONB, nullable=False, server_default="{}"),
    **HOT,
)

incarnations = Table(
    "incarnations",
    metadata,
    _id("incarnation_id", primary_key=True),
    _text("edge_name"),
    _time("create_time"),
    _time("close_time", nullable=True),
    _count("last_sequence"),
    _count("gap_count"),
)
