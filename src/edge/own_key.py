"""What a key may know of itself: limits, spend, what is left and until when, models. It takes a call of the
control plane, which knows what all edges spent."""

from datetime import UTC
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sanic.request import Request

from edge.admission import Ledger
from edge.models import Models
from edge.pipeline import Pipeline
from tollkeeper.money import format_usd
from tollkeeper.v1.budgets_pb2 import Budget, Period, Scope
from tollkeeper.v1.edge_pb2 import RateLimit
from tollkeeper.v1.keys_pb2 import Key


class OwnKey:
    """Answers for one worker."""

    def __init__(self, ledger: Ledger, pipeline: Pipeline, models: Models) -> None:
        self._ledger = ledger
        self._pipeline = pipeline
        self._models = models

    async def told(self, request: Request) -> dict[str, Any]:
        """The key object. Raises like `Pipeline.grant_of`, and UNAVAILABLE."""
        with self._pipeline.admitted():
            grant = await self._pipeline.grant_of(request)
            shown = await self._ledger.link.show_key(grant.customer_id, grant.key_id)
        limits = grant.rate_limits
        rates = [_rate(row) for row in limits.rows] if limits is not None else []
        return described(shown.key, list(shown.budgets), self._models.names(grant)) | {"rates": rates}


def described(key: Key, budgets: list[Budget], models: list[str]) -> dict[str, Any]:
    """Dollars are decimal texts; null is no limit, or no end."""
    hard = [budget for budget in budgets if not budget.soft]
    tightest = min(hard, key=_left, default=None)
    return {
        "object": "key",
        "id": key.key_id,
        "name": key.name,
        "customer_id": key.customer_id,
        "team_id": key.team_id or None,
        "user_id": key.user_id or None,
        "expires_at": _time(key.expire_time) if key.HasField("expire_time") else None,
        "spend_usd": format_usd(key.spend_nanousd),
        "limit_usd": None if tightest is None else format_usd(tightest.window.limit_nanousd),
        "remaining_usd": None if tightest is None else format_usd(_left(tightest)),
        "reset_time": None if tightest is None else _reset(tightest),
        "budgets": [_budget(budget) for budget in budgets],
        "limits": {
            "requests_per_minute": key.requests_per_minute or None,
            "tokens_per_minute": key.tokens_per_minute or None,
            "max_concurrent_requests": key.max_concurrent_requests or None,
            "max_cost_usd": format_usd(key.max_cost_nanousd) if key.max_cost_nanousd else None,
            "default_output_limit": key.default_output_limit or None,
            "allowed_models": list(key.allowed_models) or None,
        },
        "models": models,
    }


def _rate(limit: RateLimit) -> dict[str, Any]:
    """Of the key, one of its models, its user, team or customer."""
    return {
        "scope": limit.scope,
        "model": limit.model or None,
        "requests_per_minute": limit.requests_per_minute or None,
        "tokens_per_minute": limit.tokens_per_minute or None,
        "max_concurrent_requests": limit.max_concurrent_requests or None,
    }


def _budget(budget: Budget) -> dict[str, Any]:
    window = budget.window
    return {
        "scope": Scope.Name(budget.scope).removeprefix("SCOPE_").lower(),
        "hard": not budget.soft,
        "period": Period.Name(budget.period).removeprefix("PERIOD_").lower(),
        "limit_usd": format_usd(window.limit_nanousd),
        "spent_usd": format_usd(window.spent_nanousd),
        "held_usd": format_usd(window.held_nanousd),
        "remaining_usd": format_usd(_left(budget)),
        "start_time": _time(window.start_time),
        "reset_time": _reset(budget),
    }


def _left(budget: Budget) -> int:
    """What isn't spent; requests under way may still take of it."""
    return max(0, budget.window.limit_nanousd - budget.window.spent_nanousd)


def _reset(budget: Budget) -> str | None:
    return _time(budget.window.end_time) if budget.window.HasField("end_time") else None


def _time(value: Timestamp) -> str:
    return value.ToDatetime(tzinfo=UTC).isoformat().replace("+00:00", "Z")
