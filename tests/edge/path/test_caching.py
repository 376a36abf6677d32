"""Cloudflare's cache: off unless asked for, and never shared between customers; and what its log is told."""

from typing import Any

import httpx
import orjson
import pytest

from edge.admission import UsageState
from edge.upstream.gateway_lines import cache_key
from tests.edge.fake_ledger import FakeLedger, grant, price, rule
from tests.edge.path.conftest import Edge
from tests.edge.path.test_answers import PATH, Start, body

TTL = "x-tollkeeper-cache-ttl"


async def ask(edge: Edge, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    """One request with these headers."""
    async with edge.client as client:
        return await client.post(PATH, json=body(**more), headers=headers)


def sent(edge: Edge) -> dict[str, str]:
    """The headers of the last request that went to the gateway."""
    [request] = edge.simulator.captures.last(1)
    return dict(request["headers"])  # type: ignore[call-overload, no-any-return]


@pytest.fixture
async def caching(start: Start) -> Edge:
    """An edge whose router keeps answers for two minutes."""
    made = await start(FakeLedger(grant(rule("primary"), cache_ttl_s=120), price("gpt-4o-mini")))
    assert isinstance(made, Edge)
    return made


async def test_a_hit_costs_nothing_and_says_so(caching: Edge) -> None:
    """The second answer is the first one's, is free, and is marked in header and record."""
    first, second = await ask(caching), await ask(caching)

    assert first.content == second.content
    assert [each.headers["x-tollkeeper-cache"] for each in (first, second)] == ["miss", "hit"]
    assert second.headers["x-tollkeeper-cost-usd"] == "0.00"
    paid, free = caching.ledger.opened
    assert (paid.cached, free.cached) == (False, True)
    assert paid.ended[0].cost_nanousd > 0
    assert (free.ended[0].state, free.ended[0].why) == (UsageState.USAGE_STATE_VOIDED, "cache_hit")
    assert len(caching.simulator.bill.rows()) == 1


@pytest.mark.parametrize(
    ("headers", "more", "ttl"),
    [
        ({}, {}, "120"),
        ({TTL: "3600"}, {}, "3600"),
        ({TTL: "0"}, {}, None),
        ({}, {"stream": True}, None),
    ],
)
async def test_who_decides(
    caching: Edge, headers: dict[str, str], more: dict[str, Any], ttl: str | None
) -> None:
    """The router, but for a request that says otherwise; streams are never kept."""
    await ask(caching, headers, **more)

    told = sent(caching)
    assert told.get("cf-aig-cache-ttl") == ttl
    assert ("cf-aig-cache-key" in told) == (ttl is not None)
    assert told.get("cf-aig-skip-cache") == (None if ttl else "true")


async def test_a_request_may_ask_for_it(edge: Edge) -> None:
    """Where the router has no cache, a header is enough."""
    answers = [await ask(edge, {TTL: "60"}), await ask(edge, {TTL: "60"}), await ask(edge)]

    assert [each.headers["x-tollkeeper-cache"] for each in answers] == ["miss", "hit", "miss"]


@pytest.mark.parametrize("value", ["", "-1", "59", "2592001", "soon", "1" * 30])
async def test_bad_times_are_refused(edge: Edge, value: str) -> None:
    """Before anything is held or sent."""
    answer = await ask(edge, {TTL: value})

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == TTL
    assert not edge.ledger.opened


def test_every_part_makes_the_key() -> None:
    """Another customer, provider, path or word has another key, and nobody can make it without the secret."""
    base = (b"secret", "customer", "provider", "/path", b"body")
    others = [
        (b"other", "customer", "provider", "/path", b"body"),
        (b"secret", "customerp", "rovider", "/path", b"body"),
        (b"secret", "other", "provider", "/path", b"body"),
        (b"secret", "customer", "other", "/path", b"body"),
        (b"secret", "customer", "provider", "/other", b"body"),
        (b"secret", "customer", "provider", "/pathb", b"ody"),
        (b"secret", "customer", "provider", "/path", b"other"),
    ]
    keys = {cache_key(*parts) for parts in (base, *others)}

    assert len(keys) == len(others) + 1
    assert cache_key(*base) in keys


async def test_end_user_and_tags_reach_the_log(edge: Edge) -> None:
    """As the fifth entry of the metadata, cut to what Cloudflare keeps; without them there are four at
    most."""
    await ask(edge, {"x-tollkeeper-tags": "search, beta"}, user="ann" * 40)

    told = orjson.loads(sent(edge)["cf-aig-metadata"])
    assert told["customer"] == "customer-1"
    assert told["labels"] == ("tag:search;tag:beta;end_user:" + "ann" * 40)[:100]
    assert sent(edge)["cf-aig-skip-cache"] == "true"
