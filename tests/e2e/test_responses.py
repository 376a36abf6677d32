"""The Responses API through the whole product: usage from its events, what vendors keep, background."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.bills import mini_nanousd
from tests.e2e.edges import edge
from tests.e2e.stack import Stack, found
from tests.e2e.wire import Reply, ask
from tollkeeper.v1.edge_pb2 import UsageState
from tollkeeper.v1.keys_pb2 import RevokeKeyRequest
from tollkeeper.v1.usage_pb2 import UsageEntry

REPORTED = UsageState.USAGE_STATE_REPORTED
ESTIMATED = UsageState.USAGE_STATE_ESTIMATED
VOIDED = UsageState.USAGE_STATE_VOIDED
MODEL = "gpt-4o-mini"
INPUT, OUTPUT, CONTEXT = 150, 600, 128_000
# What "x" * 40 costs the simulator.
PROMPT = 13


async def post(
    stack: Stack, key: VirtualKey, sim: str = "", path: str = "responses", at: str = "", **fields: Any
) -> Reply:
    """A response of 13 tokens of prompt, unless it is steered otherwise; `at` another edge."""
    given = f"[[sim prompt={PROMPT} {sim}]]"
    body = {"model": MODEL, "input": given, "max_output_tokens": 16, **fields}
    return await ask(at or stack.edge, key.secret, json.dumps(body).encode(), path=f"/v1/{path}")


async def about(stack: Stack, key: VirtualKey, rest: str, method: str = "GET") -> Reply:
    return await ask(stack.edge, key.secret, b"", method=method, path=f"/v1/responses/{rest}")


def cost(prompt: int, output: int) -> int:
    return prompt * INPUT + output * OUTPUT


def hold(tenant: Tenant, entry: UsageEntry) -> int:
    return int(tenant.request(entry.usage_id).attempts[0].hold_nanousd)


def events(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: {")]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("sim", "cost_nanousd"),
    [
        ("tokens=9", cost(PROMPT, 9)),
        ("prompt=2048 cached=1024 tokens=16", 1024 * 150 + 1024 * 75 + 16 * 600),
        ("tokens=12 reasoning=8", cost(PROMPT, 12)),
        ("tokens=max", cost(PROMPT, 16)),
        ("tokens=3 queued=1 crlf=1 ping=1 split=1", cost(PROMPT, 3)),
    ],
)
async def test_a19_usage_is_that_of_the_last_event(
    stack: Stack, tenant: Tenant, sim: str, cost_nanousd: int, stream: bool
) -> None:
    """Whole or in events, however they are framed and cut: billed once, exactly."""
    reply = await post(stack, tenant.key(), sim, stream=stream)
    assert reply.status == 200, reply.body
    [entry] = tenant.settled(1)
    assert (entry.state, entry.cost_nanousd) == (REPORTED, cost_nanousd)
    assert tenant.entries(entry.usage_id) == [("post", cost_nanousd)]
    if stream:
        kinds = [event["type"] for event in events(reply.body)]
        last = "incomplete" if entry.finish == "max_output_tokens" else "completed"
        assert (kinds[0], kinds[-1]) == ("response.created", f"response.{last}")


async def test_l15_what_it_refers_to_is_held_for(stack: Stack, tenant: Tenant) -> None:
    """L15: an earlier response counts as the model's window, its own input by bytes; both are billed as
    used."""
    key = tenant.key()
    first = (await post(stack, key)).json()
    reply = await post(stack, key, previous_response_id=first["id"])
    assert reply.status == 200, reply.body
    later, earlier = tenant.settled(2)
    assert hold(tenant, earlier) < cost(1000, 16)
    assert hold(tenant, later) == cost(CONTEXT, 16)
    assert later.cost_nanousd == cost(PROMPT + PROMPT + 16, 16)


async def test_searches_are_billed_by_the_call(stack: Stack) -> None:
    """As many as the answer tells, not as many as were held for."""
    tenant = stack.admin.customer()
    provider_id = tenant.provider("custom", base_url=f"{stack.simulator}/v1", credential="sk-own")
    tenant.price(provider_id, "own", input=1_000_000, output=1_000_000, web_search=10_000_000_000)
    tenant.route(provider_id)
    tools = [{"type": "web_search"}]
    sim = "web_searches=2 tokens=5"
    reply = await post(stack, tenant.key(), sim, model="own", tools=tools, max_tool_calls=4)
    assert reply.status == 200, reply.body
    [entry] = tenant.settled(1)
    assert entry.cost_nanousd == PROMPT + 5 + 2 * 10_000
    assert hold(tenant, entry) >= 4 * 10_000


async def test_searches_without_a_price_are_refused(stack: Stack) -> None:
    """The model has a price, but none for what it may do; a price by the request covers all of it."""
    tenant = stack.admin.customer()
    provider_id = tenant.provider("custom", base_url=f"{stack.simulator}/v1", credential="sk-own")
    tenant.price(provider_id, "plain", input=1_000_000, output=1_000_000)
    tenant.price(provider_id, "all-in", input=0, output=0, request=50_000_000_000)
    tenant.route(provider_id)
    key, tools = tenant.key(), [{"type": "web_search"}]
    before = stack.billed()
    refused = await post(stack, key, model="plain", tools=tools)
    assert (refused.status, refused.error["code"]) == (400, "model_not_priced")
    assert stack.billed() == before
    assert (await post(stack, key, "web_searches=2", model="all-in", tools=tools)).status == 200
    [entry] = tenant.settled(1)
    assert entry.cost_nanousd == 50_000


async def test_tools_without_a_price_are_refused(stack: Stack, tenant: Tenant) -> None:
    """Before anything is sent, with the field's name."""
    before = stack.billed()
    reply = await post(stack, tenant.key(), tools=[{"type": "code_interpreter"}])
    assert (reply.status, reply.error["param"]) == (400, "tools[0].type")
    assert stack.billed() == before


