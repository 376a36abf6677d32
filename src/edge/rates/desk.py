"""Asks the control plane for shares: one call at a time for each customer, for all its buckets that need one,
with everything that requests wait for (L4)."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from edge.control_link import UNKNOWN_OUTCOMES, ControlLink
from edge.rates.ask import Ask
from edge.rates.bucket import STALE_ASK_S, Bucket
from edge.rates.limits import CONCURRENT
from edge.rates.refusal import refusal
from edge.rates.ticket import Ticket
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

log = structlog.get_logger(__name__)

ASK_TIMEOUT_S = 2.0
# How long a request waits while the control plane doesn't answer.
CONTROL_WAIT_S = 1.5
# How long a request waits for others to end where too many are under way at once: their workers give the
# places back a moment later.
PLACE_WAIT_S = 0.5
PLACE_PAUSE_S = 0.04
BACKOFF_FIRST_S = 0.1
BACKOFF_MOST_S = 1.0
# Requests of one customer that may wait on this worker.
MOST_WAITING = 2048
MOST_ASKS = 256


class Waiter:
    """A request that waits for shares."""

    __slots__ = ("asked", "behind", "done", "since_s", "ticket")

    def __init__(
        self, ticket: Ticket, behind: Sequence[Bucket], since_s: float, done: "asyncio.Future[None]"
    ) -> None:
        self.ticket = ticket
        # Buckets that had too little, or a queue already: later requests queue behind it there.
        self.behind = behind
        self.since_s = since_s
        # The ticket has drawn when it is set.
        self.done = done
        # The last call told of it.
        self.asked = False


class Line:
    """What one customer's buckets need. Its task lives while they need anything."""

    __slots__ = ("arrived", "backoff_s", "customer_id", "due", "task", "waiters")

    def __init__(self, customer_id: str) -> None:
        self.customer_id = customer_id
        self.due: dict[Bucket, None] = {}
        self.waiters: deque[Waiter] = deque()
        self.task: asyncio.Task[None] | None = None
        self.backoff_s = BACKOFF_FIRST_S
        # Something that needn't wait for a place to come free.
        self.arrived = asyncio.Event()


