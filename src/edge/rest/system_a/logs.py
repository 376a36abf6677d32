"""A15: the request log, and its sums."""

from decimal import Decimal
from typing import Any

import orjson

from edge.answer import Answer
from edge.rest.calls import Caller, Control
from edge.rest.endpoint import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    PAGE_SIZE,
    STRING,
    TIME,
    Endpoint,
    list_of,
    object_of,
    or_null,
    read_numbers,
)
from edge.rest.exchange import Exchange
from edge.rest.system_a.shapes import usd_number
from tollkeeper.v1.budgets_pb2 import Budget, ListBudgetsRequest, Scope
from tollkeeper.v1.usage_pb2 import GetUsageSummaryRequest, ListUsageRequest, UsageEntry

_LIMIT = (100, 1000)
# Rows before an offset are read to be passed over; /v1 has page tokens for more.
_OFFSET = (0, 10_000)
_LOG = object_of(
    id=STRING,
    user_id=STRING,
    gateway_key_id=STRING,
    provider_used=STRING,
    model_used=STRING,
    status_code=INTEGER,
    latency_ms=INTEGER,
    prompt_tokens=INTEGER,
    completion_tokens=INTEGER,
    total_cost=NUMBER,
    is_cached=BOOLEAN,
    is_failover=BOOLEAN,
    created_at=TIME,
)
_SUMMARY = object_of(
    total_spend=NUMBER,
    budget=or_null(NUMBER),
    budget_remaining=or_null(NUMBER),
    budget_used_percentage=or_null(NUMBER),
    total_requests=INTEGER,
    last_24h_requests=INTEGER,
    last_24h_cost=NUMBER,
)


def endpoints(control: Control) -> list[Endpoint]:
    """/api/logs."""

    async def listing(exchange: Exchange) -> Answer:
        asked = read_numbers(exchange, {"limit": _LIMIT, "offset": _OFFSET})
        entries = await _entries(control, exchange.caller, asked["limit"], asked["offset"])
        return exchange.plain({"logs": [_plain(each) for each in entries]})

    async def summary(exchange: Exchange) -> Answer:
        used = await exchange.caller.call(control.usage.GetUsageSummary, GetUsageSummaryRequest())
        request = ListBudgetsRequest(scope=Scope.SCOPE_CUSTOMER, page_size=1)
        listed = await exchange.caller.call(control.budgets.ListBudgets, request)
        body = {
            "total_spend": usd_number(used.total_cost_nanousd),
            **_budget(listed.budgets[0] if listed.budgets else None),
            "total_requests": used.total_requests,
            "last_24h_requests": used.day_requests,
            "last_24h_cost": usd_number(used.day_cost_nanousd),
        }
        return exchange.plain(body)

    parameters = {
        "limit": {"type": "integer", "minimum": 0, "maximum": _LIMIT[1], "default": _LIMIT[0]},
        "offset": {"type": "integer", "minimum": 0, "maximum": _OFFSET[1], "default": _OFFSET[0]},
    }
    logs = object_of(logs=list_of(_LOG))
    return [
        Endpoint("GET", "/api/logs", listing, "Requests, newest first", logs, parameters=parameters),
        Endpoint("GET", "/api/logs/summary", summary, "Spend, budget and the last 24 hours", _SUMMARY),
    ]


async def _entries(control: Control, caller: Caller, limit: int, offset: int) -> list[UsageEntry]:
    request = ListUsageRequest()
    found: list[UsageEntry] = []
    while len(found) < offset + limit:
        request.page_size = min(PAGE_SIZE, offset + limit - len(found))
        page = await caller.call(control.usage.ListUsage, request)
        found += page.usage
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    return found[offset : offset + limit]


def _plain(entry: UsageEntry) -> dict[str, Any]:
    return {
        "id": entry.usage_id,
        "user_id": entry.customer_id,
        "gateway_key_id": entry.key_id,
        "provider_used": entry.provider_name,
        "model_used": entry.response_model or entry.requested_model,
        "status_code": entry.status,
        "latency_ms": entry.latency_ms,
        "prompt_tokens": entry.usage.input_tokens,
        "completion_tokens": entry.usage.output_tokens,
        "total_cost": usd_number(entry.cost_nanousd),
        "is_cached": entry.cached,
        "is_failover": entry.failover,
        "created_at": entry.begin_time.ToJsonString(),
    }


def _budget(budget: Budget | None) -> dict[str, Any]:
    """The customer's first budget in its present window; all null means unlimited."""
    if budget is None:
        return {"budget": None, "budget_remaining": None, "budget_used_percentage": None}
    limit, spent = budget.limit_nanousd + budget.top_up_nanousd, budget.window.spent_nanousd
    percentage = round(Decimal(spent * 100) / limit, 4)
    return {
        "budget": usd_number(limit),
        "budget_remaining": usd_number(limit - spent),
        "budget_used_percentage": orjson.Fragment(f"{percentage:f}"),
    }
