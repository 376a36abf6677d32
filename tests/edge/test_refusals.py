"""Refused requests on their way to the request log (A5): capped, counted, and never in anybody's way."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge import refusals
from edge.admission import AttemptPlan, UsageState
from edge.grants import GrantView
from edge.records import UsageIds
from edge.refusals import Refusals
from tests.edge.conftest import until
from tests.edge.test_with_control import MODEL, Stand, request, standing
from tollkeeper.cost import UsageCounts
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import is_uuid, uuid7
from tollkeeper.v1 import edge_pb2
from tollkeeper.v1.usage_pb2 import GetUsageSummaryRequest, ListUsageRequest

QUOTA = TollkeeperError(Reason.INSUFFICIENT_QUOTA, "Spent.", {"scope": "team"})
NOT_ALLOWED = TollkeeperError(Reason.MODEL_NOT_ALLOWED, "No.")


def grant(key_id: str = "") -> GrantView:
    message = edge_pb2.Grant(
        customer_id=str(uuid7()), key_id=key_id or str(uuid7()), user_id=str(uuid7()), router_id=str(uuid7())
    )
    return GrantView(b"h" * 32, message, 0.0, 0.0)


class Desk:
    """A link that keeps what it is told, or is away."""

    def __init__(self) -> None:
        self.told: list[edge_pb2.RefusedRequest] = []
        self.away = False
        self.now_s = 60_000_000.0

    async def report_refusals(self, request: edge_pb2.ReportRefusalsRequest) -> None:
        if self.away:
            raise TollkeeperError(Reason.UNAVAILABLE, "Away.")
        self.told += request.refusals

    def log(self) -> Refusals:
        return Refusals(self, UsageIds(), lambda: self.now_s)  # type: ignore[arg-type]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_refusal_is_told_with_all_that_is_known(desk: Desk) -> None:
    """Key, owners, router, model, labels, status, reason and scope; the id is that of the answer."""
    log, view = desk.log(), grant()
    usage_id = log.note(
        view, QUOTA, requested_model="m", stream=True, end_user="ann", tags=("a", "b"), latency_s=0.0129
    )
    await log.flush()
    (told,) = desk.told
    assert is_uuid(usage_id)
    assert (told.usage_id, told.key_id, told.user_id, told.router_id) == (
        usage_id,
        view.key_id,
        view.user_id,
        view.router_id,
    )
    assert (told.status, told.reason, told.scope, told.requested_model) == (
        429,
        "INSUFFICIENT_QUOTA",
        "team",
        "m",
    )
    assert (told.end_user, list(told.tags), told.stream, told.latency_ms) == ("ann", ["a", "b"], True, 12)
    assert told.time.seconds == 60_000_000


async def test_refusals_of_a_key_are_capped_each_minute(desk: Desk) -> None:
    """The first ones of a minute are logged, the rest are one row with a count; other keys have their own."""
    log, noisy, quiet = desk.log(), grant(), grant()
    ids = [log.note(noisy, QUOTA) for _ in range(refusals.MOST_PER_KEY + 30)]
    log.note(noisy, NOT_ALLOWED)
    assert log.note(quiet, QUOTA)
    assert all(ids[: refusals.MOST_PER_KEY])
    assert not any(ids[refusals.MOST_PER_KEY :])
    log.tick()
    await log.close()
    assert len(desk.told) == refusals.MOST_PER_KEY + 1
    desk.now_s += 60
    log.tick()
    await log.close()
    rest = {told.reason: told.omitted_count for told in desk.told[refusals.MOST_PER_KEY + 1 :]}
    assert rest == {"INSUFFICIENT_QUOTA": 29, "MODEL_NOT_ALLOWED": 0}
    assert log.note(noisy, QUOTA)
    counted = sum(1 + told.omitted_count for told in desk.told if told.key_id == noisy.key_id)
    assert counted == refusals.MOST_PER_KEY + 31


async def test_what_cant_be_told_waits_within_bounds(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control plane that is away costs no memory without end, and gets the rest later, each once."""
    monkeypatch.setattr(refusals, "MOST_WAITING", 4)
    monkeypatch.setattr(refusals, "BATCH", 3)
    log = desk.log()
    desk.away = True
    for _ in range(9):
        log.note(grant(), QUOTA)
    await log.flush()
    desk.away = False
    await log.flush()
    assert len({told.usage_id for told in desk.told}) == len(desk.told) == 4


async def test_keys_without_end_cost_no_memory_without_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past so many keys in a minute the rest are in the metrics only."""
    monkeypatch.setattr(refusals, "MOST_KEYS", 5)
    log = desk.log()
    logged = [bool(log.note(grant(), QUOTA)) for _ in range(8)]
    assert logged == [True] * 5 + [False] * 3


@pytest.fixture
async def stand(database_url: str, tmp_path: Path) -> AsyncIterator[Stand]:
    """A customer without a budget, over a real control plane."""
    async with standing(database_url, tmp_path) as stand:
        yield stand


async def test_a5_refused_requests_are_in_the_log(stand: Stand) -> None:
    """A5: cost 0, status, reason and scope; counted as refused, not as requests; no ledger entries."""
    secret = await stand.key(limit_nanousd=1)
    ledger = await stand.worker()
    assert await request(ledger, secret) == "INSUFFICIENT_QUOTA"
    view = await ledger.authorize(secret)
    for _ in range(refusals.MOST_PER_KEY + 5):
        ledger.refusals.note(view, QUOTA, requested_model=MODEL, tags=("nightly",))
    await ledger.drain(5)
    cli = await stand.control.cli()
    listed = (await cli.usage.ListUsage(ListUsageRequest(customer_id=stand.customer_id))).usage
    assert len(listed) == refusals.MOST_PER_KEY + 1
    entry = listed[0]
    assert (entry.state, entry.status, entry.why, entry.cost_nanousd) == (
        edge_pb2.USAGE_STATE_REFUSED,
        429,
        "insufficient_quota",
        0,
    )
    summary = await cli.usage.GetUsageSummary(GetUsageSummaryRequest(customer_id=stand.customer_id))
    assert (summary.total_requests, summary.total_cost_nanousd) == (0, 0)
    assert await stand.violations() == []


async def test_a_request_carries_its_labels_into_the_log(stand: Stand) -> None:
    """The router, the app's user and tags are in the record from its begin on."""
    secret = await stand.key()
    ledger = await stand.worker()
    view = await ledger.authorize(secret)
    price = ledger.price(view, view.rules[0], MODEL)
    assert price is not None
    opened = await ledger.begin(
        view,
        AttemptPlan(view.rules[0], MODEL, price, 1000),
        requested_model=MODEL,
        stream=False,
        end_user="ann",
        tags=("a", "b"),
    )
    opened.end_attempt(UsageState.USAGE_STATE_REPORTED, status=200, usage=UsageCounts(output_tokens=1))
    ledger.finish(opened)
    await until(lambda: not ledger.journal.open_count)
    async with stand.control.database.read() as connection:
        row = (
            await connection.exec_driver_sql("SELECT end_user, tags, router_id::text FROM request_log")
        ).one()
        sums = await connection.exec_driver_sql(
            "SELECT dimension, value FROM rollups WHERE dimension > 4 ORDER BY dimension, value"
        )
        assert tuple(row) == ("ann", ["a", "b"], stand.router_id)
        assert [tuple(each) for each in sums][:4] == [(5, "ann"), (6, "a"), (6, "b"), (7, MODEL)]