class RateDesk:
    """Where buckets ask."""

    def __init__(
        self,
        link: ControlLink,
        incarnation_id: str,
        now_s: Callable[[], float],
        on_closed: Callable[[], None],
    ) -> None:
        self._link = link
        self._incarnation_id = incarnation_id
        self._now_s = now_s
        self._on_closed = on_closed
        self._lines: dict[str, Line] = {}
        self._number = 0

    async def wait(self, ticket: Ticket) -> None:
        """Until the ticket has drawn. Raises RATE_LIMIT_EXCEEDED, and UNAVAILABLE when nobody can tell."""
        line = self._line(ticket.draws[0][0])
        if len(line.waiters) >= MOST_WAITING:
            message = "Too many requests wait for this customer's rate limits."
            raise TollkeeperError(Reason.UNAVAILABLE, message, retry_after_s=1.0)
        now_s = self._now_s()
        behind = [
            bucket
            for bucket, amount in ticket.draws
            if bucket.waiter_count or not bucket.covers(amount, now_s)
        ]
        waiter = Waiter(ticket, behind, now_s, asyncio.get_running_loop().create_future())
        line.waiters.append(waiter)
        for bucket in behind:
            bucket.waiter_count += 1
        if any(bucket.kind != CONCURRENT for bucket in behind):
            line.arrived.set()
        self._wake(line)
        try:
            await waiter.done
        except asyncio.CancelledError:
            if waiter in line.waiters:
                self._leave(line, waiter)
            # Nobody is there to use what may have been drawn this very moment.
            ticket.void()
            raise

    def note(self, bucket: Bucket) -> None:
        """The bucket has something to report or wants more, off the request path."""
        line = self._line(bucket)
        line.due[bucket] = None
        line.arrived.set()
        self._wake(line)

    async def flush(self) -> None:
        """Waits until nothing is to be said any more."""
        while tasks := [line.task for line in self._lines.values() if line.task is not None]:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """Stops asking."""
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _line(self, bucket: Bucket) -> Line:
        customer_id = bucket.key.customer_id
        line = self._lines.get(customer_id)
        if line is None:
            line = self._lines[customer_id] = Line(customer_id)
        return line

    def _wake(self, line: Line) -> None:
        if line.task is None:
            line.task = asyncio.create_task(self._run(line), name=f"rates {line.customer_id}")

    # ---- one line

    async def _run(self, line: Line) -> None:
        try:
            while line.waiters or line.due:
                await self._round(line)
        except Exception:
            log.exception("rates_failed")
        finally:
            for waiter in list(line.waiters):
                self._fail(line, waiter, _unavailable())
            line.task = None
            self._lines.pop(line.customer_id, None)

    async def _round(self, line: Line) -> None:
        line.arrived.clear()
        now_s = self._now_s()
        # What came back meanwhile may do for some.
        self._serve(line, now_s)
        asked = self._asks(line, now_s)
        if not asked:
            line.due.clear()
            await asyncio.sleep(0)
            return
        request = edge_pb2.AcquireSharesRequest(
            incarnation_id=self._incarnation_id,
            customer_id=line.customer_id,
            asks=[ask.message(now_s) for _, ask in asked],
        )
        for bucket, _ in asked:
            # What it needs from here on is for the next ask.
            line.due.pop(bucket, None)
        try:
            answers = await self._link.acquire_shares(request, ASK_TIMEOUT_S)
        except TollkeeperError as error:
            line.due.update(dict.fromkeys(bucket for bucket, _ in asked))
            await self._unanswered(line, error)
            return
        line.backoff_s = BACKOFF_FIRST_S
        now_s = self._now_s()
        for (bucket, ask), answer in zip(asked, answers, strict=True):
            bucket.answered(ask, answer, now_s)
        served = self._serve(line, now_s)
        refused = self._refuse(line, now_s)
        if line.waiters and not served and not refused:
            with suppress(TimeoutError):
                async with asyncio.timeout(PLACE_PAUSE_S):
                    await line.arrived.wait()

    def _asks(self, line: Line, now_s: float) -> list[tuple[Bucket, Ask]]:
        """Of every bucket that needs one; what was asked before and not answered is asked again as it
        was."""
        buckets = dict(line.due)
        lacks: dict[Bucket, list[int]] = {}
        in_hand: dict[Bucket, int] = {}
        for waiter in line.waiters:
            waiter.asked = True
            for bucket, amount in waiter.ticket.draws:
                buckets[bucket] = None
                left = in_hand.get(bucket)
                if left is None:
                    left = bucket.left if now_s < bucket.draws_until_s else 0
                if amount > left:
                    lacks.setdefault(bucket, []).append(amount - max(0, left))
                in_hand[bucket] = max(0, left - amount)
        asked: list[tuple[Bucket, Ask]] = []
        for bucket in buckets:
            if len(asked) == MOST_ASKS:
                break
            waiting = lacks.get(bucket, ())
            pending = bucket.pending
            if pending is not None and now_s - pending.sent_at_s > STALE_ASK_S:
                bucket.forget()
                pending = None
            if pending is not None:
                # Whoever joined since then is in the next ask.
                for waiter in line.waiters:
                    waiter.asked = False
            elif bucket in line.due or waiting:
                self._number += 1
                pending = bucket.ask(self._number, waiting, now_s)
            else:
                continue
            asked.append((bucket, pending))
        return asked

    def _serve(self, line: Line, now_s: float) -> int:
        """Lets those through that have all they need now, in order."""
        served = 0
        for waiter in list(line.waiters):
            if waiter.done.done():
                self._leave(line, waiter)
            elif waiter.ticket.draw(now_s):
                self._leave(line, waiter)
                waiter.done.set_result(None)
                served += 1
        return served

    def _refuse(self, line: Line, now_s: float) -> int:
        """Turns those away that the answer left without; the rest go on waiting."""
        refused = 0
        for waiter in list(line.waiters):
            if not waiter.asked:
                continue
            for bucket, amount in waiter.ticket.draws:
                if bucket.covers(amount, now_s) or bucket.retry_at_s <= now_s:
                    continue
                if bucket.kind == CONCURRENT and now_s - waiter.since_s < PLACE_WAIT_S:
                    continue
                bucket.refuse(amount)
                self._fail(line, waiter, refusal(bucket, amount, waiter.ticket.model, now_s))
                refused += 1
                break
        return refused

    async def _unanswered(self, line: Line, error: TollkeeperError) -> None:
        """The same again, later; nothing is assumed about what became of it."""
        if error.reason not in UNKNOWN_OUTCOMES:
            log.error("rates_refused", reason=error.reason_name, message=error.message)
        if error.reason == Reason.INCARNATION_CLOSED:
            self._on_closed()
        now_s = self._now_s()
        for waiter in [w for w in line.waiters if now_s - w.since_s >= CONTROL_WAIT_S]:
            self._fail(line, waiter, _unavailable())
        await asyncio.sleep(line.backoff_s)
        most_s = BACKOFF_MOST_S if not line.waiters else BACKOFF_FIRST_S * 4
        line.backoff_s = min(most_s, line.backoff_s * 2)

    def _fail(self, line: Line, waiter: Waiter, error: TollkeeperError) -> None:
        self._leave(line, waiter)
        if not waiter.done.done():
            waiter.done.set_exception(error)

    @staticmethod
    def _leave(line: Line, waiter: Waiter) -> None:
        line.waiters.remove(waiter)
        for bucket in waiter.behind:
            bucket.waiter_count -= 1


def _unavailable() -> TollkeeperError:
    message = "The control plane can't be reached, and this worker's share of the rate limit has ended."
    return TollkeeperError(Reason.UNAVAILABLE, message, retry_after_s=2.0)