async def test_what_a_vendor_keeps_is_its_makers(stack: Stack, tenant: Tenant) -> None:
    """DESIGN §7: with one credential for both, another customer gets 404 for everything, as for an id that
    never was; the maker reads, lists and deletes over any worker."""
    key, other = tenant.key(), stack.admin.tenant().key()
    made = (await post(stack, key)).json()
    for _ in range(6):
        got = await about(stack, key, made["id"])
        assert (got.status, got.json()["id"]) == (200, made["id"])
    items = await about(stack, key, f"{made['id']}/input_items?limit=5")
    assert (items.status, len(items.json()["data"])) == (200, 1)
    assert stack.captured()[0]["target"].endswith("input_items?limit=5")
    refusals = await asyncio.gather(
        about(stack, other, made["id"]),
        about(stack, other, made["id"], "DELETE"),
        about(stack, other, f"{made['id']}/cancel", "POST"),
        about(stack, other, f"{made['id']}/input_items"),
        about(stack, key, "resp_never"),
    )
    assert {reply.status for reply in refusals} == {404}
    assert refusals[0].error["message"].replace(made["id"], "") == refusals[4].error["message"].replace(
        "resp_never", ""
    )
    assert (await about(stack, key, made["id"], "DELETE")).json()["deleted"] is True
    assert (await about(stack, key, made["id"])).status == 404


async def test_others_responses_cannot_be_gone_on_from(stack: Stack) -> None:
    """Two customers with one credential of the platform's: an id of the other's is a 404 before anything is
    sent, whether it is a response or a file. With a credential of its own the vendor is asked."""
    maker, other = stack.admin.customer(), stack.admin.customer()
    house = Tenant(stack.admin, "platform").provider(
        "openai",
        name=f"house-{maker.customer_id}",
        credential="sk-of-the-platform",
        granted_customer_ids=[maker.customer_id, other.customer_id],
    )
    maker.route(house)
    other.route(house)
    key = other.key()
    object_id = (await post(stack, maker.key())).json()["id"]
    before = stack.billed()
    refusals = await asyncio.gather(
        post(stack, key, previous_response_id=object_id),
        post(stack, key, input=[{"type": "item_reference", "id": object_id}]),
        post(stack, key, input=[{"content": [{"type": "input_file", "file_id": "file-of-others"}]}]),
        post(stack, key, path="responses/input_tokens", previous_response_id=object_id),
    )
    assert [reply.status for reply in refusals] == [404] * 4
    assert stack.billed() == before
    other.route(house, other.provider("openai", credential="sk-own"))
    asked = await post(stack, other.key(), previous_response_id=object_id)
    assert (asked.status, asked.error["code"]) == (400, "previous_response_not_found")


