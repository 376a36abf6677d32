"""The next provider, and what each attempt cost."""

from collections.abc import Callable
from typing import Any

import pytest

from edge.admission import UsageState
from tests.edge.fake_ledger import FakeLedger, grant, price, rule
from tests.edge.path.conftest import Edge
from tests.edge.path.test_answers import post
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

Start = Callable[..., Any]
VOIDED, ESTIMATED, REPORTED = (
    UsageState.USAGE_STATE_VOIDED,
    UsageState.USAGE_STATE_ESTIMATED,
    UsageState.USAGE_STATE_REPORTED,
)


def steered(name: str, model: str) -> edge_pb2.Rule:
    """A rule whose vendor behaves as its model name says."""
    return rule(name, model_rewrite=model)


async def two(start: Start, first: str, **settings: object) -> Edge:
    """A first provider that behaves like this, and a second that serves."""
    rules = [steered("one", f"gpt-4o-mini+{first.replace(',', '+')}"), steered("two", "gpt-4o-mini")]
    prices = [price(f"gpt-4o-mini+{first.replace(',', '+')}"), price("gpt-4o-mini")]
    made = await start(FakeLedger(grant(*rules), *prices), **settings)
    assert isinstance(made, Edge)
    return made


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("first", "state", "why"),
    [
        ("status=429", VOIDED, "rate_limited"),
        ("status=408", ESTIMATED, "upstream_timeout"),
        ("status=500", VOIDED, "upstream_error"),
        ("status=503", VOIDED, "upstream_error"),
        ("status=504", ESTIMATED, "upstream_timeout"),
        ("code=2005", ESTIMATED, "gateway_2005"),
        ("cut_after=0,cut_body", ESTIMATED, "upstream_cut"),
        ("first_byte_ms=5000", ESTIMATED, "upstream_timeout"),
    ],
)
async def test_fails_over(start: Start, first: str, state: int, why: str, stream: bool) -> None:
    """The second serves; both attempts are in the record, with event ids of their own."""
    edge = await two(start, first, first_byte_timeout_s=0.3)
    answer = await post(edge, stream=stream)
    opened = edge.ledger.opened[0]

    assert answer.status_code == 200
    assert answer.headers["x-tollkeeper-provider"] == "two"
    assert [(each.state, each.why) for each in opened.ended] == [(state, why), (REPORTED, "")]
    assert edge.simulator.bill.rows()[-1]["event_id"] == f"{opened.usage_id}-2"


async def test_a_cut_before_the_first_byte_reached_the_client(start: Start) -> None:
    """A body that breaks can still be had from another provider, while nothing was passed on."""
    edge = await two(start, "cut_body")
    answer = await post(edge)

    assert answer.status_code == 200
    assert answer.headers["x-tollkeeper-provider"] == "two"
    assert [each.state for each in edge.ledger.opened[0].ended] == [ESTIMATED, REPORTED]


@pytest.mark.parametrize(("status", "passed"), [(400, 400), (401, 401), (404, 404), (422, 422)])
async def test_other_refusals_are_final(start: Start, status: int, passed: int) -> None:
    """Passed on as the vendor sent them, and free."""
    edge = await two(start, f"status={status}")
    answer = await post(edge)
    [ended] = edge.ledger.opened[0].ended

    assert answer.status_code == passed
    assert set(answer.json()["error"]) >= {"message", "type", "param", "code"}
    assert answer.headers["x-tollkeeper-cost-usd"] == "0.00"
    why = "provider_credential" if status == 401 else "refused"
    assert (ended.state, ended.why, ended.status) == (VOIDED, why, status)


@pytest.mark.parametrize(("code", "status"), [(2009, 401), (2021, 402), (2019, 400)])
async def test_the_gateways_refusals_are_readable(start: Start, code: int, status: int) -> None:
    """In OpenAI's shape."""
    edge = await two(start, f"code={code}")
    answer = await post(edge)

    assert answer.status_code == status
    assert answer.json()["error"]["code"] == f"cloudflare_{code}"


async def test_nobody_listens(start: Start) -> None:
    """No connection, no bill; the next one serves."""
    dead = rule("dead", provider_type="custom", base_url="http://127.0.0.1:1/v1")
    edge = await start(FakeLedger(grant(dead, rule("two")), price("gpt-4o-mini")))
    answer = await post(edge)

    assert answer.headers["x-tollkeeper-provider"] == "two"
    assert [(each.state, each.why) for each in edge.ledger.opened[0].ended] == [
        (VOIDED, "not_sent"),
        (REPORTED, ""),
    ]


async def test_all_failed(start: Start) -> None:
    """502 with each attempt's provider and status; the SDK must not try again."""
    dead = rule("dead", provider_type="custom", base_url="http://127.0.0.1:1/v1")
    edge = await start(
        FakeLedger(
            grant(steered("one", "gpt-4o-mini+status=503"), dead),
            price("gpt-4o-mini+status=503"),
            price("gpt-4o-mini"),
        )
    )
    answer = await post(edge)
    error = answer.json()["error"]

    assert answer.status_code == 502
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["x-tollkeeper-request-id"] == edge.ledger.opened[0].usage_id
    assert error["code"] == "all_providers_failed"
    assert error["tollkeeper"]["attempts"] == [
        {"provider": "one", "status": 503, "why": "upstream_error"},
        {"provider": "dead", "status": None, "why": "connect_failed"},
    ]
    assert edge.ledger.opened[0].status == 502


async def test_no_money_for_a_further_attempt(start: Start) -> None:
    """What may have been billed is held already; without room for more the next one isn't tried."""
    edge = await two(start, "status=504")
    admitted = edge.ledger.next_attempt

    async def refuse(*_: object) -> None:
        raise TollkeeperError(Reason.INSUFFICIENT_QUOTA, "No.")

    edge.ledger.next_attempt = refuse  # type: ignore[method-assign]
    answer = await post(edge)
    edge.ledger.next_attempt = admitted  # type: ignore[method-assign]

    assert answer.status_code == 502
    assert [each["why"] for each in answer.json()["error"]["tollkeeper"]["attempts"]] == [
        "upstream_timeout",
        "insufficient_quota",
    ]
    assert len(edge.simulator.bill.rows()) <= 1


async def test_the_dearest_attempt_is_held(start: Start) -> None:
    """Whichever serves in the end, the first hold covers it."""
    rules = [steered("cheap", "gpt-4o-mini"), steered("dear", "gpt-4o")]
    ledger = FakeLedger(
        grant(*rules),
        price("gpt-4o-mini", input=0, output=1_000_000),
        price("gpt-4o", input=0, output=9_000_000),
    )
    held: list[int | None] = []
    begin = ledger.begin

    async def noting(*args: Any, **named: Any) -> Any:
        held.append(named["hold_nanousd"])
        return await begin(*args, **named)

    ledger.begin = noting  # type: ignore[method-assign]
    edge = await start(ledger)
    await post(edge, max_tokens=10)

    assert held == [90]
