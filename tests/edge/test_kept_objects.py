"""Objects that vendors keep, as a worker finds them (DESIGN §7), over gRPC to a fake control plane."""

import asyncio

import pytest

from edge import kept_objects
from edge.admission import UsageState
from edge.kept_objects import KeptObject
from tests.edge.conftest import StartWorker, Worker, until
from tests.edge.fake_control import FakeControl, Fault, error, new_id, new_secret
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

ESTIMATED = UsageState.USAGE_STATE_ESTIMATED
VOIDED = UsageState.USAGE_STATE_VOIDED


async def make(worker: Worker, secret: str, *object_ids: str, pending: bool = False) -> str:
    """One request that made these; returns its usage id."""
    opened = await worker.begin(secret)
    for object_id in object_ids:
        opened.keep(object_id, "response", pending=pending)
    opened.end_attempt(ESTIMATED if pending else VOIDED, status=200)
    worker.ledger.finish(opened)
    return opened.usage_id


async def find(worker: Worker, secret: str, *object_ids: str) -> list[KeptObject]:
    return await worker.ledger.kept_objects.find(await worker.ledger.authorize(secret), object_ids)


async def missing(worker: Worker, secret: str, *object_ids: str) -> None:
    with pytest.raises(TollkeeperError) as caught:
        await find(worker, secret, *object_ids)
    assert caught.value.reason == Reason.NOT_FOUND


async def test_its_maker_knows_it_at_once(control: FakeControl, start_worker: StartWorker) -> None:
    """Without asking; the record that carries it is settled soon, whatever the interval."""
    secret = new_secret()
    grant = control.add_key(secret)
    worker = await start_worker(settle_interval_s=60)
    usage_id = await make(worker, secret, "resp_1")
    assert await find(worker, secret, "resp_1") == [
        KeptObject("resp_1", "response", grant.rules[0].provider_id, usage_id, False)
    ]
    assert control.count("FindKeptObjects") == 0
    await until(lambda: usage_id in control.posted)


async def test_another_worker_asks_once(control: FakeControl, start_worker: StartWorker) -> None:
    """And remembers what it found; only what it doesn't know is asked for."""
    secret = new_secret()
    control.add_key(secret)
    maker, other = await start_worker(), await start_worker()
    await make(maker, secret, "resp_1", "resp_2")
    await until(lambda: bool(control.posted))
    for _ in range(2):
        assert len(await find(other, secret, "resp_1")) == 1
    assert [each.object_id for each in await find(other, secret, "resp_1", "resp_2")] == ["resp_1", "resp_2"]
    assert [list(each.object_ids) for each in control.requests("FindKeptObjects")] == [["resp_1"], ["resp_2"]]


async def test_it_outlives_its_worker(control: FakeControl, start_worker: StartWorker) -> None:
    """I5: a worker that ends before it could settle leaves it in its journal, for who adopts that."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    await worker.ledger.authorize(secret)
    control.faults["Settle"].extend([Fault(error=error(Reason.UNAVAILABLE))] * 100)
    usage_id = await make(worker, secret, "resp_1")
    await worker.close()
    control.faults["Settle"].clear()
    heir = await start_worker()
    await until(lambda: usage_id in control.posted)
    assert [each.usage_id for each in await find(heir, secret, "resp_1")] == [usage_id]


async def test_another_customers_is_nobodys(control: FakeControl, start_worker: StartWorker) -> None:
    """Also where the same worker made it."""
    secret, others = new_secret(), new_secret()
    control.add_key(secret)
    control.add_key(others, customer_id=new_id())
    worker = await start_worker()
    await make(worker, secret, "resp_1")
    await missing(worker, others, "resp_1")


async def test_guesses_are_answered_from_memory(control: FakeControl, start_worker: StartWorker) -> None:
    """For a few seconds, and what can't be an id never leaves; an object that is made then is found."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    for _ in range(3):
        await missing(worker, secret, "resp_1")
        await missing(worker, secret, "a b")
    assert control.count("FindKeptObjects") == 1
    await make(worker, secret, "resp_1")
    assert len(await find(worker, secret, "resp_1")) == 1


