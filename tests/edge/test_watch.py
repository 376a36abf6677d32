"""The Watch client: pushes act at once, and a broken stream leads to a resync, not to polling."""

import asyncio
from pathlib import Path

import pytest

from tests.edge.conftest import StartWorker, TurnedClock, Worker, until
from tests.edge.fake_control import FakeControl, Fault, a_price, error, new_secret
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2


async def test_a_revoked_key_is_refused_at_once(control: FakeControl, start_worker: StartWorker) -> None:
    """An urgent change drops the grant, returns its lease, and its delay is measured."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    await worker.request(secret)
    control.grants.clear()
    control.change(urgent=True)
    await until(lambda: worker.lags)
    with pytest.raises(TollkeeperError) as refused:
        await worker.ledger.authorize(secret)
    assert refused.value.reason == Reason.INVALID_API_KEY
    assert worker.lags[0] < 1
    await until(lambda: control.held == 0)


async def test_a_resync_names_leases_customers_and_prices(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """A new stream says what is known here; leases it doesn't name would be closed."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    first = control.watch_requests[0]
    assert not first.lease_ids
    assert not first.customers
    assert first.price_version == 0
    await worker.request(secret)
    control.end_streams()
    await until(lambda: len(control.watch_requests) == 2)
    second = control.watch_requests[1]
    assert list(second.lease_ids) == list(worker.ledger.book.leases)
    assert [(c.customer_id, c.version) for c in second.customers] == [(control.customer_id, 1)]
    assert second.price_version == 1
    await worker.request(secret)
    assert control.count("AcquireLease") == 1
    assert control.count("Authorize") == 1


async def test_what_was_missed_is_learnt_on_reconnecting(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """A change while no stream was open reaches the worker with the next one."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    await worker.request(secret)
    control.end_streams()
    await until(lambda: not control.streams)
    control.version += 1
    await until(lambda: control.count("Authorize") == 2)
    await until(lambda: next(iter(worker.ledger.grants._grants.values())).version == 2)


async def test_reconnecting_backs_off(control: FakeControl, start_worker: StartWorker) -> None:
    """A control plane that refuses streams isn't hammered."""
    worker = await start_worker()
    control.faults["Watch"].extend([Fault(error=error(Reason.UNAVAILABLE))] * 100)
    control.end_streams()
    await asyncio.sleep(0.7)
    assert 2 <= worker.ledger.watch.connects <= 8


async def test_no_lease_is_opened_before_the_stream_is_registered(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """L5: connecting closes leases it doesn't name, so opening one waits for Hello."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    control.faults["Watch"].append(Fault(delay_s=0.3))
    control.end_streams()
    await until(lambda: len(control.watch_requests) == 2)
    opened = await worker.begin(secret)
    worker.ledger.finish(opened)
    assert len(control.streams) == 1
    assert not control.leases[opened.lease.lease_id].closed


async def test_a_silent_stream_is_replaced(
    control: FakeControl, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without heartbeats a stream is taken for dead, whatever the connection says."""
    monkeypatch.setattr("edge.watch.DEAD_AFTER_S", 0.5)
    await start_worker()
    control.silent = True
    await until(lambda: len(control.watch_requests) >= 2)


async def test_prices_arrive_whole_and_change(control: FakeControl, start_worker: StartWorker) -> None:
    """A book shows when its last part is here; updates replace by id; a full one replaces all."""
    worker = await start_worker()
    book, now_s = worker.ledger.prices, worker.ledger._clock.now_s()
    await until(lambda: len(book) == 1)
    parts = [a_price("one"), a_price("two")]
    control.push(edge_pb2.WatchResponse(price_book=edge_pb2.PriceBook(version=2, prices=parts[:1])))
    last = edge_pb2.PriceBook(version=2, prices=parts[1:], last=True)
    control.push(edge_pb2.WatchResponse(price_book=last))
    await until(lambda: len(book) == 3)
    assert book.version == 2
    found = book.lookup("openai", "one", now_s)
    assert found is not None
    assert found.price_id == parts[0].price_id
    full = edge_pb2.PriceBook(version=3, prices=parts[1:], full=True, last=True)
    control.push(edge_pb2.WatchResponse(price_book=full))
    await until(lambda: len(book) == 1)
    assert book.lookup("openai", "one", now_s) is None


async def test_the_next_price_takes_over_by_itself(control: FakeControl, tmp_path: Path) -> None:
    """L16: the price in force ends and its successor begins by this machine's clock, without a push."""
    successor = a_price("gpt-4o-mini")
    control.prices[0].ends_in.seconds = successor.starts_in.seconds = 100
    control.prices.append(successor)
    clock = TurnedClock()
    worker = Worker(control, tmp_path, clock=clock)
    await worker.start()
    await until(lambda: len(worker.ledger.prices) == 1)

    def price_id() -> str | None:
        price = worker.ledger.prices.lookup("openai", "gpt-4o-mini", clock.now_s())
        return price.price_id if price is not None else None

    assert price_id() == control.prices[0].price_id
    clock.added_s = 101
    assert price_id() == successor.price_id
    await worker.close()


async def test_the_lease_of_the_next_window_is_taken_ahead(control: FakeControl, tmp_path: Path) -> None:
    """L7: before a window ends the next one's lease is fetched, and takes over when its time comes."""
    assert control.budget is not None
    clock = TurnedClock()
    control.budget.end_s = int(clock.wall_s()) + 3
    control.next_window_in_s, control.draw_for_s = 1.5, 3.0
    secret = new_secret()
    control.add_key(secret)
    worker = Worker(control, tmp_path, clock=clock)
    await worker.start()
    opened = await worker.begin(secret)
    control.draw_for_s = 10.0
    opened.lease.turn_lead_s = 60.0
    worker.ledger.book._turn_wall_s = 0.0
    await until(lambda: control.requests("AcquireLease")[-1].next_window)
    await until(lambda: opened.lease.purse.following)
    clock.added_s = 3.0
    second = await worker.begin(secret)
    assert second.lease.next_window
    assert second.lease is not opened.lease
    assert control.count("AcquireLease") == 2
    for request in (opened, second):
        worker.ledger.finish(request)
    await worker.close()
