"""What monitoring and load balancers ask of the edge: any worker answers for all of them."""

import re

import pytest

from tests.e2e.admin import Tenant
from tests.e2e.stack import Stack
from tests.e2e.wire import ask, burst, chat, steered

REQUESTS = 40


async def scraped(stack: Stack, metric: str, **labels: str) -> float:
    """Sum of a metric's samples with these labels, from whichever worker takes the connection."""
    reply = await ask(stack.edge, "", b"", method="GET", path="/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    total = 0.0
    for found_labels, value in re.findall(rf"^{metric}{{(.*)}} (\S+)$", reply.body.decode(), re.MULTILINE):
        if all(f'{name}="{each}"' in found_labels for name, each in labels.items()):
            total += float(value)
    return total


async def test_counters_are_those_of_all_workers(stack: Stack, tenant: Tenant) -> None:
    """Requests spread over the workers; every scrape, whoever answers it, has them all."""
    # Of a type that no other test leaves requests of behind, which would be counted when they end.
    provider_id = tenant.provider("deepseek", credential="sk-vendor")
    tenant.price(provider_id, "own", input=1, output=1)
    tenant.route(provider_id)
    key = tenant.key()
    counts = {"route": "chat", "provider": "deepseek", "status": "200"}
    before = await scraped(stack, "tollkeeper_edge_requests_total", **counts)
    replies = await burst(stack.edge, [(key.secret, chat(model="own"))] * REQUESTS)
    assert {reply.status for reply in replies} == {200}
    tenant.settled(REQUESTS, key)
    for _ in range(8):
        assert await scraped(stack, "tollkeeper_edge_requests_total", **counts) == before + REQUESTS


async def test_estimates_are_counted_by_reason(stack: Stack, tenant: Tenant) -> None:
    """What to alert on when upstreams break connections."""
    before = await scraped(stack, "tollkeeper_edge_estimated_total", why="usage_missing")
    await ask(stack.edge, tenant.key().secret, steered("no_usage"))
    tenant.settled(1)
    assert await scraped(stack, "tollkeeper_edge_estimated_total", why="usage_missing") == before + 1


@pytest.mark.parametrize(("path", "status"), [("/healthz", "ok"), ("/readyz", "ready"), ("/", "healthy")])
async def test_health(stack: Stack, path: str, status: str) -> None:
    """Without a key."""
    reply = await ask(stack.edge, "", b"", method="GET", path=path)
    assert (reply.status, reply.json()["status"]) == (200, status)


async def test_no_secret_is_in_log_or_metrics(stack: Stack, tenant: Tenant) -> None:
    """Neither the virtual key nor the vendor's, also after failures of all kinds."""
    key = tenant.key()
    for pairs in ("", "status=401", "status=500", "cut_after=0", "garbage"):
        await ask(stack.edge, key.secret, steered(pairs))
    tenant.settled(5, key)
    metrics = (await ask(stack.edge, "", b"", method="GET", path="/metrics")).body.decode()
    log = stack.up.log.read_text()
    for secret in (key.secret, "sk-vendor"):
        assert secret not in log + metrics
