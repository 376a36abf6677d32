"""The grants of this worker: looked up by hash, fetched once, kept current by pushes, served for a while
without the control plane (L27)."""

import asyncio
import hashlib
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from math import inf

import structlog

from edge.clock import Clock
from edge.control_link import ControlLink
from edge.grants import GrantView
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.key_format import is_key
from tollkeeper.v1 import edge_pb2

log = structlog.get_logger(__name__)

SILENT_AFTER_S = 2.0
ASK_INTERVAL_S = 2.0
ASK_TIMEOUT_S = 0.5
FETCH_TIMEOUT_S = 2.0
REFETCH_JITTER_S = 1.0
MOST_REFETCHES_AT_ONCE = 16
MOST_FETCHES_AT_ONCE = 256
MOST_REFUSED = 10_000
MOST_FLOORS = 10_000
# A replica may answer from just before the change that was pushed.
STALE_ANSWERS = 3
STALE_PAUSE_S = 0.05

# What the control plane may say of a key; anything else means that nobody can tell.
KEY_REFUSALS = frozenset({Reason.INVALID_API_KEY, Reason.CUSTOMER_SUSPENDED})


@dataclass(frozen=True, slots=True)
class GrantSettings:
    """Sizes and times of the cache."""

    # How long cached grants are served after the last heartbeat.
    grace_s: float = 600.0
    most_grants: int = 50_000
    # How long a refused key is refused without asking again.
    refused_ttl_s: float = 10.0


class Phase(Enum):
    """Where the Watch stream stands, as far as missed changes are concerned."""

    DOWN = "down"
    # The customers in the cache were named; what is read now may miss a change.
    NAMED = "named"
    LIVE = "live"


