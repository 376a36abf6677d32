"""The desk: requests wait here while their lease is fetched. One acquire in flight per key, first come, first
served (L5, L9, L11)."""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf

import structlog

from edge.clock import Clock
from edge.control_link import UNKNOWN_OUTCOMES, ControlLink
from edge.grant_cache import KEY_REFUSALS, SILENT_AFTER_S, GrantCache, unavailable
from edge.grants import GrantView
from edge.lease_book import LeaseBook
from edge.leases import Ask, Lease, Purse
from edge.windows import duration_of
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

log = structlog.get_logger(__name__)

# On top of what the control plane may wait.
ACQUIRE_MARGIN_S = 2.0
# A request waits no longer for a control plane that can't be reached.
CONTROL_WAIT_S = 1.5
BACKOFF_FIRST_S = 0.1
BACKOFF_MOST_S = 5.0
HELD_PAUSE_S = 0.05
STALE_PAUSE_S = 0.05
MOST_WAITERS = 2000
MOST_REPORTS = 100
REFUSED_FOR_S = 60.0


class Waiter:
    """One request that waits for its hold."""

    __slots__ = ("future", "grant", "hold_nanousd", "only", "since_s", "timer", "until_s")

    def __init__(
        self, grant: GrantView, hold_nanousd: int, only: Lease | None, since_s: float, until_s: float
    ) -> None:
        self.grant = grant
        self.hold_nanousd = hold_nanousd
        # A further attempt of a request must be held by the lease its record names.
        self.only = only
        self.since_s = since_s
        self.until_s = until_s
        self.future: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None


class Line:
    """What waits for one key."""

    __slots__ = ("backoff_s", "down", "grant", "next_window", "refill", "task", "waiters")

    def __init__(self, grant: GrantView) -> None:
        self.grant = grant
        self.waiters: deque[Waiter] = deque()
        self.refill = False
        self.next_window = False
        # The control plane couldn't be reached at the last try.
        self.down = False
        self.backoff_s = BACKOFF_FIRST_S
        self.task: asyncio.Task[None] | None = None


