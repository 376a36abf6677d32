"""Asks vendors for the end of what requests left unfinished (rule L15 of docs/ledger.md), so that estimates
are put right whether or not apps ask themselves.

What is unfinished is known to the control plane, which hands out each object when it is time to look: to this
worker or to another one, whichever made it and whatever became of that one. Nothing is remembered here.
"""

import asyncio
import random
from collections.abc import Sequence

import structlog

from edge import metrics
from edge.admission import Ledger, Open, UsageState
from edge.kept_objects import Pending
from edge.kept_proxy import KeptProxy, Place
from edge.upstream.failures import TransportError
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.tasks import end

log = structlog.get_logger()

# Looks of one worker at a time; more are left to others, and to the next call.
MAX_LOOKS = 100
# From making something to the first call, a little after it is due; and between two calls at least.
SHORTEST_PAUSE_S = 2.2
# A batch may have to be summed up from its results.
LOOK_TIMEOUT_S = 120.0
# Vendors finish what is in the background, or give it up, within a day.
FOLLOW_FOR_S = 26 * 3600.0

REPORTED = "reported"
UNFINISHED = "unfinished"
# Why an end won't be known; the reasons of estimates from then on.
END_UNSEEN = "end_unseen"
PROVIDER_DELETED = "provider_deleted"
_AWAY = frozenset({Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED})


class Follower:
    """One of each worker. Looks for what is due, and comes back when more is, or when this worker has left
    something unfinished; else once in a while."""

    def __init__(self, ledger: Ledger, proxy: KeptProxy, places: Sequence[Place], interval_s: float) -> None:
        self._ledger = ledger
        self._proxy = proxy
        self._places = {place.kind: place for place in places}
        self._interval_s = interval_s
        self._made = asyncio.Event()
        self._looks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Asks at once, and then over and over."""
        self._task = asyncio.create_task(self._run(), name="follower")

    async def close(self) -> None:
        """Stops looking. Other workers go on with it."""
        await end(self._task)
        looks = list(self._looks.values())
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)

    def follow(self, opened: Open) -> None:
        """Has this worker ask soon, if a finished request left something unfinished."""
        record = opened.record
        if record.state == UsageState.USAGE_STATE_ESTIMATED and any(
            kept.pending and kept.kind in self._places for kept in record.kept_objects
        ):
            self._made.set()

    async def _run(self) -> None:
        while True:
            self._made.clear()
            pause_s = self._interval_s
            try:
                pause_s = min(pause_s, await self._claim())
            except TollkeeperError as error:
                log.warning("nothing to follow known", error=str(error))
            except Exception:
                log.exception("following_failed")
            await self._pause(max(pause_s, SHORTEST_PAUSE_S))

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s * random.uniform(1, 1.3)):
                await self._made.wait()
        except TimeoutError:
            return
        await asyncio.sleep(SHORTEST_PAUSE_S * random.uniform(1, 1.3))

    async def _claim(self) -> float:
        """Begins to look at what is due; returns how long nothing else will be. Raises UNAVAILABLE."""
        free = MAX_LOOKS - len(self._looks)
        if free <= 0:
            return SHORTEST_PAUSE_S
        claimed, next_in_s = await self._ledger.kept_objects.claim(tuple(self._places), free)
        for pending in claimed:
            named = pending.grant.customer_id, pending.kept.object_id
            # One that takes long is due again before its look has ended.
            if named not in self._looks:
                look = self._look(named, pending)
                self._looks[named] = asyncio.create_task(look, name=f"look at {named[1]}")
        return next_in_s

    async def _look(self, named: tuple[str, str], pending: Pending) -> None:
        outcome = UNFINISHED
        try:
            outcome = await self._outcome(pending)
            if outcome not in (REPORTED, UNFINISHED):
                await self._ledger.kept_objects.leave(*named, outcome)
        except TollkeeperError as error:
            # The ledger didn't hear of it: the object comes again.
            outcome = UNFINISHED
            log.warning("end not reported", object_id=named[1], error=str(error))
        finally:
            del self._looks[named]
        metrics.followed(outcome)

    async def _outcome(self, pending: Pending) -> str:
        if not pending.grant.rules:
            return PROVIDER_DELETED
        told = None
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                told = await self._proxy.look(pending.grant, self._places[pending.kept.kind], pending.kept)
        except (TransportError, TimeoutError, TollkeeperError) as error:
            if isinstance(error, TollkeeperError) and error.reason in _AWAY:
                raise
            log.warning("end not seen", object_id=pending.kept.object_id, error=repr(error))
        except Exception:
            log.exception("look_failed", object_id=pending.kept.object_id)
        if told is None and pending.age_s > FOLLOW_FOR_S:
            return END_UNSEEN
        return told or UNFINISHED
