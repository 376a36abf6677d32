"""Grants: all an edge needs to serve one key, read in one snapshot with three indexed queries."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain.price_plans import model_markup_messages
from control.domain.prices import rates_to_proto
from control.domain.providers import credential_context
from control.store.fetch import fetch_all, fetch_optional
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2, prices_pb2
from tollkeeper.v1.keys_pb2 import ModelLimit
from tollkeeper.v1.routers_pb2 import Deadlines, Retries

# The version is read together with what it stands for, and that by one snapshot: a grant can't be newer than
# it says.
_KEY = text(
    """
    SELECT k.customer_id::text, k.key_id::text, k.team_id::text, k.user_id::text,
           coalesce(k.router_id, c.default_router_id)::text AS router_id,
           k.allowed_models, k.clamp_output, k.disabled, k.revoke_time,
           CASE WHEN k.key_hash = :key_hash THEN k.expire_time
               ELSE least(k.expire_time, k.previous_expire_time) END AS expire_time,
           k.allowed_ips, k.max_cost_nanousd, k.model_limits, c.allowed_models AS customer_allowed_models,
           ARRAY[k.requests_per_minute, k.tokens_per_minute, k.max_concurrent_requests] AS key_rates,
           ARRAY[u.requests_per_minute, u.tokens_per_minute, u.max_concurrent_requests] AS user_rates,
           ARRAY[t.requests_per_minute, t.tokens_per_minute, t.max_concurrent_requests] AS team_rates,
           ARRAY[c.requests_per_minute, c.tokens_per_minute, c.max_concurrent_requests] AS customer_rates,
           coalesce(nullif(k.default_output_limit, 0), c.default_output_limit) AS default_output_limit,
           c.version, c.cf_gateway_id, c.delete_time AS customer_delete_time,
           coalesce(pp.markup_ppm, 0) AS markup_ppm, coalesce(pp.model_markups, '[]') AS model_markups,
           k.chain_version + c.chain_version + coalesce(u.chain_version, 0) + coalesce(t.chain_version, 0)
               AS chain_version,
           c.suspended OR coalesce(u.suspended, false) OR coalesce(t.suspended, false) AS suspended,
           NOT EXISTS (
               SELECT FROM budgets b
               WHERE b.customer_id = k.customer_id AND b.delete_time IS NULL AND NOT b.soft
                   AND b.scope_id = ANY(ARRAY[k.key_id, k.user_id, k.team_id, k.customer_id])) AS unlimited
    FROM directory d
    JOIN keys k ON k.customer_id = d.customer_id AND k.key_id = d.target_id
    JOIN customers c ON c.customer_id = d.customer_id
    LEFT JOIN price_plans pp ON pp.customer_id = :platform AND pp.delete_time IS NULL
        AND CASE WHEN c.price_plan_id IS NULL THEN pp.granted_to_all
                 ELSE pp.price_plan_id = c.price_plan_id END
    LEFT JOIN users u ON u.customer_id = k.customer_id AND u.user_id = k.user_id
    LEFT JOIN teams t ON t.customer_id = k.customer_id AND t.team_id = k.team_id
    WHERE d.kind = 'key_hash' AND d.value = :value AND :key_hash IN (k.key_hash, k.previous_key_hash)
    """
)
# The customer's own router, or the platform's that is granted to it; its rules lead to providers of the
# router's owner, or to the platform's that are granted.
_RULES = text(
    """
    SELECT r.rule_id::text, r.priority, r.condition, r.statuses, r."when", r.weight, r.allowed_models,
           r.model_rewrite, ro.retries, ro.deadlines, ro.cache_ttl_s,
           p.provider_id::text, p.customer_id::text AS provider_customer_id, p.name, p.provider_type,
           p.base_url, p.sealed_credential, p.stored_key_alias, p.disabled, p.direct,
           p.passthrough_paths
    FROM routers ro
    JOIN routing_rules r ON r.customer_id = ro.customer_id AND r.router_id = ro.router_id
    JOIN providers p ON p.customer_id IN (ro.customer_id, :platform) AND p.provider_id = r.provider_id
    WHERE ro.customer_id IN (:customer_id, :platform) AND ro.router_id = :router_id
        AND ro.delete_time IS NULL AND p.delete_time IS NULL
        AND (ro.customer_id = :customer_id OR ro.granted_to_all OR EXISTS (
            SELECT FROM resource_grants g
            WHERE g.customer_id = :customer_id AND g.kind = 'router' AND g.resource_id = ro.router_id))
        AND (p.customer_id = ro.customer_id OR p.granted_to_all OR EXISTS (
            SELECT FROM resource_grants g
            WHERE g.customer_id = :customer_id AND g.kind = 'provider' AND g.resource_id = p.provider_id))
    ORDER BY r.priority, r.position
    """
)
_PRICES = text(
    """
    SELECT price_id::text, customer_id::text, provider_id::text, provider_type, model, rates,
           max_output_tokens, context_tokens, effective_time, end_time, create_time
    FROM prices
    WHERE (customer_id = :customer_id AND provider_id = ANY(CAST(:own_ids AS uuid[]))
            OR customer_id = :platform AND provider_id = ANY(CAST(:platform_ids AS uuid[])))
        AND (end_time IS NULL OR end_time > :now)
    ORDER BY model, effective_time
    """
)


async def load_grant(
    connection: AsyncConnection, key_hash: bytes, now: datetime, open_credential: Callable[[bytes, str], str]
) -> edge_pb2.Grant:
    """The grant of the key with this SHA-256, as of the connection's snapshot.

    Raises INVALID_API_KEY for a key that is unknown, disabled, revoked or expired, or whose customer is gone,
    with the same answer for each; CUSTOMER_SUSPENDED when its customer, team or user is suspended.
    """
    values = {"value": key_hash.hex(), "key_hash": key_hash, "platform": PLATFORM_CUSTOMER_ID}
    key = await fetch_optional(connection, _KEY, values)
    _check(key, now)
    assert key is not None
    grant = edge_pb2.Grant(
        customer_id=key["customer_id"],
        key_id=key["key_id"],
        team_id=key["team_id"] or "",
        user_id=key["user_id"] or "",
        version=key["version"],
        chain_version=key["chain_version"],
        unlimited=key["unlimited"],
        allowed_models=key["allowed_models"],
        default_output_limit=key["default_output_limit"],
        clamp_output=key["clamp_output"],
        cf_gateway_id=key["cf_gateway_id"] or "",
        router_id=key["router_id"] or "",
        allowed_ips=key["allowed_ips"],
        max_cost_nanousd=key["max_cost_nanousd"],
        model_limits=[ModelLimit(**limit) for limit in key["model_limits"]],
        rate_limits=_rate_limits(key),
        customer_allowed_models=key["customer_allowed_models"],
        markup_ppm=key["markup_ppm"],
        model_markups=model_markup_messages(key["model_markups"]),
    )
    if key["expire_time"] is not None:
        grant.expire_time.FromDatetime(key["expire_time"])
    if key["router_id"] is not None:
        await _add_rules(connection, grant, key["router_id"], now, open_credential)
    return grant


def _rate_limits(key: Row) -> list[edge_pb2.RateLimit]:
    """Those that limit something, of every scope the key's requests belong to."""
    limits = [
        edge_pb2.RateLimit(
            scope=scope,
            scope_id=key[f"{scope}_id"],
            requests_per_minute=key[f"{scope}_rates"][0],
            tokens_per_minute=key[f"{scope}_rates"][1],
            max_concurrent_requests=key[f"{scope}_rates"][2],
        )
        for scope in ("key", "user", "team", "customer")
        if any(key[f"{scope}_rates"])
    ]
    limits += [
        edge_pb2.RateLimit(
            scope="key",
            scope_id=key["key_id"],
            model=limit["model"],
            requests_per_minute=limit["requests_per_minute"],
            tokens_per_minute=limit["tokens_per_minute"],
        )
        for limit in key["model_limits"]
        if limit["requests_per_minute"] or limit["tokens_per_minute"]
    ]
    return limits


