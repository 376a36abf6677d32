"""The table of stream endings × surfaces × clients: of each row the answer, the ledger's entry, its label and
the journal."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.journal_format import Kind
from tests.e2e.admin import Tenant
from tests.e2e.edges import edge
from tests.e2e.journals import journaled
from tests.e2e.stack import Stack, found
from tests.e2e.surfaces import SURFACES, Surface
from tests.e2e.wire import Connection, Reply, ask
from tests.ports import free_port
from tollkeeper.v1.edge_pb2 import UsageState
from tollkeeper.v1.usage_pb2 import UsageEntry

ESTIMATED, REPORTED, VOIDED = (
    UsageState.USAGE_STATE_ESTIMATED,
    UsageState.USAGE_STATE_REPORTED,
    UsageState.USAGE_STATE_VOIDED,
)


@dataclass(frozen=True)
class Ending:
    """How the vendor is steered, and what follows for a client that stays."""

    pairs: str
    status: int
    is_whole: bool
    state: int
    why: str
    is_hold: bool = False
    """Nothing came that tells what it cost: all that was set aside is booked."""


ENDINGS = {
    "finished": Ending("tokens=8", 200, True, REPORTED, ""),
    "upstream cut": Ending("tokens=8 cut_after=5", 200, False, ESTIMATED, "upstream_cut"),
    "upstream reset": Ending("tokens=8 cut_after=5 rst", 200, False, ESTIMATED, "upstream_cut"),
    "stalled": Ending("tokens=8 stall_after=5", 200, False, ESTIMATED, "upstream_timeout"),
    "error event inside": Ending("tokens=8 error_event_after=5", 200, False, ESTIMATED, "upstream_error"),
    "no usage": Ending("tokens=8 no_usage", 200, True, ESTIMATED, "usage_missing"),
    "no head in time": Ending("first_byte_ms=60000", 502, False, ESTIMATED, "upstream_timeout", True),
    "no event in time": Ending("stall_after=0", 502, False, ESTIMATED, "upstream_timeout", True),
    "cut before the head": Ending("cut_after=0", 502, False, ESTIMATED, "upstream_cut", True),
    "refused": Ending("status=400", 400, False, VOIDED, "refused"),
}


@pytest.fixture(params=SURFACES, ids=[surface.name for surface in SURFACES])
def surface(request: pytest.FixtureRequest) -> Surface:
    """Each of them."""
    found: Surface = request.param
    return found


def check_journal(data_dir: Path, entry: UsageEntry, attempts: int = 1) -> None:
    """A begin for each attempt and one end, which says what was booked."""
    records = journaled(data_dir, entry.usage_id)
    assert [kind for kind, _ in records] == [Kind.BEGIN] * attempts + [Kind.END]
    end = records[-1][1]
    assert (end.state, end.cost_nanousd, end.status) == (entry.state, entry.cost_nanousd, entry.status)


def check_entry(tenant: Tenant, entry: UsageEntry, hold_nanousd: int, billed_nanousd: int) -> None:
    """Booked once: exactly where the vendor told, else no more than was set aside nor less than it billed."""
    posted = [("post", entry.cost_nanousd)] if entry.cost_nanousd else []
    assert tenant.entries(entry.usage_id) == posted
    if entry.state == REPORTED:
        assert entry.cost_nanousd == billed_nanousd
    else:
        assert billed_nanousd <= entry.cost_nanousd <= hold_nanousd


async def test_a18_clients_that_stay(stack: Stack, tenant: Tenant, surface: Surface) -> None:
    """All endings at once: only a complete stream looks like one, and a broken one tells its client."""
    secret = surface.key(tenant).secret
    before = stack.billed()
    replies = await asyncio.gather(
        *(
            ask(stack.edge, secret, surface.body(each.pairs), path=surface.path, headers=surface.headers)
            for each in ENDINGS.values()
        )
    )
    tenant.settled(len(ENDINGS))
    bill = {row["event_id"]: surface.billed_nanousd(row) for row in stack.bill(before)}
    for (name, ending), reply in zip(ENDINGS.items(), replies, strict=True):
        check_row(stack, tenant, surface, name, ending, reply, bill)


def check_row(
    stack: Stack,
    tenant: Tenant,
    surface: Surface,
    name: str,
    ending: Ending,
    reply: Reply,
    bill: dict[str, int],
) -> None:
    assert (name, reply.status) == (name, ending.status), reply.body
    assert (name, surface.is_whole(reply.body)) == (name, ending.is_whole), reply.body
    assert (name, b'"error"' in reply.body) == (name, not ending.is_whole), reply.body
    entry = tenant.request(reply.headers["x-tollkeeper-request-id"])
    assert (name, entry.state, entry.why, entry.status) == (name, ending.state, ending.why, ending.status)
    [attempt] = entry.attempts
    billed_nanousd = bill.get(f"{entry.usage_id}-1", 0)
    check_entry(tenant, entry, attempt.hold_nanousd, billed_nanousd)
    assert (name, entry.cost_nanousd == attempt.hold_nanousd) == (name, ending.is_hold)
    check_journal(stack.up.data_dir, entry)


# Clients that leave


@pytest.fixture(scope="module")
def cancelling(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A second edge of the same product that cancels where the first one drains, and its data directory."""
    path = tmp_path_factory.mktemp("cancelling")
    with edge(stack, path, TOLLKEEPER_ON_HANGUP="cancel") as url:
        yield url, path / "edge"


