"""Limits of a key that the edge enforces by itself: largest cost per request, addresses."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.edge.fake_ledger import FakeLedger, grant, price, rule
from tests.edge.path.test_answers import PATH, body, post
from tollkeeper.money import format_usd
from tollkeeper.v1.keys_pb2 import ModelLimit

Start = Callable[..., Any]


def worst(max_tokens: int) -> int:
    """Nano-dollars: at a nano-dollar per model token in and out, the body's bytes and the output limit."""
    return len(orjson.dumps(body(max_tokens=max_tokens))) + max_tokens


def ledger(**limits: Any) -> FakeLedger:
    """One rule and one model at a nano-dollar per model token."""
    rates = {"input": 1_000_000, "output": 1_000_000}
    return FakeLedger(grant(rule("primary"), **limits), price("gpt-4o-mini", **rates))


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({"max_cost_nanousd": worst(1000)}, 200),
        ({"max_cost_nanousd": worst(1000) - 1}, 400),
        ({"model_limits": [ModelLimit(model="gpt-4o*", max_cost_nanousd=worst(1000) - 1)]}, 400),
        ({"model_limits": [ModelLimit(model="o3*", max_cost_nanousd=1)]}, 200),
        ({"model_limits": [ModelLimit(model="*", requests_per_minute=1)]}, 200),
        (
            {
                "max_cost_nanousd": worst(1000),
                "model_limits": [ModelLimit(model="gpt-4o-mini", max_cost_nanousd=1)],
            },
            400,
        ),
    ],
)
async def test_a_request_may_cost_so_much(start: Start, limits: dict[str, Any], status: int) -> None:
    """By its worst case, to the nano-dollar; the key's limit and all that match the model hold."""
    edge = await start(ledger(**limits))
    answer = await post(edge, max_tokens=1000)

    assert answer.status_code == status, answer.text
    assert len(edge.ledger.opened) == (status == 200)


async def test_a_provider_s_name_before_a_model_evades_no_limit(start: Start) -> None:
    """`primary/gpt-4o-mini` is gpt-4o-mini."""
    limits = [ModelLimit(model="gpt-4o*", max_cost_nanousd=1)]
    edge = await start(ledger(model_limits=limits))
    answer = await post(edge, model="primary/gpt-4o-mini", max_tokens=1000)
    assert answer.json()["error"]["code"] == "cost_limit_exceeded"


async def test_the_refusal_says_what_would_fit(start: Start) -> None:
    """The largest max_tokens it names is let through, one more is not."""
    limit = worst(1000)
    edge = await start(ledger(max_cost_nanousd=limit))
    refused = (await post(edge, max_tokens=5000)).json()["error"]
    details = refused["tollkeeper"]
    fits = details["largest_max_tokens"]
    statuses = [(await post(edge, max_tokens=tokens)).status_code for tokens in (fits, fits + 1)]

    assert (refused["code"], refused["param"], refused["type"]) == (
        "cost_limit_exceeded",
        "max_tokens",
        "invalid_request_error",
    )
    assert details["limit_usd"] == format_usd(limit)
    assert f"max_tokens up to {fits}" in refused["message"]
    assert f"${format_usd(limit)}" in refused["message"]
    assert statuses == [200, 400]


async def test_a_prompt_that_is_too_dear_by_itself(start: Start) -> None:
    """No output would fit, and it says so."""
    edge = await start(ledger(max_cost_nanousd=3))
    refused = (await post(edge, max_tokens=5)).json()["error"]

    assert refused["tollkeeper"]["largest_max_tokens"] == 0
    assert "No output would fit." in refused["message"]


async def test_a_clamping_key_lowers_the_output_instead(start: Start) -> None:
    """What is sent upstream fits, and a header owns up to it."""
    edge = await start(ledger(max_cost_nanousd=worst(1000), clamp_output=True))
    answer = await post(edge, max_tokens=5000)

    assert answer.status_code == 200
    clamped = int(answer.headers["x-tollkeeper-clamped-max-tokens"])
    [opened] = edge.ledger.opened
    assert 900 < clamped < 1100
    assert opened.plan.hold_nanousd <= worst(1000)


@pytest.mark.parametrize(
    ("allowed", "forwarded", "status"),
    [
        ([], None, 200),
        (["127.0.0.1"], None, 200),
        (["2001:db8::/32", "127.0.0.0/8"], None, 200),
        (["10.0.0.0/8"], None, 403),
        (["10.0.0.0/8"], "10.1.2.3", 403),
    ],
)
async def test_addresses_are_the_socket_s(
    start: Start, allowed: list[str], forwarded: str | None, status: int
) -> None:
    """Nobody's word is taken for it."""
    edge = await start(ledger(allowed_ips=allowed))
    headers = {"x-forwarded-for": forwarded} if forwarded else {}
    async with edge.client as client:
        answer = await client.post(PATH, json=body(), headers=headers)
        models = await client.get("/v1/models", headers=headers)

    assert (answer.status_code, models.status_code) == (status, status)
    if status == 403:
        error = answer.json()["error"]
        assert (error["code"], error["type"]) == ("address_not_allowed", "invalid_request_error")
        assert "127.0.0.1" in error["message"]
        assert edge.ledger.opened == []


async def test_trusted_proxies_say_whose_request_it_is(start: Start) -> None:
    """The last hop before them counts, whatever the client wrote to the left."""
    edge = await start(ledger(allowed_ips=["198.51.100.0/24"]), trusted_proxies="127.0.0.0/8, 10.0.0.0/8")
    async with edge.client as client:
        statuses = [
            (await client.post(PATH, json=body(), headers={"x-forwarded-for": hops})).status_code
            for hops in (
                "198.51.100.7",
                "198.51.100.7, 10.0.0.3",
                "198.51.100.7, 203.0.113.9",
                "garbage",
            )
        ]

    assert statuses == [200, 200, 403, 403]
