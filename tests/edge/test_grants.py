"""The grant cache: one call per key, pushes, silence, and never a 401 because nobody answered."""

import asyncio
from pathlib import Path

import pytest

from edge.grant_cache import GrantCache
from tests.edge.conftest import StartWorker, TurnedClock, Worker, until
from tests.edge.fake_control import FakeControl, Fault, error, new_secret
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.key_format import secret_hash


async def refusal(worker: Worker, secret: str) -> str:
    """Why a secret is refused."""
    with pytest.raises(TollkeeperError) as refused:
        await worker.ledger.authorize(secret)
    return refused.value.reason_name


def cached(worker: Worker, secret: str) -> bool:
    """Whether the grant of a secret is in the cache."""
    return secret_hash(secret) in worker.ledger.grants._grants


async def test_one_call_serves_everyone(control: FakeControl, start_worker: StartWorker) -> None:
    """A hundred requests at once on a cold key ask once, and later ones not at all."""
    secret = new_secret()
    grant = control.add_key(secret, allowed_models=["gpt-*"], default_output_limit=7)
    worker = await start_worker()
    control.faults["Authorize"].append(Fault(delay_s=0.05))
    views = await asyncio.gather(*(worker.ledger.authorize(secret) for _ in range(100)))
    assert control.count("Authorize") == 1
    assert all(view is views[0] for view in views)
    assert (views[0].key_id, views[0].allowed_models, views[0].default_output_limit) == (
        grant.key_id,
        ("gpt-*",),
        7,
    )
    assert await worker.ledger.authorize(secret) is views[0]


async def test_who_gives_up_waiting_stops_nobody(control: FakeControl, start_worker: StartWorker) -> None:
    """A cancelled request leaves the shared call to the others."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    control.faults["Authorize"].append(Fault(delay_s=0.1))
    first = asyncio.create_task(worker.ledger.authorize(secret))
    second = asyncio.create_task(worker.ledger.authorize(secret))
    await until(lambda: control.count("Authorize"))
    first.cancel()
    assert (await second).customer_id == control.customer_id
    assert control.count("Authorize") == 1


async def test_unknown_keys_are_asked_for_once(control: FakeControl, start_worker: StartWorker) -> None:
    """A refused key is remembered until any customer changes; what doesn't look like a key is never asked
    for."""
    secret = new_secret()
    worker = await start_worker()
    assert {await refusal(worker, secret) for _ in range(5)} == {"INVALID_API_KEY"}
    assert await refusal(worker, "sk-something-else") == "INVALID_API_KEY"
    assert control.count("Authorize") == 1
    control.add_key(secret)
    control.change()
    await until(lambda: worker.lags)
    await worker.ledger.authorize(secret)


async def test_refused_keys_are_forgotten_in_time(control: FakeControl, start_worker: StartWorker) -> None:
    """The memory of a refusal is short."""
    secret = new_secret()
    worker = await start_worker(negative_ttl_s=0.05)
    await refusal(worker, secret)
    control.add_key(secret)
    await asyncio.sleep(0.06)
    await worker.ledger.authorize(secret)


async def test_a_key_made_while_it_was_asked_for_is_not_refused(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """A refusal that a change overtook isn't remembered."""
    secret = new_secret()
    worker = await start_worker()
    control.faults["Authorize"].append(Fault(delay_s=0.15, error=error(Reason.INVALID_API_KEY)))
    asking = asyncio.create_task(refusal(worker, secret))
    await until(lambda: control.count("Authorize"))
    control.add_key(secret)
    control.change()
    await asking
    await worker.ledger.authorize(secret)


async def test_suspension_is_told_apart(control: FakeControl, start_worker: StartWorker) -> None:
    """CUSTOMER_SUSPENDED passes through, and is remembered like an unknown key."""
    worker = await start_worker()
    secret = new_secret()
    control.faults["Authorize"].append(Fault(error=error(Reason.CUSTOMER_SUSPENDED)))
    assert {await refusal(worker, secret) for _ in range(2)} == {"CUSTOMER_SUSPENDED"}


