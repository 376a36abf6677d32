"""Providers that keep failing: passed over, probed, and asked again once they are well."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.upstreams import vendor
from tests.edge.fake_ledger import FakeLedger, grant, price, rule
from tests.edge.path.conftest import Edge
from tests.edge.path.test_answers import post
from tests.edge.path.test_retries import DONE, refuses, served, silent
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1.routers_pb2 import Deadlines

Start = Callable[..., Any]
QUICK = {"breaker_failures": 2, "breaker_open_s": 30}


class Sick:
    """A vendor that fails until it is well."""

    def __init__(self) -> None:
        self.well = False

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        await (DONE if self.well else refuses(503))(writer)


async def providers(edge: Edge, count: int) -> list[str | None]:
    """Who answers so many requests."""
    return [(await post(edge)).headers.get("x-tollkeeper-provider") for _ in range(count)]


async def test_a17_a_sick_provider_is_passed_over_until_it_is_well(start: Start) -> None:
    """After so many failures nothing is sent to it; one probe at a time finds out whether it is back."""
    sick = Sick()
    async with vendor(sick) as known:
        edge = await served(start, known.base_url, rule("second"), settings=QUICK)
        assert await providers(edge, 5) == ["second"] * 5
        assert len(known.heads) == 2
        assert edge.breakers.counts() == {"open": 1, "half_open": 0}
        edge.later_s += 30
        # A failed probe costs one request its time, not all of them.
        assert await providers(edge, 3) == ["second"] * 3
        assert len(known.heads) == 3
        sick.well = True
        edge.later_s += 60
        assert await providers(edge, 3) == ["first"] * 3
    assert edge.breakers.counts() == {"open": 0, "half_open": 0}


async def test_nobody_left_is_told_at_once(start: Start) -> None:
    """503 with the time of the next probe; nothing is held, sent or recorded as an attempt."""
    async with vendor(refuses(503)) as known:
        edge = await served(start, known.base_url, settings=QUICK)
        for _ in range(2):
            assert (await post(edge)).status_code == 502
        answer = await post(edge)

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "circuit_open")
    assert 24 <= int(answer.headers["retry-after"]) <= 30
    assert answer.headers["x-should-retry"] == "true"
    assert len(known.heads) == len(edge.ledger.opened) == 2
    assert edge.ledger.refusals.notes[-1][0] == "CIRCUIT_OPEN"


async def test_conditions_answer_to_why_a_provider_rests(start: Start) -> None:
    """Who was silent counts as silent still, so the rule that waits for timeouts is the first."""
    others = [rule("spare", condition="fallback"), rule("late", condition="on_timeout")]
    async with vendor(silent) as known:
        deadlines = Deadlines(first_byte_ms=500)
        edge = await served(start, known.base_url, *others, settings=QUICK, deadlines=deadlines)
        assert await providers(edge, 4) == ["late"] * 4

    assert len(known.heads) == 2
    assert [len(opened.plans) for opened in edge.ledger.opened] == [2, 2, 1, 1]


async def test_one_passed_over_in_the_middle_is_named(start: Start) -> None:
    """Among the attempts of a request that failed everywhere."""
    async with vendor(refuses(503)) as known, vendor(refuses(501)) as other:
        well = rule("well", provider_type="custom", base_url=other.base_url)
        sick = rule("sick", priority=2, provider_type="custom", base_url=known.base_url)
        edge = await start(FakeLedger(grant(well, sick), price("gpt-4o-mini")), **QUICK)
        for _ in range(2):
            await post(edge)
        answer = await post(edge)

    assert answer.json()["error"]["tollkeeper"]["attempts"] == [
        {"provider": "well", "status": 501, "why": "upstream_error"},
        {"provider": "sick", "status": None, "why": "circuit_open"},
    ]
    assert len(known.heads) == 2


async def test_a_request_that_is_refused_gives_its_probe_back(start: Start) -> None:
    """A key without budget can't keep a provider from being probed."""
    sick = Sick()
    async with vendor(sick) as known:
        edge = await served(start, known.base_url, rule("second"), settings=QUICK)
        await providers(edge, 2)
        sick.well = True
        edge.later_s += 30
        edge.ledger.refuse.append(TollkeeperError(Reason.INSUFFICIENT_QUOTA, "No."))
        assert (await post(edge)).status_code == 429
        assert await providers(edge, 1) == ["first"]


async def test_refusals_and_rate_limits_say_nothing_about_health(start: Start) -> None:
    """A provider that answers is well, whatever it answers."""
    for status in (400, 401, 404, 429):
        async with vendor(refuses(status)) as known:
            edge = await served(start, known.base_url, settings=QUICK)
            for _ in range(4):
                await post(edge)
            assert len(known.heads) == 4
            assert not edge.breakers.watched


async def test_customers_do_not_share_a_breaker(start: Start) -> None:
    """What one customer's requests found keeps nobody else's from a provider that both may use."""
    async with vendor(refuses(503)) as known:
        shared = rule("first", provider_type="custom", base_url=known.base_url)
        ledger = FakeLedger(grant(shared, rule("second")), price("gpt-4o-mini"))
        edge = await start(ledger, **QUICK)
        await providers(edge, 3)
        assert len(known.heads) == 2
        ledger.view = grant(shared, rule("second"), customer_id="customer-2")
        await providers(edge, 1)
        assert len(known.heads) == 3


@pytest.mark.parametrize("sim", ["cut_after=2", "stall_after=2"])
async def test_streams_that_break_count(start: Start, sim: str) -> None:
    """A provider that begins well and never comes to an end is sick, too."""
    rules = [rule("first", model_rewrite=f"gpt-4o-mini+{sim}"), rule("second")]
    ledger = FakeLedger(grant(*rules), price("gpt-4o-mini"), price(f"gpt-4o-mini+{sim}"))
    edge = await start(ledger, **QUICK, idle_timeout_s=0.2)
    for _ in range(2):
        answer = await post(edge, stream=True)
        assert answer.headers["x-tollkeeper-provider"] == "first"
    answer = await post(edge, stream=True)
    assert answer.headers["x-tollkeeper-provider"] == "second"


async def test_strangers_are_told_nothing(start: Start) -> None:
    """Where metrics have an address of their own, who rests is nowhere to be read."""
    edge = await start()
    apart = await start(metrics_address="127.0.0.1:9999")
    async with edge.client as client:
        assert (await client.get("/statusz")).json() == {"breakers": []}
    async with apart.client as client:
        assert (await client.get("/statusz")).status_code == 404