class LeaseDesk:
    """Fetches leases for the book, and lets requests wait for them.

    `registered` is set while the Watch stream is registered: connecting closes leases it doesn't name, so
    none is opened before (L5).
    """

    def __init__(
        self,
        book: LeaseBook,
        link: ControlLink,
        grants: GrantCache,
        clock: Clock,
        registered: asyncio.Event,
        *,
        hold_wait_s: float,
        on_urgent: Callable[[], None],
        on_closed: Callable[[], None],
    ) -> None:
        self._book = book
        self._link = link
        self._grants = grants
        self._clock = clock
        self._registered = registered
        self._hold_wait_s = hold_wait_s
        self._on_urgent = on_urgent
        self._on_closed = on_closed
        self._lines: dict[str, Line] = {}
        # Requests that wait, over all keys: while there are any, what is finished settles at once (L11).
        self.waiting_count = 0

    # ---- what the request path calls

    async def wait(self, grant: GrantView, hold_nanousd: int, only: Lease | None = None) -> Lease:
        """A lease that has drawn the hold for the caller.

        Raises INSUFFICIENT_QUOTA, BUDGET_HELD, UNAVAILABLE, INVALID_API_KEY or CUSTOMER_SUSPENDED; then
        nothing is held.
        """
        now_s = self._clock.now_s()
        purse = self._purse(grant)
        refused = self._book.refusal(purse, hold_nanousd, now_s)
        if refused is not None:
            raise _again(refused)
        line = self._line(grant)
        if len(line.waiters) >= MOST_WAITERS:
            raise _held()
        waiter = Waiter(grant, hold_nanousd, only, now_s, now_s + self._hold_wait_s)
        line.waiters.append(waiter)
        self.waiting_count += 1
        self._arm(line, waiter, min(CONTROL_WAIT_S, self._hold_wait_s + ACQUIRE_MARGIN_S))
        self._on_urgent()
        self._work(line)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            self._abandon(line, waiter)
            raise
        finally:
            self.waiting_count -= 1
            if waiter.timer is not None:
                waiter.timer.cancel()

    def refill(self, grant: GrantView, lease: Lease) -> None:
        """Fetches more ahead of need, in the background."""
        self._book.refill_sent(lease)
        line = self._line(grant)
        line.refill = True
        self._work(line)

    def turn(self, purse: Purse) -> None:
        """Fetches the lease of the windows that come next, in the background (L7)."""
        line = self._lines.get(purse.key_id)
        if line is not None:
            line.next_window = True
            self._work(line)

    def released(self, key_id: str) -> None:
        """Something came back to a lease: it may be enough for who waits."""
        line = self._lines.get(key_id)
        if line is not None and line.waiters:
            self._serve(line)

    def tidy(self) -> None:
        """Forgets keys that nothing is held or asked for."""
        over = [key_id for key_id, line in self._lines.items() if line.task is None]
        for key_id in over:
            if key_id not in self._book.purses:
                del self._lines[key_id]

    async def close(self) -> None:
        """Stops asking, and fails whoever still waits."""
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for line in self._lines.values():
            self._fail_all(line, unavailable())

    # ---- waiting

    def _purse(self, grant: GrantView) -> Purse:
        return self._book.purse(
            grant.customer_id, grant.key_id, grant.team_id, grant.user_id, grant.chain_version
        )

    def _line(self, grant: GrantView) -> Line:
        line = self._lines.get(grant.key_id)
        if line is None:
            line = self._lines[grant.key_id] = Line(grant)
        elif grant.version >= line.grant.version:
            line.grant = grant
        return line

    def _arm(self, line: Line, waiter: Waiter, delay_s: float) -> None:
        waiter.timer = asyncio.get_running_loop().call_later(delay_s, self._time_up, line, waiter)

    def _time_up(self, line: Line, waiter: Waiter) -> None:
        """Either the control plane is away, or even the longest wait is over."""
        if waiter.future.done():
            return
        now_s = self._clock.now_s()
        over_s = waiter.until_s + ACQUIRE_MARGIN_S - now_s
        if line.down or now_s - self._grants.heard_at_s > SILENT_AFTER_S:
            self._fail(line, waiter, unavailable())
        elif over_s <= 0:
            self._fail(line, waiter, _held())
        else:
            self._arm(line, waiter, max(0.05, min(CONTROL_WAIT_S, over_s)))

    def _fail(self, line: Line, waiter: Waiter, error: TollkeeperError) -> None:
        line.waiters.remove(waiter)
        # One that was cancelled in this turn of the loop hasn't noticed yet.
        if not waiter.future.done():
            waiter.future.set_exception(error)

    def _fail_all(self, line: Line, error: TollkeeperError) -> None:
        while line.waiters:
            waiter = line.waiters.popleft()
            if not waiter.future.done():
                waiter.future.set_exception(_again(error))

    def _fail_secret(self, line: Line, key_hash: bytes, error: TollkeeperError) -> None:
        """One of a key's secrets is over; who came with another, after a rotation, goes on waiting."""
        for waiter in [w for w in line.waiters if w.grant.key_hash == key_hash]:
            self._fail(line, waiter, _again(error))
        if line.waiters:
            line.grant = line.waiters[0].grant

    def _abandon(self, line: Line, waiter: Waiter) -> None:
        """The client went away: its place is free, and so is what was already drawn for it."""
        if waiter in line.waiters:
            line.waiters.remove(waiter)
        elif not waiter.future.cancelled() and waiter.future.exception() is None:
            lease = waiter.future.result()
            self._book.undraw(lease, waiter.hold_nanousd, self._clock.now_s())
            self._serve(line)
            self._trim(lease)

    def _serve(self, line: Line) -> None:
        """Draws for who waits, in order, as far as the lease in hand covers it."""
        now_s = self._clock.now_s()
        purse = self._purse(line.grant)
        while line.waiters:
            waiter = line.waiters[0]
            if waiter.future.done():
                # Cancelled in this turn of the loop: it takes nothing along.
                line.waiters.popleft()
                continue
            if waiter.only is not None and not self._book.in_hand(waiter.only, now_s):
                self._fail(line, waiter, _held())
                continue
            lease = self._book.draw(purse, waiter.hold_nanousd, now_s)
            if lease is None:
                return
            line.waiters.popleft()
            waiter.future.set_result(lease)

    def _trim(self, lease: Lease) -> None:
        """What was granted to the hold for requests that went away is for others."""
        if self._book.trim(lease, self._clock.now_s()):
            self._on_urgent()

    # ---- asking

    def _work(self, line: Line) -> None:
        if line.task is None:
            line.task = asyncio.create_task(self._run(line), name="lease")

    async def _run(self, line: Line) -> None:
        """Asks while anybody waits, a refill is due, or nobody knows what became of a lease asked for."""
        try:
            while line.waiters or line.refill or line.next_window or self._unknown(line):
                await self._ask(line)
        except Exception:
            log.exception("lease_desk_failed", key_id=line.grant.key_id)
            self._fail_all(line, TollkeeperError(Reason.INTERNAL, "The lease couldn't be fetched."))
            line.refill = line.next_window = False
        finally:
            line.task = None

    def _unknown(self, line: Line) -> bool:
        purse = self._book.purses.get(line.grant.key_id)
        return purse is not None and purse.opening is not None and purse.opening.unknown

    async def _ask(self, line: Line) -> None:
        if not self._registered.is_set():
            line.down = True
            await self._registered.wait()
            line.down = False
        purse = self._purse(line.grant)
        self._serve(line)
        now_s = self._clock.now_s()
        line.next_window = line.next_window and purse.following is None
        next_window = line.next_window and not line.waiters
        if not (line.waiters or line.refill or line.next_window or self._unknown(line)):
            return
        ask = self._book.ask(purse, [w.hold_nanousd for w in line.waiters], now_s, next_window=next_window)
        line.refill = False
        line.next_window = line.next_window and not next_window
        self._book.sent(ask, now_s)
        try:
            answer = await self._send(line, ask, now_s)
        except TollkeeperError as error:
            await self._refused(line, purse, ask, error)
            return
        line.down, line.backoff_s = False, BACKOFF_FIRST_S
        now_s = self._clock.now_s()
        self._book.granted(ask, answer, now_s, self._clock.wall_s())
        self._serve(line)
        self._trim(ask.lease)

    async def _send(self, line: Line, ask: Ask, now_s: float) -> edge_pb2.AcquireLeaseResponse:
        purse = ask.lease.purse
        wait_s = max(0.0, line.waiters[0].until_s - now_s) if line.waiters else 0.0
        request = edge_pb2.AcquireLeaseRequest(
            incarnation_id=self._book.incarnation_id,
            customer_id=purse.customer_id,
            key_id=purse.key_id,
            lease_id=ask.lease.lease_id,
            top_up=ask.top_up,
            chain_version=purse.chain_version,
            holds_nanousd=ask.holds_nanousd,
            wanted_nanousd=ask.wanted_nanousd,
            wait=duration_of(wait_s),
            reports=self._book.reports_of(purse.customer_id, MOST_REPORTS),
            next_window=ask.lease.next_window and ask.top_up == 1,
        )
        return await self._link.acquire(request, wait_s + ACQUIRE_MARGIN_S)

    # ---- refusals

    async def _refused(self, line: Line, purse: Purse, ask: Ask, error: TollkeeperError) -> None:
        if error.reason in UNKNOWN_OUTCOMES:
            await self._unanswered(line)
            return
        line.down, line.backoff_s = False, BACKOFF_FIRST_S
        if error.reason == Reason.LEASE_CLOSED:
            self._book.lost(ask)
            return
        if error.reason == Reason.INSUFFICIENT_QUOTA:
            self._insufficient(line, purse, ask, error)
        self._book.refused(ask)
        if error.reason == Reason.BUDGET_HELD:
            await self._held_by_others(line, error)
        elif error.reason == Reason.GRANT_STALE:
            await self._stale(line)
        elif error.reason != Reason.INSUFFICIENT_QUOTA:
            self._never(line, error)

    async def _unanswered(self, line: Line) -> None:
        """The same question again, later; nothing is assumed about the answer."""
        line.down = True
        now_s = self._clock.now_s()
        for waiter in [w for w in line.waiters if now_s - w.since_s >= CONTROL_WAIT_S]:
            self._fail(line, waiter, unavailable())
        await asyncio.sleep(line.backoff_s)
        most_s = BACKOFF_MOST_S if not line.waiters else BACKOFF_FIRST_S * 4
        line.backoff_s = min(most_s, line.backoff_s * 2)

    def _insufficient(self, line: Line, purse: Purse, ask: Ask, error: TollkeeperError) -> None:
        """Final for the first in line, and for all that ask for as much."""
        if not ask.holds_nanousd:
            return
        now_s = self._clock.now_s()
        fits_nanousd = _fits_nanousd(error, ask.holds_nanousd[0])
        until_s = now_s + _resets_in_s(error, self._clock.wall_s())
        self._book.refuse(purse, error, fits_nanousd, now_s, until_s)
        for waiter in [w for w in line.waiters if w.hold_nanousd > fits_nanousd]:
            self._fail(line, waiter, _again(error))

    async def _held_by_others(self, line: Line, error: TollkeeperError) -> None:
        """Whose time is up is told so; the rest go on waiting."""
        now_s = self._clock.now_s()
        late = [w for w in line.waiters if now_s >= w.until_s - HELD_PAUSE_S]
        for waiter in late:
            self._fail(line, waiter, _held(error))
        if not late:
            await asyncio.sleep(HELD_PAUSE_S)

    async def _stale(self, line: Line) -> None:
        """The chain changed: a new grant, then a new lease (L3)."""
        stale_version = line.grant.chain_version
        try:
            line.grant = await self._grants.refetch(line.grant)
        except TollkeeperError as error:
            if error.reason in KEY_REFUSALS:
                self._fail_secret(line, line.grant.key_hash, error)
            else:
                await self._unanswered(line)
            return
        if line.grant.chain_version == stale_version:
            await asyncio.sleep(STALE_PAUSE_S)

    def _never(self, line: Line, error: TollkeeperError) -> None:
        """What no other try can mend."""
        if error.reason == Reason.INCARNATION_CLOSED:
            self._on_closed()
        if error.reason in KEY_REFUSALS:
            self._fail_all(line, error)
            return
        log.error("lease_refused", reason=error.reason_name, message=error.message)
        self._fail_all(line, unavailable())