class GrantCache:
    """Grants by SHA-256 of the secret. `on_dropped` hears of keys that are refused from now on."""

    def __init__(
        self,
        link: ControlLink,
        clock: Clock,
        settings: GrantSettings,
        on_dropped: Callable[[str], None] = lambda key_id: None,
    ) -> None:
        self._link = link
        self._clock = clock
        self._now_s = clock.now_s
        self._settings = settings
        self._on_dropped = on_dropped
        # When the control plane was last heard; set by Watch.
        self.heard_at_s = -inf
        self._grants: OrderedDict[bytes, GrantView] = OrderedDict()
        self._by_customer: dict[str, set[bytes]] = {}
        self._refused: OrderedDict[bytes, tuple[float, TollkeeperError]] = OrderedDict()
        self._fetches: dict[bytes, asyncio.Task[GrantView]] = {}
        self._asked_at_s: dict[bytes, float] = {}
        # Customer → grants below this version must not be used.
        self._floors: OrderedDict[str, int] = OrderedDict()
        self._refetching: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(MOST_REFETCHES_AT_ONCE)
        self._changes = 0
        self._phase, self._session = Phase.DOWN, 0
        self._uncovered: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._grants)

    # ---- looking up

    async def authorize(self, secret: str) -> GrantView:
        """The grant of a secret. Raises INVALID_API_KEY, CUSTOMER_SUSPENDED or UNAVAILABLE."""
        key_hash = hashlib.sha256(secret.encode(errors="replace")).digest()
        grant = self._grants.get(key_hash)
        now_s = self._now_s()
        if grant is None:
            if not is_key(secret):
                raise _invalid_key()
            return await self._miss(key_hash, now_s)
        if now_s >= grant.expires_at_s:
            self._drop(key_hash)
            raise _invalid_key()
        if now_s - self.heard_at_s > SILENT_AFTER_S:
            return await self._ask_first(grant, now_s)
        self._grants.move_to_end(key_hash)
        return grant

    async def _miss(self, key_hash: bytes, now_s: float) -> GrantView:
        refused = self._refused.get(key_hash)
        if refused is not None:
            if now_s < refused[0]:
                raise _again(refused[1])
            del self._refused[key_hash]
        return await self._fetch(key_hash, FETCH_TIMEOUT_S)

    async def _ask_first(self, grant: GrantView, now_s: float) -> GrantView:
        """The control plane is silent: it may have something to say about this key that no push could
        bring."""
        key_hash = grant.key_hash
        if now_s - self._asked_at_s.get(key_hash, -inf) >= ASK_INTERVAL_S or key_hash in self._fetches:
            self._asked_at_s[key_hash] = now_s
            try:
                return await self._fetch(key_hash, ASK_TIMEOUT_S)
            except TollkeeperError as error:
                if error.reason in KEY_REFUSALS:
                    raise
        if now_s - max(self.heard_at_s, grant.read_at_s) > self._settings.grace_s:
            raise unavailable()
        return grant

    async def refetch(self, grant: GrantView) -> GrantView:
        """Reads a grant again because what is cached is known to be old. Raises like `authorize`."""
        return await self._fetch(grant.key_hash, FETCH_TIMEOUT_S)

    async def _fetch(self, key_hash: bytes, timeout_s: float) -> GrantView:
        """One Authorize per key at a time; whoever gives up waiting doesn't stop it."""
        task = self._fetches.get(key_hash)
        if task is None:
            if len(self._fetches) >= MOST_FETCHES_AT_ONCE:
                raise unavailable()
            task = asyncio.create_task(self._load(key_hash, timeout_s), name="authorize")
            self._fetches[key_hash] = task
            task.add_done_callback(lambda done: self._fetched(key_hash, done))
        return await asyncio.shield(task)

    def _fetched(self, key_hash: bytes, task: asyncio.Task[GrantView]) -> None:
        del self._fetches[key_hash]
        if not task.cancelled() and task.exception() is not None:
            log.debug("authorize_failed", error=repr(task.exception()))

    async def _load(self, key_hash: bytes, timeout_s: float) -> GrantView:
        for attempt in range(STALE_ANSWERS):
            changes, phase, session = self._changes, self._phase, self._session
            try:
                message = await self._link.authorize(key_hash, timeout_s)
            except TollkeeperError as error:
                if error.reason not in KEY_REFUSALS:
                    raise unavailable() from error
                self._drop(key_hash)
                if changes == self._changes:
                    self._refuse(key_hash, error)
                raise
            if message.version >= self._floors.get(message.customer_id, 0):
                break
            await asyncio.sleep(STALE_PAUSE_S * (attempt + 1))
        else:
            raise unavailable()
        grant = GrantView(key_hash, message, self._now_s(), self._clock.wall_s())
        self._keep(grant)
        self._cover(key_hash, phase, session)
        return grant

    # ---- the cache itself

    def _keep(self, grant: GrantView) -> None:
        known = self._grants.get(grant.key_hash)
        if known is not None and known.version > grant.version:
            return
        self._refused.pop(grant.key_hash, None)
        self._grants[grant.key_hash] = grant
        self._by_customer.setdefault(grant.customer_id, set()).add(grant.key_hash)
        if len(self._grants) > self._settings.most_grants:
            self._forget(next(iter(self._grants)))

    def _drop(self, key_hash: bytes) -> None:
        """The key is refused from now on."""
        grant = self._forget(key_hash)
        if grant is not None:
            self._on_dropped(grant.key_id)

    def _forget(self, key_hash: bytes) -> GrantView | None:
        grant = self._grants.pop(key_hash, None)
        self._asked_at_s.pop(key_hash, None)
        self._uncovered.discard(key_hash)
        if grant is not None:
            hashes = self._by_customer[grant.customer_id]
            hashes.discard(key_hash)
            if not hashes:
                del self._by_customer[grant.customer_id]
        return grant

    def _refuse(self, key_hash: bytes, error: TollkeeperError) -> None:
        self._refused[key_hash] = (self._now_s() + self._settings.refused_ttl_s, _again(error))
        if len(self._refused) > MOST_REFUSED:
            self._refused.popitem(last=False)

    # ---- pushes

    def changed(self, customer_id: str, version: int, urgent_version: int) -> None:
        """A customer changed: grants older than `urgent_version` end now, others are read again within a
        second."""
        self._changes += 1
        self._refused.clear()
        if urgent_version:
            self._floors[customer_id] = max(urgent_version, self._floors.pop(customer_id, 0))
            if len(self._floors) > MOST_FLOORS:
                self._floors.popitem(last=False)
        for key_hash in tuple(self._by_customer.get(customer_id, ())):
            if self._grants[key_hash].version < urgent_version:
                self._drop(key_hash)
        if self._older(customer_id, version) and customer_id not in self._refetching:
            self._refetching.add(customer_id)
            self._spawn(self._refetch_customer(customer_id, version))

    def _older(self, customer_id: str, version: int) -> list[bytes]:
        hashes = self._by_customer.get(customer_id, ())
        return [key_hash for key_hash in hashes if self._grants[key_hash].version < version]

    async def _refetch_customer(self, customer_id: str, version: int) -> None:
        # Every worker of every edge hears of the change in the same moment.
        await asyncio.sleep(random.uniform(0, REFETCH_JITTER_S))
        self._refetching.discard(customer_id)
        await self._refetch_all(self._older(customer_id, version))

    async def _refetch_all(self, key_hashes: Iterable[bytes]) -> None:
        await asyncio.gather(*(self._refetch_one(key_hash) for key_hash in key_hashes))

    async def _refetch_one(self, key_hash: bytes) -> None:
        async with self._slots:
            if key_hash not in self._grants:
                return
            try:
                await self._fetch(key_hash, FETCH_TIMEOUT_S)
            except TollkeeperError as error:
                # Refused keys are dropped already; else the next Watch names the old version and hears of
                # it again.
                log.info("refetch_failed", reason=error.reason_name)

    # ---- what Watch could miss

    def named(self) -> list[edge_pb2.CustomerVersion]:
        """The customers in the cache, for a new Watch stream, each at its oldest grant."""
        self._phase, self._session = Phase.NAMED, self._session + 1
        self._uncovered.clear()
        return [
            edge_pb2.CustomerVersion(
                customer_id=customer_id, version=min(self._grants[key_hash].version for key_hash in hashes)
            )
            for customer_id, hashes in self._by_customer.items()
        ]

    def live(self) -> None:
        """The stream is registered: changes from now on are pushed."""
        self._phase = Phase.LIVE
        uncovered, self._uncovered = self._uncovered, set()
        if uncovered:
            self._spawn(self._refetch_all(uncovered))

    def down(self) -> None:
        """The stream is gone; the next one names what is cached then."""
        self._phase = Phase.DOWN

    def _cover(self, key_hash: bytes, phase: Phase, session: int) -> None:
        """A grant read while the stream was being set up may be older than a change nobody will push: read
        again."""
        if self._phase is Phase.NAMED:
            self._uncovered.add(key_hash)
        elif self._phase is Phase.LIVE and (phase is not Phase.LIVE or session != self._session):
            self._spawn(self._refetch_all((key_hash,)))

    # ---- tasks

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(work, name="grants")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stops what runs in the background."""
        tasks = [*self._tasks, *self._fetches.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def unavailable() -> TollkeeperError:
    """Nobody can tell: never a 401."""
    return TollkeeperError(Reason.UNAVAILABLE, "The control plane can't be reached.", retry_after_s=2.0)


def _invalid_key() -> TollkeeperError:
    return TollkeeperError(Reason.INVALID_API_KEY, "The API key is invalid, has been revoked or has expired.")


def _again(error: TollkeeperError) -> TollkeeperError:
    """The same refusal as a new exception: a raised one carries its traceback with it."""
    return TollkeeperError(error.reason, error.message, error.metadata, error.retry_after_s)
