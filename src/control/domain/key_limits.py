"""Limits of keys and customers: rates, largest cost, addresses (keys.proto says what they mean)."""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict, ParseDict

from control.domain.budgets import check_limit, check_period
from control.domain.models import MAX_MODEL_CHARS, check_allowed_models, check_model
from tollkeeper.errors import invalid
from tollkeeper.money import MAX_NANOUSD
from tollkeeper.networks import network
from tollkeeper.v1.customers_pb2 import Customer
from tollkeeper.v1.keys_pb2 import Key, KeyDefaults, ModelLimit
from tollkeeper.v1.teams_pb2 import Team
from tollkeeper.v1.templates_pb2 import Template
from tollkeeper.v1.users_pb2 import User

HasRates = Customer | Key | KeyDefaults | Team | Template | User

MAX_RATE = 1_000_000_000_000
# Limits over all requests of a scope: fields of keys, users, teams, customers and templates alike.
RATES = ("requests_per_minute", "tokens_per_minute", "max_concurrent_requests")
MAX_MODEL_LIMITS = 100
MAX_ALLOWED_IPS = 100
MAX_OVERLAP = timedelta(days=90)
_LIMITS = ("requests_per_minute", "tokens_per_minute", "max_cost_nanousd")


def check_rate(value: int, field: str) -> int:
    """So many a minute or at once; 0 sets no limit. Raises INVALID_ARGUMENT."""
    if not 0 <= value <= MAX_RATE:
        raise invalid(f"{field} must be from 0 to {MAX_RATE}.", field=field)
    return value


def check_rate_limits(sent: HasRates, fields: Collection[str] = RATES, prefix: str = "") -> dict[str, int]:
    """The limits over all requests of a scope that are among `fields`. Raises INVALID_ARGUMENT."""
    return {field: check_rate(getattr(sent, field), f"{prefix}{field}") for field in RATES if field in fields}


def check_max_cost(value: int, field: str = "max_cost_nanousd") -> int:
    """A largest cost per request; 0 sets none. Raises INVALID_ARGUMENT."""
    if not 0 <= value <= MAX_NANOUSD:
        raise invalid(f"{field} must be from 0 to {MAX_NANOUSD}.", field=field)
    return value


def check_model_limits(limits: Sequence[ModelLimit]) -> list[dict[str, Any]]:
    """Limits by model as they are stored, in the order given. Raises INVALID_ARGUMENT."""
    if len(limits) > MAX_MODEL_LIMITS:
        raise invalid(f"At most {MAX_MODEL_LIMITS} model limits.", field="model_limits")
    rows: dict[str, dict[str, Any]] = {}
    for limit in limits:
        model = check_model(limit.model)
        if model in rows:
            raise invalid(f"Two limits for the model {model!r}.", field="model_limits")
        row = {
            "model": model,
            "requests_per_minute": check_rate(limit.requests_per_minute, "model_limits.requests_per_minute"),
            "tokens_per_minute": check_rate(limit.tokens_per_minute, "model_limits.tokens_per_minute"),
            "max_cost_nanousd": check_max_cost(limit.max_cost_nanousd, "model_limits.max_cost_nanousd"),
        }
        if not any(row[name] for name in _LIMITS):
            raise invalid(f"The limit for the model {model!r} limits nothing.", field="model_limits")
        rows[model] = row
    return list(rows.values())


def check_allowed_ips(entries: Iterable[str]) -> list[str]:
    """Networks in canonical form without repetitions, in the order given. Raises INVALID_ARGUMENT."""
    texts = list(entries)
    if len(texts) > MAX_ALLOWED_IPS:
        raise invalid(f"At most {MAX_ALLOWED_IPS} addresses and networks.", field="allowed_ips")
    try:
        return list(dict.fromkeys(str(network(text[:MAX_MODEL_CHARS])) for text in texts))
    except ValueError as error:
        raise invalid(f"{error}.", field="allowed_ips") from None


def check_overlap(overlap: Duration) -> timedelta:
    """How long two secrets work. Raises INVALID_ARGUMENT."""
    # Before it becomes a timedelta, which can't hold all a Duration can.
    if not 0 <= overlap.seconds <= MAX_OVERLAP.total_seconds() or not 0 <= overlap.nanos < 1_000_000_000:
        raise invalid(f"overlap is from 0 to {MAX_OVERLAP.days} days.", field="overlap")
    return min(overlap.ToTimedelta(), MAX_OVERLAP)


def check_key_defaults(defaults: KeyDefaults) -> KeyDefaults:
    """Defaults that every new key can take. Raises INVALID_ARGUMENT."""
    checked = KeyDefaults(
        allowed_models=check_allowed_models(defaults.allowed_models),
        model_limits=[ModelLimit(**row) for row in check_model_limits(defaults.model_limits)],
        max_cost_nanousd=check_max_cost(defaults.max_cost_nanousd, "key_defaults.max_cost_nanousd"),
        clamp_output=defaults.clamp_output,
    )
    for field, limit in check_rate_limits(defaults, prefix="key_defaults.").items():
        setattr(checked, field, limit)
    if defaults.budget.HasField("limit_nanousd"):
        checked.budget.limit_nanousd = check_limit(defaults.budget.limit_nanousd)
        checked.budget.period = check_period(defaults.budget.period)  # type: ignore[assignment]
    return checked


def defaults_row(defaults: KeyDefaults) -> dict[str, Any]:
    """As they are stored: only what is set."""
    return MessageToDict(defaults, preserving_proto_field_name=True)


def defaults_of(row: dict[str, Any]) -> KeyDefaults:
    """What is stored."""
    return ParseDict(row, KeyDefaults())
