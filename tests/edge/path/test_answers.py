"""Plain and streamed answers, through the gateway and directly."""

import gzip
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from edge.admission import UsageState
from tests.edge.fake_ledger import IN_RATE, OUT_RATE, FakeLedger, grant, price, rule
from tests.edge.path.conftest import Edge

PATH = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "What is the toll?"}]
Start = Callable[..., Any]


def body(**more: Any) -> dict[str, Any]:
    """A small request."""
    return {"model": "gpt-4o-mini", "messages": MESSAGES, "max_tokens": 5} | more


async def post(edge: Edge, sim: str = "", path: str = PATH, **more: Any) -> httpx.Response:
    """One request, steered."""
    async with edge.client as client:
        return await client.post(path, json=body(**more), headers={"x-sim": sim} if sim else {})


async def test_plain(edge: Edge) -> None:
    """The vendor's body untouched, our headers beside it, and the cost to the nano-dollar."""
    answer = await post(edge)
    opened = edge.ledger.opened[0]
    row = edge.simulator.bill.rows()[0]

    assert answer.status_code == 200
    assert answer.json()["object"] == "chat.completion"
    assert "_gateway_metadata" not in answer.json()
    assert answer.headers["x-tollkeeper-request-id"] == opened.usage_id
    assert answer.headers["x-tollkeeper-provider"] == "primary"
    assert answer.headers["x-tollkeeper-cache"] == "miss"
    assert answer.headers["x-tollkeeper-budget-remaining-usd"] == "1.00"
    cost = -(-(row["prompt_tokens"] * 150_000_000 + 5 * 600_000_000) // 1_000_000)
    assert answer.headers["x-tollkeeper-cost-usd"] == f"{cost / 1e9:.9f}".rstrip("0")
    assert not any(name.startswith("cf-") for name in answer.headers)
    [ended] = opened.ended
    assert (ended.state, ended.status, ended.cost_nanousd) == (UsageState.USAGE_STATE_REPORTED, 200, cost)
    assert (opened.status, opened.finish_reason) == (200, "length")
    assert opened.response_model == "gpt-4o-mini"
    assert opened.cf_log_id
    assert row["event_id"] == f"{opened.usage_id}-1"


async def test_what_goes_upstream(edge: Edge) -> None:
    """The body as the client sent it, the gateway's headers, and none of the client's credentials."""
    raw = orjson.dumps(body(new_field={"a": 1}))
    async with edge.client as client:
        await client.post(PATH, content=raw, headers={"cookie": "c=1", "x-stainless-lang": "python"})
        captured = await client.get(f"{edge.simulator.url}/_sim/requests/last?n=1")
    opened = edge.ledger.opened[0]

    [request] = captured.json()
    assert dict(request["headers"]) == {
        "host": edge.simulator.url.removeprefix("http://"),
        "content-type": "application/json",
        "content-length": str(len(raw)),
        "accept-encoding": "identity",
        "user-agent": "tollkeeper",
        "authorization": "Bearer sk-vendor",
        "cf-aig-authorization": "Bearer cf-token",
        "cf-aig-skip-cache": "true",
        "cf-aig-metadata": '{"customer":"customer-1","key":"key-1"}',
        "cf-aig-event-id": f"{opened.usage_id}-1",
    }
    assert request["body"] == raw.decode()


@pytest.mark.parametrize("ask", [None, False, True])
async def test_streams_byte_for_byte(edge: Edge, ask: bool | None) -> None:
    """As the simulator sent it, but for the usage chunk that the client didn't ask for."""
    more = {} if ask is None else {"stream_options": {"include_usage": ask}}
    answer = await post(edge, stream=True, **more)
    events = answer.content.split(b"\n\n")

    assert answer.headers["content-type"] == "text/event-stream"
    assert "x-tollkeeper-cost-usd" not in answer.headers
    assert events[-2:] == [b"data: [DONE]", b""]
    chunks = [orjson.loads(each[6:]) for each in events[:-2]]
    assert (chunks[-1]["choices"] == []) is bool(ask)
    [ended] = edge.ledger.opened[0].ended
    assert ended.state == UsageState.USAGE_STATE_REPORTED
    assert ended.usage is not None
    assert ended.usage.output_tokens == 5
    assert edge.ledger.opened[0].finish_reason == "length"


async def test_the_first_event_comes_before_the_second_is_sent(edge: Edge) -> None:
    """A gate upstream holds the rest back; the client has the first event by then."""
    async with (
        edge.client as client,
        client.stream("POST", PATH, json=body(stream=True), headers={"x-sim": "gate=second"}) as answer,
    ):
        pieces = answer.aiter_raw()
        first = await anext(pieces)
        assert b'"role":"assistant"' in first
        assert b"[DONE]" not in first
        edge.simulator.gates.open("second")
        rest = b"".join([piece async for piece in pieces])

    assert rest.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    "sim",
    [
        "usage_every_chunk",
        "usage_in_finish",
        "crlf",
        "split",
        "ping",
        "no_done",
        "utf8,tokens=12",
        "cached=2,prompt=9,reasoning=3",
    ],
)
async def test_deviating_streams_are_settled_by_their_last_usage(edge: Edge, sim: str) -> None:
    """What vendors do differently changes nothing about the bill."""
    answer = await post(edge, sim, stream=True, max_tokens=12)
    row = edge.simulator.bill.rows()[0]
    [ended] = edge.ledger.opened[0].ended

    assert answer.status_code == 200
    assert ended.state == UsageState.USAGE_STATE_REPORTED
    assert ended.usage is not None
    assert (ended.usage.input_tokens, ended.usage.output_tokens) == (
        row["prompt_tokens"],
        row["completion_tokens"],
    )
    assert b'"choices":[]' not in answer.content


