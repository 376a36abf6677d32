"""All rates and concurrency limits of one worker. The request path asks here, once per request that is held
to any (L4)."""

from collections.abc import Callable

from edge.control_link import ControlLink
from edge.rates.bucket import Bucket
from edge.rates.desk import RateDesk
from edge.rates.estimate import Likely
from edge.rates.limits import TOKENS, GrantLimits, Limit, MeterKey
from edge.rates.refusal import refusal, too_large
from edge.rates.ticket import Ticket
from tollkeeper.errors import Reason, TollkeeperError

# Limits with a share, a refusal or something to report on this worker.
MOST_BUCKETS = 100_000


class RateBook:
    """Buckets by what they are for."""

    def __init__(
        self,
        link: ControlLink,
        incarnation_id: str,
        now_s: Callable[[], float],
        on_closed: Callable[[], None],
    ) -> None:
        self._now_s = now_s
        self._buckets: dict[MeterKey, Bucket] = {}
        self._desk = RateDesk(link, incarnation_id, now_s, on_closed)

    def __len__(self) -> int:
        return len(self._buckets)

    async def admit(self, limits: GrantLimits, model: str, tokens: Likely) -> Ticket:
        """Takes one request from every limit it is held to. Doesn't suspend when the shares in hand cover
        it.

        Raises RATE_LIMIT_EXCEEDED, REQUEST_EXCEEDS_RATE_LIMIT (final), UNAVAILABLE; then nothing is taken.
        """
        now_s = self._now_s()
        draws = []
        queued = False
        for limit in limits.of(model):
            amount = tokens.of(limit.most) if limit.key.kind == TOKENS else 1
            if not amount:
                continue
            if amount > limit.most:
                raise too_large(limit, amount, model)
            bucket = self._buckets.get(limit.key) or self._new(limit, now_s)
            if bucket.most != limit.most:
                bucket.change(limit.most)
            if bucket.refuses(amount, now_s) and not bucket.covers(amount, now_s):
                raise refusal(bucket, amount, model, now_s)
            queued = queued or bucket.waiter_count > 0
            draws.append((bucket, amount))
        ticket = Ticket(draws, model, self._now_s, self._ended)
        if queued or not ticket.draw(now_s):
            await self._desk.wait(ticket)
        for bucket, _ in draws:
            if bucket.runs_low():
                self._desk.note(bucket)
        return ticket

    def tick(self) -> None:
        """About once a second: renews what ends soon, gives back what nobody uses, forgets the rest."""
        now_s = self._now_s()
        for key, bucket in list(self._buckets.items()):
            if bucket.empty and now_s >= bucket.refused_until_s:
                del self._buckets[key]
            elif bucket.due(now_s):
                self._desk.note(bucket)

    async def drain(self) -> None:
        """After the last request: reports and gives back everything. May be cancelled: shares end by
        themselves."""
        # An ask that is under way may still bring something.
        for _ in range(2):
            for bucket in self._buckets.values():
                if not bucket.empty:
                    bucket.retired = True
                    self._desk.note(bucket)
            await self._desk.flush()

    async def close(self) -> None:
        """Stops what runs in the background."""
        await self._desk.close()

    def _new(self, limit: Limit, now_s: float) -> Bucket:
        if len(self._buckets) >= MOST_BUCKETS:
            raise TollkeeperError(Reason.UNAVAILABLE, "Too many rate limits are in use.", retry_after_s=1.0)
        bucket = self._buckets[limit.key] = Bucket(limit, now_s)
        return bucket

    def _ended(self, bucket: Bucket) -> Bucket:
        current = self._buckets.setdefault(bucket.key, bucket)
        if current.gives_back():
            self._desk.note(current)
        return current
