"""The request log, from the edge's HTTP to what people read: labels, attempts, refusals, sums (A5)."""

import asyncio
import csv
import io

from tests.e2e.admin import Tenant
from tests.e2e.stack import Stack, found
from tests.e2e.wire import ask, chat, steered
from tollkeeper.v1 import edge_pb2, usage_pb2
from tollkeeper.v1.usage_pb2 import GetUsageRequest, GetUsageSummaryRequest, ListUsageRequest

LABELS = {"x-tollkeeper-tags": "nightly, eval"}


def test_a5_a_request_is_found_by_what_it_was_filed_under(stack: Stack, tenant: Tenant) -> None:
    """A5: end user, tags, router and attempts are in the log; lists, export and sums agree."""
    key = tenant.key()
    reply = asyncio.run(ask(stack.edge, key.secret, chat(user="ann", max_tokens=16), headers=LABELS))
    asyncio.run(ask(stack.edge, key.secret, chat(max_tokens=16)))
    tenant.settled(2)
    usage, customer = tenant.admin.usage, tenant.customer_id
    for wanted in ({"end_user": "ann"}, {"tag": "eval"}, {"tag": "nightly", "model": "gpt-4o-mini"}):
        [entry] = usage.ListUsage(ListUsageRequest(customer_id=customer, **wanted)).usage
        assert entry.usage_id == reply.headers["x-tollkeeper-request-id"]
    shown = usage.GetUsage(GetUsageRequest(customer_id=customer, usage_id=entry.usage_id))
    [attempt] = shown.attempts
    assert (attempt.status, attempt.cost_nanousd) == (200, shown.cost_nanousd)
    assert shown.router_id
    assert list(shown.tags) == ["nightly", "eval"]
    by_tag = GetUsageSummaryRequest(customer_id=customer, group_by=usage_pb2.USAGE_DIMENSION_TAG)
    groups = usage.GetUsageSummary(by_tag).groups
    assert {(each.value, each.totals.cost_nanousd) for each in groups} == {
        ("nightly", shown.cost_nanousd),
        ("eval", shown.cost_nanousd),
    }
    parts = usage.ExportUsage(usage_pb2.ExportUsageRequest(customer_id=customer))
    rows = list(csv.DictReader(io.StringIO("".join(part.text for part in parts))))
    assert [row["tags"] for row in rows] == ["", "nightly,eval"]


def test_a5_failed_attempts_are_in_the_log(stack: Stack, tenant: Tenant) -> None:
    """A5, A17: each try with its status and reason."""
    tenant.route(tenant.provider("openai", name="second"))
    key = tenant.key()
    asyncio.run(ask(stack.edge, key.secret, steered("status=500", max_tokens=16)))
    [entry] = tenant.settled(1)
    request = GetUsageRequest(customer_id=tenant.customer_id, usage_id=entry.usage_id)
    attempts = tenant.admin.usage.GetUsage(request).attempts
    assert {attempt.status for attempt in attempts} == {500}
    assert all(attempt.why for attempt in attempts)


def test_a5_refused_requests_are_found_by_their_answer(stack: Stack, tenant: Tenant) -> None:
    """A5: an unpriced model and a spent budget; status, reason, scope, cost 0; the answer names the row."""
    poor = tenant.key(1)
    spent = asyncio.run(ask(stack.edge, poor.secret, chat(user="ann"), headers=LABELS))
    unpriced = asyncio.run(ask(stack.edge, tenant.key().secret, chat(model="no-such-model")))
    assert (spent.status, unpriced.status) == (429, 400)
    wanted = ListUsageRequest(customer_id=tenant.customer_id, state=edge_pb2.USAGE_STATE_REFUSED)
    usage = tenant.admin.usage
    found(lambda: len(usage.ListUsage(wanted).usage) == 2)
    by_id = {entry.usage_id: entry for entry in usage.ListUsage(wanted).usage}
    quota = by_id[spent.headers["x-tollkeeper-request-id"]]
    assert (quota.status, quota.why, quota.refused_scope, quota.cost_nanousd) == (
        429,
        "insufficient_quota",
        "key",
        0,
    )
    assert (quota.end_user, list(quota.tags), quota.key_id) == ("ann", ["nightly", "eval"], poor.key_id)
    missing = by_id[unpriced.headers["x-tollkeeper-request-id"]]
    assert (missing.status, missing.why, missing.requested_model) == (
        400,
        "model_not_priced",
        "no-such-model",
    )
    summary = usage.GetUsageSummary(GetUsageSummaryRequest(customer_id=tenant.customer_id))
    assert (summary.total_requests, summary.refused_requests) == (0, 2)