async def test_it_goes_where_it_is_kept(stack: Stack) -> None:
    """The router would choose another provider; a key whose router has none for it finds nothing."""
    tenant = stack.admin.customer()
    first, second = (tenant.provider("openai", credential=f"sk-{name}") for name in ("first", "second"))
    tenant.route(first)
    object_id = (await post(stack, tenant.key())).json()["id"]
    tenant.route(second, first)
    key = tenant.key()
    assert (await post(stack, key, previous_response_id=object_id)).status == 200
    assert dict(stack.captured()[0]["headers"])["authorization"] == "Bearer sk-first"
    assert (await about(stack, key, object_id)).status == 200
    tenant.route(second)
    astray = tenant.key()
    assert (await post(stack, astray, previous_response_id=object_id)).status == 404
    assert (await about(stack, astray, object_id)).status == 404


async def test_a_response_that_was_not_stored(stack: Stack, tenant: Tenant) -> None:
    """Nothing is kept, so nothing is found."""
    key = tenant.key()
    made = (await post(stack, key, store=False)).json()
    assert (await about(stack, key, made["id"])).status == 404


async def test_l15_background_is_billed_at_its_end(stack: Stack, tenant: Tenant) -> None:
    """The full hold stands for it until somebody sees the end; then a correcting entry makes it right, once,
    however often it is read."""
    key, gate = tenant.key(), f"g{tenant.customer_id[:13]}"
    reply = await post(stack, key, f"gate={gate} tokens=9", background=True)
    assert (reply.status, reply.json()["status"]) == (200, "queued")
    object_id = reply.json()["id"]
    [entry] = tenant.settled(1)
    held = hold(tenant, entry)
    assert (entry.state, entry.cost_nanousd, entry.why) == (ESTIMATED, held, "background")
    assert (await about(stack, key, object_id)).json()["status"] == "queued"
    stack.open_gate(gate)
    async with asyncio.timeout(20):
        while (await about(stack, key, object_id)).json()["status"] != "completed":
            pass
    for _ in range(3):
        await about(stack, key, object_id)
    [entry] = tenant.settled(1)
    assert (entry.state, entry.cost_nanousd) == (REPORTED, cost(PROMPT, 9))
    assert tenant.entries(entry.usage_id) == [("post", held), ("correction", cost(PROMPT, 9) - held)]
    assert tenant.spend(key) == cost(PROMPT, 9)


async def test_l15_background_is_followed(stack: Stack, tenant: Tenant) -> None:
    """The app never asks for it; the edge does."""
    key, gate = tenant.key(), f"g{tenant.customer_id[:13]}"
    await post(stack, key, f"gate={gate} tokens=9", background=True)
    [entry] = tenant.settled(1)
    assert entry.state == ESTIMATED
    stack.open_gate(gate)
    found(lambda: tenant.settled(1)[0].state == REPORTED)
    assert tenant.settled(1)[0].cost_nanousd == cost(PROMPT, 9)


async def test_i5_background_is_followed_over_a_kill(stack: Stack, tenant: Tenant, tmp_path: Path) -> None:
    """kill -9 of the worker right after its answer: what is booked in the end is what the vendor billed, and
    the app never asks for it."""
    key, gate, before = tenant.key(), f"g{tenant.customer_id[:13]}", stack.billed()
    with edge(stack, tmp_path, TOLLKEEPER_FOLLOW_INTERVAL_S="1") as url:
        reply = await post(stack, key, f"gate={gate} tokens=9", at=url, background=True)
        assert reply.json()["status"] == "queued"
        os.kill(int((tmp_path / "edge/run/edge-worker-0.pid").read_text()), signal.SIGKILL)
        [entry] = tenant.settled(1)
        held = hold(tenant, entry)
        assert (entry.state, entry.cost_nanousd) == (ESTIMATED, held)
        stack.open_gate(gate)
        found(lambda: tenant.settled(1)[0].state == REPORTED, timeout_s=30)
    [billed] = stack.bill(before)
    assert tenant.settled(1)[0].cost_nanousd == mini_nanousd(billed) == cost(PROMPT, 9)
    assert tenant.entries(entry.usage_id)[1:] == [("correction", cost(PROMPT, 9) - held)]


