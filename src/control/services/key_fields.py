"""The fields of a key: what a message writes to its row, and what a row shows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from control.domain.key_limits import (
    RATES,
    check_allowed_ips,
    check_max_cost,
    check_model_limits,
    check_rate,
)
from control.domain.models import check_allowed_models
from control.domain.prices import check_token_count
from control.services.budget_changes import budget_message
from control.services.convert import checked_name, etag, timestamp
from control.services.moments import moment
from control.store import budgets as budget_store
from control.store import keys as store
from control.store.database import Connection
from control.store.resources import transaction_time
from control.store.routers import load_live_router
from control.store.rows import Row
from tollkeeper.errors import invalid
from tollkeeper.v1.budgets_pb2 import Budget
from tollkeeper.v1.keys_pb2 import Key, KeyDefaults, ModelLimit

OWNERS = ("user_id", "team_id")
CHANGEABLE = (
    "name",
    "router_id",
    *OWNERS,
    "allowed_models",
    "disabled",
    "default_output_limit",
    "clamp_output",
    "expire_time",
    *RATES,
    "model_limits",
    "max_cost_nanousd",
    "allowed_ips",
)
_DEFAULTED = (
    "allowed_models",
    *RATES,
    "model_limits",
    "max_cost_nanousd",
    "clamp_output",
)


def fill_in(key: Key, defaults: KeyDefaults) -> None:
    """Gives a new key what its maker left to the customer's defaults."""
    chosen = Key(**{field: getattr(defaults, field) for field in _DEFAULTED if not getattr(key, field)})
    key.MergeFrom(chosen)


async def columns(connection: Connection, customer_id: str, sent: Key, field: str) -> dict[str, Any]:
    """What one field of the message writes to the row's column of the same name. Raises INVALID_ARGUMENT, and
    NOT_FOUND for a router that isn't the customer's."""
    match field:
        case "name":
            return {field: checked_name(sent.name)}
        case "router_id":
            if not sent.router_id:
                return {field: None}
            return {field: (await load_live_router(connection, customer_id, sent.router_id))["router_id"]}
        case "user_id" | "team_id":
            return {field: getattr(sent, field).lower() or None}
        case "allowed_models":
            return {field: check_allowed_models(sent.allowed_models)}
        case "default_output_limit":
            return {field: check_token_count(sent.default_output_limit, field)}
        case "expire_time":
            return {field: await _expire_time(connection, sent)}
        case "requests_per_minute" | "tokens_per_minute" | "max_concurrent_requests":
            return {field: check_rate(getattr(sent, field), field)}
        case "model_limits":
            return {field: check_model_limits(sent.model_limits)}
        case "max_cost_nanousd":
            return {field: check_max_cost(sent.max_cost_nanousd)}
        case "allowed_ips":
            return {field: check_allowed_ips(sent.allowed_ips)}
        case _:
            return {field: getattr(sent, field)}


async def _expire_time(connection: Connection, sent: Key) -> datetime | None:
    if not sent.HasField("expire_time"):
        return None
    expire_time = moment(sent.expire_time, "expire_time")
    if expire_time <= await transaction_time(connection):
        raise invalid("expire_time must be in the future.", field="expire_time")
    return expire_time


async def key_message(connection: Connection, customer_id: str, key_id: str) -> Key:
    """A key with its budgets and spend. Raises NOT_FOUND."""
    row = await store.load_key(connection, customer_id, key_id)
    return (await key_messages(connection, customer_id, [row]))[0]


async def key_messages(connection: Connection, customer_id: str, rows: Sequence[Row]) -> list[Key]:
    """Keys with budgets and spend, in three queries for any number of them."""
    now = await transaction_time(connection)
    key_ids = [row["key_id"] for row in rows]
    budgets = await budget_store.budgets_of(connection, customer_id, key_ids, now)
    without = [key_id for key_id in key_ids if not budgets[key_id]]
    spend = await store.spend_of_keys(connection, customer_id, without)
    messages = []
    for row in rows:
        message = _message(row, now)
        message.budgets.extend(budget_message(budget, now) for budget in budgets[row["key_id"]])
        if message.budgets:
            window = message.budgets[0].window
            message.spend_nanousd = window.spent_nanousd
            if window.HasField("end_time"):
                message.spend_reset_time.CopyFrom(window.end_time)
        else:
            message.spend_nanousd = spend.get(row["key_id"], 0)
        messages.append(message)
    return messages


async def budgets_above(connection: Connection, key: Key) -> list[Budget]:
    """All live budgets that a key's requests count in: its own, its user's, its team's, the customer's."""
    now = await transaction_time(connection)
    scope_ids = [each for each in (key.key_id, key.user_id, key.team_id, key.customer_id) if each]
    found = await budget_store.budgets_of(connection, key.customer_id, scope_ids, now)
    return [budget_message(row, now) for scope_id in scope_ids for row in found[scope_id]]


def _message(row: Row, now: datetime) -> Key:
    overlaps = row["previous_expire_time"] is not None and row["previous_expire_time"] > now
    return Key(
        key_id=row["key_id"],
        customer_id=row["customer_id"],
        name=row["name"],
        key_hash=row["key_hash"].hex(),
        prefix=row["prefix"],
        user_id=row["user_id"] or "",
        team_id=row["team_id"] or "",
        user_email=row["user_email"] or "",
        user_name=row["user_name"] or "",
        team_name=row["team_name"] or "",
        router_id=row["router_id"] or "",
        allowed_models=row["allowed_models"],
        disabled=row["disabled"],
        default_output_limit=row["default_output_limit"],
        clamp_output=row["clamp_output"],
        expire_time=timestamp(row["expire_time"]),
        revoke_time=timestamp(row["revoke_time"]),
        created_by=row["created_by"],
        requests_per_minute=row["requests_per_minute"],
        tokens_per_minute=row["tokens_per_minute"],
        max_concurrent_requests=row["max_concurrent_requests"],
        model_limits=[ModelLimit(**limit) for limit in row["model_limits"]],
        max_cost_nanousd=row["max_cost_nanousd"],
        allowed_ips=row["allowed_ips"],
        previous_key_hash=row["previous_key_hash"].hex() if overlaps else "",
        previous_prefix=row["previous_prefix"] if overlaps else "",
        previous_expire_time=timestamp(row["previous_expire_time"]) if overlaps else None,
        rotate_time=timestamp(row["rotate_time"]),
        etag=etag(row["revision"]),
        create_time=timestamp(row["create_time"]),
    )