@pytest.mark.parametrize("reason", [Reason.UNAVAILABLE, Reason.INTERNAL, Reason.UNAUTHENTICATED])
async def test_no_answer_is_no_401(control: FakeControl, start_worker: StartWorker, reason: Reason) -> None:
    """Whatever keeps the control plane from answering is a 503 for the client, and is not remembered."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    control.faults["Authorize"].append(Fault(error=error(reason)))
    assert await refusal(worker, secret) == "UNAVAILABLE"
    await worker.ledger.authorize(secret)


async def test_keys_expire_by_themselves(control: FakeControl, tmp_path: Path) -> None:
    """After its expiry a key is refused without a push."""
    clock = TurnedClock()
    secret = new_secret()
    grant = control.add_key(secret)
    grant.expire_time.seconds = int(clock.wall_s()) + 60
    worker = await Worker(control, tmp_path, clock=clock).start()
    await worker.ledger.authorize(secret)
    clock.added_s = 61
    assert await refusal(worker, secret) == "INVALID_API_KEY"
    await worker.close()


async def test_a_quiet_change_is_read_soon(control: FakeControl, start_worker: StartWorker) -> None:
    """Other changes are fetched again in the background, and the old grant serves until then."""
    secrets = [new_secret() for _ in range(20)]
    for secret in secrets:
        control.add_key(secret)
    worker = await start_worker()
    for secret in secrets:
        await worker.ledger.authorize(secret)
    control.change()
    await until(lambda: worker.lags)
    assert all(cached(worker, secret) for secret in secrets)
    await until(lambda: control.count("Authorize") == 40)
    await until(lambda: {g.version for g in worker.ledger.grants._grants.values()} == {2})


async def test_an_answer_from_before_a_revocation_is_not_kept(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """An Authorize that was under way when its customer was revoked is asked again."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    await worker.ledger.authorize(secret)
    control.change(urgent=True)
    control.version -= 1
    await until(lambda: not cached(worker, secret))
    asking = asyncio.create_task(worker.ledger.authorize(secret))
    await until(lambda: control.count("Authorize") == 2)
    control.version += 1
    assert (await asking).version == 2
    assert control.count("Authorize") == 3


async def test_what_is_read_while_connecting_is_read_again(
    control: FakeControl, start_worker: StartWorker
) -> None:
    """A grant read while the stream was being set up may have missed a change nobody will push."""
    secret = new_secret()
    control.add_key(secret)
    worker = await start_worker()
    control.faults["Watch"].append(Fault(delay_s=0.3))
    control.end_streams()
    await until(lambda: len(control.watch_requests) == 2)
    await worker.ledger.authorize(secret)
    control.version += 1
    await until(lambda: next(iter(worker.ledger.grants._grants.values())).version == 2)


async def test_silence_asks_first_and_then_serves_from_the_cache(
    control: FakeControl, tmp_path: Path
) -> None:
    """L27: after 2 s of silence each key is asked for again, at most every 2 s; without an answer the cache
    serves."""
    clock = TurnedClock()
    secret = new_secret()
    control.add_key(secret)
    worker = await Worker(control, tmp_path, clock=clock, grant_grace_s=60).start()
    await worker.ledger.authorize(secret)
    control.silent = True
    clock.added_s += 3
    for _ in range(10):
        await worker.ledger.authorize(secret)
    assert control.count("Authorize") == 2
    clock.added_s += 2
    control.faults["Authorize"].append(Fault(delay_s=5))
    started_s = asyncio.get_running_loop().time()
    await worker.ledger.authorize(secret)
    assert 0.4 < asyncio.get_running_loop().time() - started_s < 5
    assert control.count("Authorize") == 3
    await worker.close()


async def test_a_revocation_in_silence_is_noticed(control: FakeControl, tmp_path: Path) -> None:
    """Without a stream, asking first finds what no push could tell."""
    clock = TurnedClock()
    secret = new_secret()
    control.add_key(secret)
    worker = await Worker(control, tmp_path, clock=clock).start()
    await worker.ledger.authorize(secret)
    control.silent = True
    control.grants.clear()
    clock.added_s += 3
    assert await refusal(worker, secret) == "INVALID_API_KEY"
    await worker.close()


async def test_the_grace_ends_in_a_503(control: FakeControl, tmp_path: Path) -> None:
    """Cached grants serve for the grace after the last heartbeat, then nobody can tell any more."""
    clock = TurnedClock()
    secret = new_secret()
    control.add_key(secret)
    worker = await Worker(control, tmp_path, clock=clock, grant_grace_s=60).start()
    await worker.ledger.authorize(secret)
    await control.stop()
    clock.added_s += 50
    await worker.ledger.authorize(secret)
    clock.added_s += 15
    assert await refusal(worker, secret) == "UNAVAILABLE"
    await control.start()
    await until(lambda: clock.now_s() - worker.ledger.grants.heard_at_s < 1)
    await worker.ledger.authorize(secret)
    await worker.close()


async def test_the_cache_is_bounded(control: FakeControl, start_worker: StartWorker) -> None:
    """The least recently used grant makes room, and is forgotten everywhere."""
    secrets = [new_secret() for _ in range(4)]
    for secret in secrets:
        control.add_key(secret)
    worker = await start_worker(cached_grants=3)
    for secret in (*secrets[:3], secrets[0], secrets[3]):
        await worker.ledger.authorize(secret)
    assert [cached(worker, secret) for secret in secrets] == [True, False, True, True]
    grants: GrantCache = worker.ledger.grants
    assert len(grants._by_customer[control.customer_id]) == len(grants) == 3


async def test_credentials_do_not_show(control: FakeControl, start_worker: StartWorker) -> None:
    """Neither grant nor rule shows the vendor's credential."""
    secret = new_secret()
    grant = control.add_key(secret)
    grant.rules[0].credential = "sk-vendor-secret"
    worker = await start_worker()
    view = await worker.ledger.authorize(secret)
    assert view.rules[0].credential == "sk-vendor-secret"
    assert "sk-vendor" not in repr(view) + repr(view.rules) + repr(view.rules[0])