@pytest.mark.parametrize(
    ("stream", "sim", "why"),
    [
        (False, "no_usage", "usage_missing"),
        (True, "no_usage", "usage_missing"),
        (False, "garbage", "usage_missing"),
        (True, "error_event_after=2", "upstream_error"),
    ],
)
async def test_without_usage_an_estimate_is_booked(edge: Edge, stream: bool, sim: str, why: str) -> None:
    """It says why. What came is enough to tell what it cost; where nothing readable came, it is the hold."""
    await post(edge, sim, stream=stream)
    opened = edge.ledger.opened[0]
    [ended] = opened.ended

    [row] = edge.simulator.bill.rows()
    billed_nanousd = -(-(row["prompt_tokens"] * IN_RATE + row["completion_tokens"] * OUT_RATE) // 1_000_000)

    assert (ended.state, ended.why) == (UsageState.USAGE_STATE_ESTIMATED, why)
    assert billed_nanousd <= ended.cost_nanousd <= opened.plan.hold_nanousd
    assert (ended.cost_nanousd == opened.plan.hold_nanousd) == (sim == "garbage")


async def test_the_hold_by_setting(start: Start) -> None:
    """Whatever came, all that was set aside is booked."""
    edge = await start(estimate="hold")
    await post(edge, "no_usage", stream=True)

    assert edge.ledger.opened[0].ended[0].cost_nanousd == edge.ledger.opened[0].plan.hold_nanousd


@pytest.mark.parametrize(
    ("sim", "code", "why"),
    [
        ("cut_after=2", "upstream_disconnected", "upstream_cut"),
        ("cut_after=2,rst", "upstream_disconnected", "upstream_cut"),
        ("stall_after=2", "upstream_timeout", "upstream_timeout"),
    ],
)
async def test_a_broken_stream_ends_with_an_error_event(start: Start, sim: str, code: str, why: str) -> None:
    """And never with [DONE]: a cut answer must not look complete."""
    edge = await start(idle_timeout_s=0.3)
    answer = await post(edge, sim, stream=True)
    *whole, last, empty = answer.content.split(b"\n\n")

    assert answer.status_code == 200
    assert empty == b""
    assert all(each.startswith(b"data: {") for each in whole)
    assert b"[DONE]" not in answer.content
    assert orjson.loads(last[6:])["error"]["code"] == code
    [ended] = edge.ledger.opened[0].ended
    assert (ended.state, ended.why) == (UsageState.USAGE_STATE_ESTIMATED, why)


async def test_direct_vendors(start: Start, simulator: Any) -> None:
    """Without a gateway: the vendor's path, its request id, and our attempt as its client request id."""
    custom = rule("own", provider_type="custom", base_url=f"{simulator.url}/v1")
    edge = await start(FakeLedger(grant(custom), price("gpt-4o-mini")))
    answer = await post(edge)

    assert answer.status_code == 200
    assert answer.headers["x-tollkeeper-cache"] == "none"
    assert edge.simulator.bill.rows()[0]["event_id"] == f"{edge.ledger.opened[0].usage_id}-1"


async def test_compat(start: Start) -> None:
    """A vendor with a format of its own is asked through Cloudflare's translation."""
    edge = await start(FakeLedger(grant(rule("a", provider_type="cohere")), price("command-x")))
    answer = await post(edge, model="command-x")

    assert answer.status_code == 200
    assert edge.simulator.bill.rows()[0]["provider"] == "cohere"


async def test_provider_in_the_body(start: Start) -> None:
    """Under /v1/ai it chooses among the rules; under /v1 it is the vendor's business."""
    rules = [rule("a"), rule("b", provider_type="groq")]
    edge = await start(FakeLedger(grant(*rules), price("gpt-4o-mini")))
    chosen = await post(edge, path="/v1/ai/chat/completions", provider="groq")
    plain = await post(edge, provider="groq")

    assert chosen.headers["x-tollkeeper-provider"] == "b"
    assert plain.headers["x-tollkeeper-provider"] == "a"


async def test_metadata_in_the_body_when_asked(edge: Edge) -> None:
    """By header, for clients that can't read headers."""
    async with edge.client as client:
        answer = await client.post(PATH, json=body(), headers={"x-tollkeeper-metadata": "body"})
    metadata = answer.json()["_gateway_metadata"]

    assert metadata["cost"] == answer.headers["x-tollkeeper-cost-usd"]
    assert metadata["provider"] == "primary"


async def test_a_body_too_large_to_hold_is_relayed(start: Start) -> None:
    """As it comes; its usage can't be read, so it is an estimate."""
    edge = await start(max_response_bytes=4096)
    answer = await post(edge, "bytes=3000000")
    [ended] = edge.ledger.opened[0].ended

    assert answer.json()["object"] == "chat.completion"
    assert len(answer.content) > 3_000_000
    assert (ended.state, ended.why) == (UsageState.USAGE_STATE_ESTIMATED, "usage_missing")


async def test_other_ways_to_show_the_key(edge: Edge) -> None:
    """As SDKs of other vendors do."""
    key = edge.client.headers["authorization"].split()[1]
    async with httpx.AsyncClient(base_url=edge.url) as client:
        for name in ("x-api-key", "api-key"):
            answer = await client.post(PATH, json=body(), headers={name: key})
            assert answer.status_code == 200


def test_gzip_is_understood() -> None:
    """Vendors compress although nobody asked; in pieces it reads the same."""
    from edge.upstream.encoding import decoder_for

    packed = gzip.compress(b"data: {}\n\n" * 100)
    decoder = decoder_for(b"GZIP")
    assert decoder is not None
    plain = b"".join([decoder.decode(packed[at : at + 7]) for at in range(0, len(packed), 7)])

    assert plain == b"data: {}\n\n" * 100
    assert decoder_for(b"br") is None
    with pytest.raises(ValueError, match="not the gzip"):
        decoder_for(b"gzip").decode(b"plain text")  # type: ignore[union-attr]