async def leave(edge_url: str, secret: str, surface: Surface, pairs: str, after_bytes: int) -> None:
    """Reads so many bytes of the answer's body, and hangs up."""
    async with Connection(edge_url, secret) as connection, asyncio.timeout(10):
        await connection.send(surface.body(pairs), path=surface.path, headers=surface.headers)
        if after_bytes:
            _, headers = await connection.head()
            seen = 0
            async for piece in connection.pieces(headers):
                seen += len(piece)
                if seen >= after_bytes:
                    return
        else:
            await asyncio.sleep(0.3)


LEAVES = {
    "before the head": ("first_byte_ms=600", 0),
    "at byte 1": ("drip_ms=40", 1),
    "at byte 900": ("drip_ms=40", 900),
}


async def test_a19_clients_that_leave_are_drained(stack: Stack, tenant: Tenant, surface: Surface) -> None:
    """Wherever they leave: the answer is read on to its usage, and billed to the nano-dollar, as 499."""
    secret = surface.key(tenant).secret
    before = stack.billed()
    await asyncio.gather(
        *(leave(stack.edge, secret, surface, f"tokens=20 {sim}", count) for sim, count in LEAVES.values())
    )
    entries = tenant.settled(len(LEAVES))
    bill = {row["event_id"]: surface.billed_nanousd(row) for row in stack.bill(before)}
    for entry in entries:
        assert (entry.state, entry.why, entry.status) == (REPORTED, "", 499)
        assert entry.cost_nanousd == bill[f"{entry.usage_id}-1"]
        check_entry(tenant, entry, entry.cost_nanousd, entry.cost_nanousd)
        check_journal(stack.up.data_dir, entry)


async def test_a19_clients_that_leave_are_cancelled(
    stack: Stack, cancelling: tuple[str, Path], tenant: Tenant, surface: Surface
) -> None:
    """By setting: the vendor is dropped at once. Before anything came it is the hold, then what came."""
    url, data_dir = cancelling
    secret = surface.key(tenant).secret
    before = stack.billed()
    await asyncio.gather(
        *(leave(url, secret, surface, f"tokens=20 {sim}", count) for sim, count in LEAVES.values())
    )
    entries = tenant.settled(len(LEAVES))
    found(lambda: len(stack.bill(before)) >= len(LEAVES))
    bill = {row["event_id"]: surface.billed_nanousd(row) for row in stack.bill(before)}
    for entry in entries:
        assert (entry.state, entry.why, entry.status) == (ESTIMATED, "client_hangup", 499)
        [attempt] = tenant.request(entry.usage_id).attempts
        # A token or two may have been produced that never came.
        late_nanousd = 3 * 15
        billed_nanousd = max(0, bill[f"{entry.usage_id}-1"] - late_nanousd)
        check_entry(tenant, entry, attempt.hold_nanousd, billed_nanousd)
        check_journal(data_dir, entry)
    assert sum(entry.cost_nanousd == _hold(tenant, entry) for entry in entries) < len(entries)


def _hold(tenant: Tenant, entry: UsageEntry) -> int:
    return int(tenant.request(entry.usage_id).attempts[0].hold_nanousd)


async def test_a17_a_client_that_leaves_during_failover(
    stack: Stack, cancelling: tuple[str, Path], tenant: Tenant, surface: Surface
) -> None:
    """The first provider was never reached and costs nothing; the second was asked, and may have answered."""
    url, data_dir = cancelling
    away = tenant.provider(
        surface.provider_type, name="away", credential="sk-own", base_url=f"http://127.0.0.1:{free_port()}/v1"
    )
    secret = surface.key(tenant, away).secret
    await leave(url, secret, surface, "first_byte_ms=60000", 0)
    [entry] = tenant.settled(1)
    entry = tenant.request(entry.usage_id)
    first, second = entry.attempts

    assert (first.state, first.why, first.cost_nanousd) == (VOIDED, "not_sent", 0)
    assert (second.state, second.why, second.cost_nanousd) == (
        ESTIMATED,
        "client_hangup",
        second.hold_nanousd,
    )
    assert (entry.state, entry.status, entry.failover) == (ESTIMATED, 499, True)
    check_entry(tenant, entry, second.hold_nanousd, 0)
    check_journal(data_dir, entry, attempts=2)