def _check(key: Row | None, now: datetime) -> None:
    if (
        key is None
        or key["revoke_time"] is not None
        or key["disabled"]
        or key["customer_delete_time"] is not None
        or (key["expire_time"] is not None and key["expire_time"] <= now)
    ):
        raise TollkeeperError(Reason.INVALID_API_KEY, "The API key is not valid.")
    if key["suspended"]:
        raise TollkeeperError(Reason.CUSTOMER_SUSPENDED, "The owner of the API key is suspended.")


async def _add_rules(
    connection: AsyncConnection,
    grant: edge_pb2.Grant,
    router_id: str,
    now: datetime,
    open_credential: Callable[[bytes, str], str],
) -> None:
    routing = await load_routing(connection, grant.customer_id, router_id, now, open_credential)
    grant.rules.extend(routing.rules)
    grant.own_prices.extend(routing.own_prices)
    if routing.retries is not None:
        grant.retries.CopyFrom(routing.retries)
    if routing.deadlines is not None:
        grant.deadlines.CopyFrom(routing.deadlines)
    grant.cache_ttl_s = routing.cache_ttl_s


class Routing(NamedTuple):
    """What a router gives to grants: its rules with their providers, the own prices of those providers, and
    its settings where it has any."""

    rules: Sequence[edge_pb2.Rule] = ()
    own_prices: Sequence[prices_pb2.Price] = ()
    retries: Retries | None = None
    deadlines: Deadlines | None = None
    cache_ttl_s: int = 0