async def test_l15_others_follow_what_an_edge_left(stack: Stack, tenant: Tenant, tmp_path: Path) -> None:
    """The edge is gone, and its key is revoked: another edge sees the end."""
    key, gate = tenant.key(), f"g{tenant.customer_id[:13]}"
    with edge(stack, tmp_path) as url:
        await post(stack, key, f"gate={gate} tokens=9", at=url, background=True)
        tenant.settled(1)
    stack.open_gate(gate)
    named = {"customer_id": tenant.customer_id, "key_id": key.key_id}
    stack.admin.keys.RevokeKey(RevokeKeyRequest(**named))
    # A worker that has left something unfinished itself asks soon, and for everything.
    await post(stack, stack.admin.tenant().key(), "tokens=9", background=True)
    found(lambda: tenant.settled(1)[0].state == REPORTED)
    assert tenant.settled(1)[0].cost_nanousd == cost(PROMPT, 9)


async def test_a_background_stream(stack: Stack, tenant: Tenant) -> None:
    """Its end comes with its events, so there is nothing to correct."""
    reply = await post(stack, tenant.key(), "tokens=9", background=True, stream=True)
    assert events(reply.body)[-1]["type"] == "response.completed"
    [entry] = tenant.settled(1)
    assert tenant.entries(entry.usage_id) == [("post", cost(PROMPT, 9))]


async def test_l15_a_background_stream_that_was_cut(stack: Stack, tenant: Tenant) -> None:
    """The vendor goes on without it: the full hold stands until the end is seen."""
    await post(stack, tenant.key(), "tokens=9 cut_after=5", background=True, stream=True)
    [entry] = tenant.settled(1)
    assert tenant.entries(entry.usage_id)[0] == ("post", hold(tenant, entry))
    found(lambda: tenant.settled(1)[0].state == REPORTED)
    assert tenant.settled(1)[0].cost_nanousd == cost(PROMPT, 9)


async def test_a_cancelled_response_stays_an_estimate(stack: Stack, tenant: Tenant) -> None:
    """The vendor tells no usage for it: nobody knows."""
    key, gate = tenant.key(), f"g{tenant.customer_id[:13]}"
    made = (await post(stack, key, f"gate={gate}", background=True)).json()
    assert (await about(stack, key, f"{made['id']}/cancel", "POST")).json()["status"] == "cancelled"
    stack.open_gate(gate)
    [entry] = tenant.settled(1)
    assert entry.state == ESTIMATED


ENDINGS = [
    ("error_event_after=0 error=rate_limit_exceeded", VOIDED, "rate_limited"),
    ("error_event_after=5", ESTIMATED, "upstream_error"),
    ("cut_after=5", ESTIMATED, "upstream_cut"),
    ("no_usage=1", ESTIMATED, "usage_missing"),
    ("stall_after=5", ESTIMATED, "upstream_timeout"),
]


@pytest.mark.parametrize(("sim", "state", "why"), ENDINGS)
async def test_streams_that_end_badly(
    stack: Stack, tenant: Tenant, sim: str, state: UsageState, why: str
) -> None:
    """Azure's 200 to what is over a limit costs nothing; whatever came after output is estimated, and told
    in an event."""
    reply = await post(stack, tenant.key(), sim, stream=True)
    [entry] = tenant.settled(1)
    assert (entry.state, entry.why) == (state, why)
    if state == VOIDED:
        # Nothing of it reached the client: it is like any refusal, and other providers would be tried.
        assert (reply.status, reply.error["code"]) == (502, "all_providers_failed")
    elif why != "usage_missing":
        assert b'"error"' in reply.body


async def test_counting_is_free_and_summing_up_is_not(stack: Stack, tenant: Tenant) -> None:
    """Each with an entry of its own; a model without a price isn't even counted for."""
    key = tenant.key()
    counted = await post(stack, key, path="responses/input_tokens")
    assert counted.json() == {"object": "response.input_tokens", "input_tokens": PROMPT}
    compacted = await post(stack, key, "tokens=9", path="responses/compact")
    assert compacted.json()["object"] == "response.compaction"
    summed_up, count = tenant.settled(2)
    assert (count.state, count.cost_nanousd) == (REPORTED, 0)
    assert (summed_up.state, summed_up.cost_nanousd) == (REPORTED, cost(PROMPT, 9))
    unpriced = await post(stack, key, path="responses/input_tokens", model="nobody-priced-this")
    assert (unpriced.status, unpriced.error["code"]) == (400, "model_not_priced")