def _fits_nanousd(error: TollkeeperError, refused_nanousd: int) -> int:
    """The largest hold that would have fitted; below the refused one, whatever the answer says."""
    text = error.metadata.get("fits_nanousd", "")
    fits_nanousd = int(text) if text.lstrip("-").isdigit() else 0
    return min(fits_nanousd, refused_nanousd - 1)


def _resets_in_s(error: TollkeeperError, wall_s: float) -> float:
    """How long the refusal stands by itself. Without a reset time for ever: a push will end it."""
    text = error.metadata.get("reset_time", "")
    if not text:
        return inf
    try:
        resets = datetime.fromisoformat(text)
    except ValueError:
        return REFUSED_FOR_S
    if resets.tzinfo is None:
        resets = resets.replace(tzinfo=UTC)
    return resets.timestamp() - wall_s


def _again(error: TollkeeperError) -> TollkeeperError:
    """The same refusal as a new exception: a raised one carries its traceback with it."""
    return TollkeeperError(error.reason, error.message, error.metadata, error.retry_after_s)


def _held(error: TollkeeperError | None = None) -> TollkeeperError:
    message = "What is left of the budget is held by requests under way."
    return TollkeeperError(Reason.BUDGET_HELD, message, error.metadata if error else None, retry_after_s=1.0)