async def test_the_cache_is_bounded(
    control: FakeControl, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest goes, on both sides, and is asked for again."""
    monkeypatch.setattr(kept_objects, "MAX_KNOWN", 2)
    monkeypatch.setattr(kept_objects, "MAX_MISSING", 2)
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    await make(worker, secret, "resp_1", "resp_2", "resp_3")
    await until(lambda: bool(control.posted))
    assert len(await find(worker, secret, "resp_2", "resp_3")) == 2
    assert control.count("FindKeptObjects") == 0
    assert len(await find(worker, secret, "resp_1")) == 1
    assert control.count("FindKeptObjects") == 1
    for object_id in ("no_1", "no_2", "no_3", "no_1"):
        await missing(worker, secret, object_id)
    assert control.count("FindKeptObjects") == 5


async def test_too_many_look_ups_are_refused(
    control: FakeControl, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a 503, not a 404: nobody looked."""
    monkeypatch.setattr(kept_objects, "MAX_LOOK_UPS", 1)
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    await worker.ledger.authorize(secret)
    control.faults["FindKeptObjects"].append(Fault(delay_s=0.3))
    first = asyncio.create_task(missing(worker, secret, "resp_1"))
    await asyncio.sleep(0.05)
    with pytest.raises(TollkeeperError) as caught:
        await find(worker, secret, "resp_2")
    assert (caught.value.reason, caught.value.retry_after_s) == (Reason.UNAVAILABLE, 1)
    await first
    await missing(worker, secret, "resp_2")


async def test_without_control_nobody_says_404(control: FakeControl, start_worker: StartWorker) -> None:
    """An outage isn't remembered as an absence."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    control.faults["FindKeptObjects"].append(Fault(error=error(Reason.UNAVAILABLE)))
    with pytest.raises(TollkeeperError) as caught:
        await find(worker, secret, "resp_1")
    assert caught.value.reason == Reason.UNAVAILABLE
    await missing(worker, secret, "resp_1")


async def test_a_pending_one_is_asked_for_each_time(control: FakeControl, start_worker: StartWorker) -> None:
    """L15: any worker may have reported its end meanwhile; then it is known like any other."""
    secret = new_secret()
    grant = control.add_key(secret)
    worker = await start_worker()
    await make(worker, secret, "resp_1", pending=True)
    await until(lambda: bool(control.posted))
    for _ in range(2):
        assert (await find(worker, secret, "resp_1"))[0].pending
    request = edge_pb2.ReportKeptObjectRequest(customer_id=grant.customer_id, object_id="resp_1")
    await worker.ledger.kept_objects.report(request)
    for _ in range(2):
        assert not (await find(worker, secret, "resp_1"))[0].pending
    assert control.count("FindKeptObjects") == 3


async def test_a_forgotten_one_is_gone(control: FakeControl, start_worker: StartWorker) -> None:
    """Here and in the control plane; the others are listed, the newest first."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    await make(worker, secret, "resp_1", "resp_2", "resp_3")
    await until(lambda: bool(control.posted))
    grant = await worker.ledger.authorize(secret)
    await worker.ledger.kept_objects.forget(grant, "resp_2")
    await missing(worker, secret, "resp_2")
    listed = await worker.ledger.kept_objects.newest(grant, "response", "", 10)
    assert [each.object_id for each in listed] == ["resp_3", "resp_1"]


async def test_ids_that_cannot_be_are_left_out(control: FakeControl, start_worker: StartWorker) -> None:
    """A vendor's odd or endless ids cost nobody a record."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    usage_id = await make(worker, secret, "", "a b", "x" * 201, *(f"resp_{n}" for n in range(150)))
    await until(lambda: usage_id in control.posted)
    assert len(control.posted[usage_id].kept_objects) == 100
