"""A flood of unknown keys: what is remembered of them is bounded, small, and in nobody else's way."""

import asyncio
import tracemalloc

import pytest

from edge.clock import Clock
from edge.grant_cache import MOST_FETCHES_AT_ONCE, MOST_REFUSED, GrantCache, GrantSettings
from tests.edge.fake_control import new_secret
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.key_format import secret_hash
from tollkeeper.v1 import edge_pb2

MAX_ENTRY_BYTES = 1024


class Refusing:
    """A control plane that knows one key; as slow as `gate` says."""

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        self.asked = 0
        self.gate: asyncio.Event | None = None

    async def authorize(self, key_hash: bytes, timeout_s: float) -> edge_pb2.Grant:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if key_hash in self.known:
            return edge_pb2.Grant(customer_id="customer", key_id="key", version=1)
        try:
            raise ValueError("a transport's error, with its frames")
        except ValueError as cause:
            raise TollkeeperError(Reason.INVALID_API_KEY, "No such key.", {"a": "b"}) from cause


async def refused(cache: GrantCache, secret: str) -> Reason:
    """Why a secret is refused."""
    with pytest.raises(TollkeeperError) as caught:
        await cache.authorize(secret)
    return caught.value.reason


@pytest.fixture
async def control() -> Refusing:
    """It knows nobody yet."""
    return Refusing()


@pytest.fixture
async def cache(control: Refusing) -> GrantCache:
    """A cache over it, as just heard from."""
    made = GrantCache(control, Clock(), GrantSettings())  # type: ignore[arg-type]
    made.heard_at_s = Clock().now_s()
    return made


async def flood(cache: GrantCache, count: int) -> None:
    """So many keys that nobody has."""
    for at in range(count):
        secret = f"aig_{at:043d}"
        try:
            await cache.authorize(secret)
        except TollkeeperError:
            continue
        raise AssertionError("it was let in")


async def test_memory_is_bounded(cache: GrantCache, control: Refusing) -> None:
    """Ten thousand refusals of a few hundred bytes each, however many keys are tried: no traceback, no frame
    and no secret is kept with them."""
    tracemalloc.start()
    try:
        await flood(cache, 1000)
        before, _ = tracemalloc.get_traced_memory()
        for at in range(2 * MOST_REFUSED):
            error = TollkeeperError(Reason.INVALID_API_KEY, "No such key.")
            cache._refuse(at.to_bytes(32), error)
        full, _ = tracemalloc.get_traced_memory()
        await flood(cache, 2000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(cache._refused) == MOST_REFUSED
    assert full - before < MOST_REFUSED * MAX_ENTRY_BYTES
    assert after - full < 2000 * MAX_ENTRY_BYTES / 4
    assert all(error.__traceback__ is None for _, error in cache._refused.values())
    assert all(error.__cause__ is None for _, error in cache._refused.values())
    assert len(cache) == 0
    assert not cache._fetches
    assert not cache._asked_at_s


async def test_what_is_no_key_is_not_even_remembered(cache: GrantCache, control: Refusing) -> None:
    """Garbage costs neither a call nor an entry."""
    for secret in ("", "x" * 10_000, "aig_", "aig_" + "é" * 43, "aig_" + "a" * 44, "tks_" + "a" * 43):
        assert await refused(cache, secret) == Reason.INVALID_API_KEY

    assert control.asked == 0
    assert not cache._refused


async def test_a_key_in_use_is_served_through_a_flood(cache: GrantCache, control: Refusing) -> None:
    """So many questions may be under way; beyond them unknown keys are told 503, never 401, and a key whose
    grant is there is served as ever."""
    good = new_secret()
    control.known.add(secret_hash(good))
    await cache.authorize(good)
    control.gate = asyncio.Event()
    waiting = [asyncio.create_task(refused(cache, new_secret())) for _ in range(MOST_FETCHES_AT_ONCE)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert await refused(cache, new_secret()) == Reason.UNAVAILABLE
    assert (await cache.authorize(good)).key_id == "key"
    control.gate.set()
    assert set(await asyncio.gather(*waiting)) == {Reason.INVALID_API_KEY}
    assert not cache._fetches
