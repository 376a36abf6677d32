"""Asks vendors for the end of what this worker's requests left unfinished (rule L15 of docs/ledger.md): so
estimates are put right whether or not apps ask themselves.

What is followed lives in this process: where a worker ends, the app's own reads are left to see the end.
"""

import asyncio
import random
from collections.abc import Sequence

import structlog

from edge import metrics
from edge.admission import Open, UsageState
from edge.grants import GrantView
from edge.kept_objects import KeptObject
from edge.kept_proxy import KeptProxy, Place

log = structlog.get_logger()

# At a time, of one worker; one that comes when there are so many is left to the app.
MAX_FOLLOWED = 1000
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 300.0
# Vendors finish what is in the background, or give it up, within a day.
FOLLOW_FOR_S = 26 * 3600.0


class Follower:
    """Looks at each unfinished object at growing intervals."""

    def __init__(self, proxy: KeptProxy, places: Sequence[Place]) -> None:
        self._proxy = proxy
        self._places = {place.kind: place for place in places}
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, opened: Open) -> None:
        """Takes what a finished request left pending."""
        record = opened.record
        if record.state != UsageState.USAGE_STATE_ESTIMATED:
            return
        for each in record.kept_objects:
            place = self._places.get(each.kind)
            if not each.pending or place is None:
                continue
            if len(self._tasks) >= MAX_FOLLOWED:
                metrics.followed("refused")
                continue
            kept = KeptObject(each.object_id, each.kind, each.provider_id, record.usage_id, True)
            task = asyncio.create_task(
                self._follow(opened.grant, place, kept), name=f"follow {kept.object_id}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stops looking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, grant: GrantView, place: Place, kept: KeptObject) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + FOLLOW_FOR_S
        pause_s = FIRST_PAUSE_S
        outcome = "given_up"
        while outcome == "given_up" and loop.time() < until_s:
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            try:
                outcome = await self._proxy.look(grant, place, kept) or outcome
            except Exception:
                log.exception("follow_failed", object_id=kept.object_id)
        metrics.followed(outcome)
