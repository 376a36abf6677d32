"""Refused requests as the edge reports them, for the request log."""

from datetime import UTC, datetime
from typing import Any

from control.domain.records import REFUSED, cut, end_user, milliseconds, tags
from tollkeeper.errors import invalid
from tollkeeper.ids import is_uuid
from tollkeeper.v1 import edge_pb2

# The omitted of one report; more is no count but a fault.
MAX_OMITTED = 10**9
_NEEDED = ("usage_id", "customer_id", "key_id")
_OPTIONAL = ("team_id", "user_id", "router_id")


def log_row(refusal: edge_pb2.RefusedRequest, now: datetime) -> dict[str, Any]:
    """The request_log row. Raises INVALID_ARGUMENT."""
    for name in (*_NEEDED, *_OPTIONAL):
        value = getattr(refusal, name)
        if not (is_uuid(value) and value == value.lower()) and (value or name in _NEEDED):
            raise invalid(f"{name} is not a UUID.", field=name)
    return {
        "customer_id": refusal.customer_id,
        "usage_id": refusal.usage_id,
        "key_id": refusal.key_id,
        "user_id": refusal.user_id or None,
        "team_id": refusal.team_id or None,
        "router_id": refusal.router_id or None,
        "end_user": end_user(refusal.end_user),
        "tags": tags(refusal.tags),
        "requested_model": cut(refusal.requested_model),
        "response_model": "",
        "provider_id": None,
        "state": int(REFUSED),
        "status": refusal.status,
        "why": cut(refusal.reason).lower(),
        "refused_scope": cut(refusal.scope),
        "omitted_count": min(max(0, refusal.omitted_count), MAX_OMITTED),
        "attempts": [],
        "stream": refusal.stream,
        "failover": False,
        "cached": False,
        "finish": "",
        "cf_log_id": "",
        "latency_ms": milliseconds(refusal.latency_ms),
        "first_byte_ms": 0,
        "begin_time": _time(refusal, now),
    }


def _time(refusal: edge_pb2.RefusedRequest, now: datetime) -> datetime:
    if not refusal.HasField("time"):
        return now
    try:
        return refusal.time.ToDatetime(tzinfo=UTC)
    except ValueError:
        raise invalid("time is out of range.", field="time") from None
