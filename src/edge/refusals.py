"""Refused requests for the request log: the first of each key and minute one by one, the rest as a count.

Best effort: they are told in the background, nobody waits for it, and what is lost with the worker is lost.
The money side never needs them.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from edge import metrics
from edge.control_link import ControlLink
from edge.errors import SHAPES
from edge.grants import GrantView
from edge.records import UsageIds
from tollkeeper.errors import TollkeeperError
from tollkeeper.v1 import edge_pb2

log = structlog.get_logger(__name__)

# Of one key in one minute, per worker.
MOST_PER_KEY = 10
# Keys and reasons told apart in one minute; refusals of more are only in the metrics.
MOST_KEYS = 10_000
# Waiting to be told.
MOST_WAITING = 5_000
BATCH = 500


class Refusals:
    """Collects refusals, and tells the control plane about once a second."""

    def __init__(self, link: ControlLink, ids: UsageIds, wall_s: Callable[[], float]) -> None:
        self._link = link
        self._ids = ids
        self._wall_s = wall_s
        self._minute = 0
        # Logged in this minute, by key.
        self._logged: dict[str, int] = {}
        # The first one left out in this minute, by key and reason; it stands for all that were.
        self._left_out: dict[tuple[str, int], edge_pb2.RefusedRequest] = {}
        self._waiting: deque[edge_pb2.RefusedRequest] = deque()
        self._task: asyncio.Task[None] | None = None

    def note(
        self,
        grant: GrantView,
        error: TollkeeperError,
        *,
        requested_model: str = "",
        stream: bool = False,
        end_user: str = "",
        tags: tuple[str, ...] = (),
        latency_s: float = 0.0,
    ) -> str:
        """One more refusal. Returns the id under which it will be found in the log; empty when it is only
        counted."""
        now_s = self._wall_s()
        self._turn(int(now_s // 60))
        logged = self._logged.get(grant.key_id, 0)
        own = logged < MOST_PER_KEY
        if not own:
            left_out = self._left_out.get((grant.key_id, error.reason))
            if left_out is not None:
                left_out.omitted_count += 1
                return ""
        if len(self._left_out) >= MOST_KEYS or (logged == 0 and len(self._logged) >= MOST_KEYS):
            metrics.refusals_not_logged(1)
            return ""
        refusal = edge_pb2.RefusedRequest(
            usage_id=self._ids.make(),
            customer_id=grant.customer_id,
            key_id=grant.key_id,
            team_id=grant.team_id,
            user_id=grant.user_id,
            router_id=grant.router_id,
            end_user=end_user,
            tags=tags,
            requested_model=requested_model,
            stream=stream,
            status=SHAPES[error.reason].status,
            reason=error.reason_name,
            scope=error.metadata.get("scope", ""),
            latency_ms=int(latency_s * 1000),
        )
        refusal.time.FromNanoseconds(int(now_s * 1e9))
        if not own:
            self._left_out[grant.key_id, error.reason] = refusal
            return ""
        self._logged[grant.key_id] = logged + 1
        self._wait([refusal])
        return refusal.usage_id

    def tick(self) -> None:
        """About once a second: tells what waits, in the background, one call at a time."""
        self._turn(int(self._wall_s() // 60))
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._tell(), name="refusals")

    async def flush(self) -> None:
        """Tells all there is, once."""
        self._turn(-1)
        await self.close()
        await self._tell()

    async def close(self) -> None:
        """Waits for a call under way."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def _turn(self, minute: int) -> None:
        """The first look in a new minute sends off what the last one left out."""
        if minute != self._minute:
            self._minute = minute
            self._logged.clear()
            left_out = list(self._left_out.values())
            self._left_out.clear()
            self._wait(left_out)

    def _wait(self, refusals: list[edge_pb2.RefusedRequest]) -> None:
        room = max(0, MOST_WAITING - len(self._waiting))
        self._waiting.extend(refusals[:room])
        if len(refusals) > room:
            metrics.refusals_not_logged(sum(1 + each.omitted_count for each in refusals[room:]))

    async def _tell(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                await self._link.report_refusals(edge_pb2.ReportRefusalsRequest(refusals=batch))
            except TollkeeperError as error:
                # Told again by their ids, none is logged twice.
                log.warning("refusals_not_told", reason=error.reason_name)
                self._wait(batch)
                return