async def load_routing(
    connection: AsyncConnection,
    customer_id: str,
    router_id: str,
    now: datetime,
    open_credential: Callable[[bytes, str], str],
) -> Routing:
    """What a router gives to grants of a customer; nothing where it isn't there, has no rules or isn't
    granted to the customer."""
    values = {"customer_id": customer_id, "router_id": router_id, "platform": PLATFORM_CUSTOMER_ID}
    rows = await fetch_all(connection, _RULES, values)
    if not rows:
        return Routing()
    retries, deadlines = rows[0]["retries"], rows[0]["deadlines"]
    return Routing(
        [_rule(row, open_credential) for row in rows],
        await _own_prices(connection, customer_id, rows, now),
        Retries(**retries) if retries else None,
        Deadlines(**deadlines) if deadlines else None,
        rows[0]["cache_ttl_s"],
    )


def _rule(row: Row, open_credential: Callable[[bytes, str], str]) -> edge_pb2.Rule:
    rule = provider_rule(row, open_credential)
    rule.rule_id = row["rule_id"]
    rule.priority = row["priority"]
    rule.condition = row["condition"]
    rule.statuses.extend(row["statuses"])
    rule.when = row["when"]
    rule.weight = row["weight"]
    rule.provider_enabled = not row["disabled"]
    rule.allowed_models.extend(row["allowed_models"])
    rule.model_rewrite = row["model_rewrite"]
    rule.passthrough_paths.extend(row["passthrough_paths"])
    return rule


def provider_rule(row: Row, open_credential: Callable[[bytes, str], str]) -> edge_pb2.Rule:
    """As much of a rule as says how its provider is reached."""
    sealed: bytes | None = row["sealed_credential"]
    context = credential_context(row["provider_id"])
    return edge_pb2.Rule(
        provider_id=row["provider_id"],
        provider_name=row["name"],
        provider_type=row["provider_type"],
        base_url=row["base_url"],
        direct=row["direct"],
        shared=row["provider_customer_id"] == PLATFORM_CUSTOMER_ID,
        credential="" if sealed is None else open_credential(sealed, context),
        stored_key_alias=row["stored_key_alias"],
    )


async def _own_prices(
    connection: AsyncConnection, customer_id: str, rules: Sequence[Row], now: datetime
) -> list[prices_pb2.Price]:
    ids: dict[bool, set[str]] = {True: set(), False: set()}
    for rule in rules:
        ids[rule["provider_customer_id"] == PLATFORM_CUSTOMER_ID].add(rule["provider_id"])
    values = {
        "customer_id": customer_id,
        "platform": PLATFORM_CUSTOMER_ID,
        "own_ids": sorted(ids[False]),
        "platform_ids": sorted(ids[True]),
        "now": now,
    }
    return [price_message(row, now) for row in await fetch_all(connection, _PRICES, values)]


def price_message(row: Row, now: datetime | None = None) -> prices_pb2.Price:
    """The message of a price's row. With `now` also what the edge counts from: when it starts and ends
    (L16)."""
    is_global = row["provider_id"] is None
    price = prices_pb2.Price(
        price_id=row["price_id"],
        customer_id="" if is_global else row["customer_id"],
        provider_id="" if is_global else row["provider_id"],
        provider_type=row["provider_type"],
        model=row["model"],
        rates=rates_to_proto(row["rates"]),
        max_output_tokens=row["max_output_tokens"],
        context_tokens=row["context_tokens"],
    )
    price.effective_time.FromDatetime(row["effective_time"].astimezone(UTC))
    price.create_time.FromDatetime(row["create_time"].astimezone(UTC))
    end_time: datetime | None = row["end_time"]
    if end_time is not None:
        price.end_time.FromDatetime(end_time.astimezone(UTC))
    if now is not None:
        if row["effective_time"] > now:
            price.starts_in.FromTimedelta(row["effective_time"] - now)
        if end_time is not None:
            price.ends_in.FromTimedelta(end_time - now)
    return price
