"""However an answer ends, it is billed once and labelled, and a broken stream never looks complete."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.e2e.admin import Tenant, VirtualKey
from tests.e2e.bills import hold_nanousd, mini_nanousd
from tests.e2e.edges import edge
from tests.e2e.stack import Stack, found
from tests.e2e.wire import Connection, ask, events, steered
from tollkeeper.money import format_usd
from tollkeeper.v1.edge_pb2 import UsageState
from tollkeeper.v1.usage_pb2 import UsageEntry

ESTIMATED, REPORTED = UsageState.USAGE_STATE_ESTIMATED, UsageState.USAGE_STATE_REPORTED
MAX_TOKENS = 16
DONE = b"data: [DONE]\n\n"
# How the stream goes on; the code of its last event (None: [DONE]); why it is an estimate (None: it isn't).
STREAMS = [
    ("cut_after=3", "upstream_disconnected", "upstream_cut"),
    ("cut_after=3 rst", "upstream_disconnected", "upstream_cut"),
    ("stall_after=3", "upstream_timeout", "upstream_timeout"),
    # Eight words between the role and the finish chunk: the usage has come, [DONE] has not.
    ("cut_after=11", "upstream_disconnected", None),
    ("error_event_after=3", "upstream_disconnected", "upstream_error"),
    ("no_usage", None, "usage_missing"),
]


def booked_once(stack: Stack, tenant: Tenant, before: int) -> tuple[UsageEntry, int]:
    """The only usage record, and what the vendor billed for it. Raises AssertionError unless both are one."""
    [entry] = tenant.settled(1)
    [row] = [row for row in stack.bill(before) if row["event_id"].startswith(entry.usage_id)]
    assert row["event_id"] == f"{entry.usage_id}-1"
    assert tenant.entries(entry.usage_id) == [("post", entry.cost_nanousd)]
    return entry, mini_nanousd(row)


@pytest.mark.parametrize(("pairs", "code", "why"), STREAMS)
async def test_a_stream_that_ends_badly(
    stack: Stack, tenant: Tenant, pairs: str, code: str | None, why: str | None
) -> None:
    """An error event in place of [DONE]; the estimate covers what the vendor billed, within the hold.

    `test_stream_table` knows just what it is; here other tests may have shown the worker a model that thinks.
    """
    body = steered(f"tokens=8 {pairs}", stream=True, max_tokens=MAX_TOKENS)
    before = stack.billed()
    reply = await ask(stack.edge, tenant.key().secret, body)
    assert reply.status == 200
    assert reply.body.endswith(DONE) == (code is None)
    if code is not None:
        assert events(reply.body)[-1]["error"]["code"] == code
        assert b"[DONE]" not in reply.body
    entry, billed_nanousd = booked_once(stack, tenant, before)
    assert (entry.state, entry.why) == ((ESTIMATED, why) if why else (REPORTED, ""))
    if why:
        assert billed_nanousd <= entry.cost_nanousd <= hold_nanousd(body, MAX_TOKENS)
    else:
        assert entry.cost_nanousd == billed_nanousd


async def test_a_stream_without_done_that_told_its_usage(stack: Stack, tenant: Tenant) -> None:
    """The vendor closed in good order after the usage: nothing is made up, and the cost is exact."""
    before = stack.billed()
    reply = await ask(stack.edge, tenant.key().secret, steered("tokens=3 no_done", stream=True))
    assert events(reply.body)[-1]["choices"][0]["finish_reason"] == "stop"
    entry, billed_nanousd = booked_once(stack, tenant, before)
    assert (entry.state, entry.cost_nanousd) == (REPORTED, billed_nanousd)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_garbage_with_status_200(stack: Stack, tenant: Tenant, stream: bool) -> None:
    """What can't be read can't be priced: passed on as it is, and booked as an estimate."""
    body = steered("garbage", stream=stream, max_tokens=MAX_TOKENS)
    reply = await ask(stack.edge, tenant.key().secret, body)
    assert reply.status == 200
    assert b"<html>" in reply.body
    [entry] = tenant.settled(1)
    assert (entry.state, entry.why) == (ESTIMATED, "usage_missing")
    assert entry.cost_nanousd == hold_nanousd(body, MAX_TOKENS)


async def test_a_plain_answer_without_usage(stack: Stack, tenant: Tenant) -> None:
    """The header owns up to the estimate's amount."""
    body = steered("no_usage", max_tokens=MAX_TOKENS)
    before = stack.billed()
    reply = await ask(stack.edge, tenant.key().secret, body)
    entry, _ = booked_once(stack, tenant, before)
    assert (entry.state, entry.why) == (ESTIMATED, "usage_missing")
    assert reply.headers["x-tollkeeper-cost-usd"] == format_usd(entry.cost_nanousd)


async def test_a_plain_answer_cut_in_the_middle(stack: Stack, tenant: Tenant) -> None:
    """Nothing has reached the client yet: a clean 502, and an estimate for what was produced."""
    body = steered("cut_body", max_tokens=MAX_TOKENS)
    before = stack.billed()
    reply = await ask(stack.edge, tenant.key().secret, body)
    assert (reply.status, reply.error["code"]) == (502, "all_providers_failed")
    entry, billed_nanousd = booked_once(stack, tenant, before)
    assert (entry.state, entry.why) == (ESTIMATED, "upstream_cut")
    assert billed_nanousd <= entry.cost_nanousd == hold_nanousd(body, MAX_TOKENS)


# The client hangs up


async def hang_up(stack: Stack, edge: str, key: VirtualKey, gate: str, stream: bool) -> bytes:
    """Leaves after the first event, or while the answer in one piece is waited for; returns the body sent."""
    body = steered(f"tokens=8 gate={gate}", stream=stream, max_tokens=MAX_TOKENS)
    async with Connection(edge, key.secret) as connection:
        await connection.send(body)
        found(lambda: stack.waits_at(gate))
        if stream:
            _, headers = await connection.head()
            await anext(connection.pieces(headers))
    return body


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_hang_up_is_drained(stack: Stack, tenant: Tenant, stream: bool) -> None:
    """By default the answer is read on to its usage: the cost is exact although nobody got it."""
    gate = f"drain-{tenant.customer_id}"
    before = stack.billed()
    await hang_up(stack, stack.edge, tenant.key(), gate, stream)
    # For the edge to notice; nothing outside tells when it has.
    await asyncio.sleep(0.3)
    stack.open_gate(gate)
    entry, billed_nanousd = booked_once(stack, tenant, before)
    assert (entry.state, entry.status) == (REPORTED, 499)
    assert entry.cost_nanousd == billed_nanousd


@pytest.fixture(scope="module")
def cancelling(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A second edge of the same product that cancels where the first one drains."""
    with edge(stack, tmp_path_factory.mktemp("cancelling"), TOLLKEEPER_ON_HANGUP="cancel") as url:
        yield url


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_hang_up_is_cancelled(stack: Stack, cancelling: str, tenant: Tenant, stream: bool) -> None:
    """By setting the upstream's connection is dropped at once: an estimate that covers what was produced."""
    before = stack.billed()
    body = await hang_up(stack, cancelling, tenant.key(), f"never-{tenant.customer_id}", stream)
    found(lambda: stack.billed() > before)
    entry, billed_nanousd = booked_once(stack, tenant, before)
    assert stack.bill(before)[0]["finish"] == "hangup"
    assert (entry.state, entry.why, entry.status) == (ESTIMATED, "client_hangup", 499)
    assert billed_nanousd <= entry.cost_nanousd == hold_nanousd(body, MAX_TOKENS)
