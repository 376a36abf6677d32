"""Admission: what the request path asks of the ledger. One `Ledger` per worker; the routes know nothing
below it.

A request, in order:

    grant = await ledger.authorize(secret)
    price = ledger.price(grant, rule, model)              # None: not priced
    opened = await ledger.begin(grant, AttemptPlan(rule, model, price, hold), ...)
    try:
        ... send; per attempt: opened.end_attempt(UsageState.USAGE_STATE_REPORTED, status=200, usage=counts)
        ... before a further one: await ledger.next_attempt(opened, plan)
    finally:
        ledger.finish(opened)

`begin` returns only once the hold is drawn and the begin is in the journal; from then on `finish` must run,
whatever happens, so nothing may stand between `begin` and the `try`. An `Open` that is dropped without
`finish` is finished when it is collected, as an estimate, and counted in `abandoned_count`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import structlog

from edge.clock import Clock
from edge.control_link import ControlLink
from edge.grant_cache import GrantCache, GrantSettings, unavailable
from edge.grants import GrantView, RuleView
from edge.journal import Journal, JournalSettings
from edge.kept_objects import KeptObjects
from edge.lease_book import LeaseBook
from edge.lease_desk import LeaseDesk
from edge.leases import Lease
from edge.missing_models import MissingModels
from edge.prices import PriceBook, PriceView
from edge.rates.book import RateBook
from edge.rates.estimate import used_tokens
from edge.records import AttemptPlan, Open, UsageIds, UsageState
from edge.refusals import Refusals
from edge.replay import Replayer
from edge.settlement import Finished, Settler
from edge.watch import Watch
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import uuid7

__all__ = ["AttemptPlan", "Ledger", "LedgerSettings", "Open", "UsageState"]

log = structlog.get_logger(__name__)

TICK_S = 1.0
CLOSED = "closed"
JOURNAL_DIRECTORY = "journal"
# How long a start waits for the control plane before it goes on without.
CONNECT_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Times, sizes and counts of the edge's ledger side; rules of docs/ledger.md in brackets."""

    # Holds journal/<incarnation>/.
    data_dir: Path
    # Host and worker, for people.
    edge_name: str = "edge"
    # How long a request may wait while only holds are in the way (L11).
    hold_wait_s: float = 5.0
    # How long cached grants are served after the last heartbeat (L27).
    grant_grace_s: float = 600.0
    cached_grants: int = 50_000
    negative_ttl_s: float = 10.0
    settle_interval_s: float = 0.5
    settle_batch: int = 500
    # Finished requests that may wait to be settled; beyond it new ones are refused.
    settle_backlog: int = 100_000
    fsync_interval_s: float = 0.1
    segment_bytes: int = 8 * 1024 * 1024
    # Acknowledged segments are kept so long, and so many bytes of them (L21).
    keep_segments_s: float = 86_400.0
    keep_segments_bytes: int = 1 << 30
    adopt_interval_s: float = 10.0
    # A limited lease that nothing was drawn from for so long is returned.
    idle_lease_s: float = 30.0


class Ledger:
    """Grants, leases, journal and settlement of one worker: one incarnation."""

    def __init__(
        self,
        settings: LedgerSettings,
        channel: grpc.aio.Channel,
        credential: str,
        *,
        clock: Clock | None = None,
        on_push_lag: Callable[[float], None] = lambda lag_s: None,
    ) -> None:
        """`channel` leads to the control plane (`control_link.open_channel`) and stays the caller's to close;
        `credential` is the edge's secret. `on_push_lag` gets the seconds from each change of a customer to
        its arrival here. Must be made inside the running event loop.
        """
        self.incarnation_id = str(uuid7())
        self.abandoned_count = 0
        self._settings = settings
        self._clock = clock = clock or Clock()
        self._now_s, self._wall_s = clock.now_s, clock.wall_s
        self.link = ControlLink(channel, credential)
        self.prices = PriceBook()
        self.missing_models = MissingModels(self.link)
        self._ids = UsageIds()
        self.kept_objects = KeptObjects(self.link, clock)
        self.refusals = Refusals(self.link, self._ids, clock.wall_s)
        self.book = LeaseBook(self.incarnation_id, settings.idle_lease_s)
        self.grants = GrantCache(
            self.link,
            clock,
            GrantSettings(settings.grant_grace_s, settings.cached_grants, settings.negative_ttl_s),
            self._key_dropped,
        )
        self.rates = RateBook(self.link, self.incarnation_id, clock.now_s, self._incarnation_closed)
        self._journal_settings = JournalSettings(
            settings.segment_bytes,
            settings.fsync_interval_s,
            settings.keep_segments_s,
            settings.keep_segments_bytes,
        )
        self._root = settings.data_dir / JOURNAL_DIRECTORY
        self._registered = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        # Set when the control plane took this worker for dead: the process must be replaced.
        self.failed = asyncio.Event()
        self._authorize = self.grants.authorize
        self._purses = self.book.purses
        self._problem: str | None = "starting"
        self._done = False
        self._tick_task: asyncio.Task[None] | None = None
        self._on_push_lag = on_push_lag

    # ---- life

    async def start(self) -> None:
        """Opens the journal, connects Watch and adopts what dead workers left.

        Raises OSError when the journal can't be opened. A control plane that is away is no error: `ready`
        tells.
        """
        settings = self._settings
        self.journal = Journal(self._root, self.incarnation_id, self._journal_settings)
        self.settler = Settler(
            self.link,
            self.book,
            self.journal,
            interval_s=settings.settle_interval_s,
            batch=settings.settle_batch,
            backlog=settings.settle_backlog,
            on_closed=self._incarnation_closed,
        )
        self.desk = LeaseDesk(
            self.book,
            self.link,
            self.grants,
            self._clock,
            self._registered,
            hold_wait_s=settings.hold_wait_s,
            on_urgent=self.settler.urge,
            on_closed=self._incarnation_closed,
        )
        self.replayer = Replayer(
            self._root, self.link, self._journal_settings, interval_s=settings.adopt_interval_s
        )
        self.watch = Watch(
            self.link,
            self._clock,
            self.book,
            self.grants,
            self.prices,
            self._registered,
            edge_name=settings.edge_name,
            on_hello=self.replayer.hello,
            on_recall=self.settler.urge,
            on_closed=self._incarnation_closed,
            on_push_lag=self._on_push_lag,
        )
        self.journal.start()
        self.settler.start()
        self.replayer.start(self.journal.path)
        self.watch.start()
        self._tick_task = asyncio.create_task(self._tick_forever(), name="ledger tick")
        try:
            async with asyncio.timeout(CONNECT_WAIT_S):
                await self.watch.ever_registered.wait()
        except TimeoutError:
            log.warning("control_away_at_start")
        self._problem = None

    def ready(self) -> str | None:
        """None when requests can be admitted, else why not, in a few words for /readyz."""
        if self._problem is not None:
            return self._problem
        if not self.watch.ever_registered.is_set():
            return "no connection to the control plane yet"
        if not self.journal.healthy:
            return "the journal can't be written"
        if self.settler.backlogged:
            return "too many requests wait to be settled"
        return None

    async def drain(self, timeout_s: float) -> bool:
        """After the last request finished: settles everything, returns all leases and closes the incarnation.

        False when that couldn't be done in time; the next worker that starts replays the rest.
        """
        self._problem = "draining"
        for purse in tuple(self._purses.values()):
            self.book.retire_all(purse)
        try:
            async with asyncio.timeout(timeout_s):
                if not await self.settler.flush(timeout_s) or self.journal.open_count:
                    return False
                await self.refusals.flush()
                await self.link.close_incarnation(self.incarnation_id, self.journal.last_sequence)
                self._done = True
                # Last: shares that aren't given back end by themselves.
                await self.rates.drain()
        except (TimeoutError, TollkeeperError) as error:
            log.warning("drain_incomplete", error=repr(error))
        return self._done

    async def close(self) -> None:
        """Stops all tasks and closes the journal. What wasn't settled is replayed by the next worker that
        starts."""
        if self._problem == CLOSED or self._tick_task is None:
            return
        self._problem = CLOSED
        self._tick_task.cancel()
        await asyncio.gather(self._tick_task, return_exceptions=True)
        for part in (
            self.watch,
            self.replayer,
            self.desk,
            self.grants,
            self.settler,
            self.missing_models,
            self.refusals,
            self.rates,
        ):
            await part.close()
        await self.journal.close(done=self._done)

    # ---- requests

    async def authorize(self, secret: str) -> GrantView:
        """The grant of a key. Doesn't suspend when it is cached.

        Raises INVALID_API_KEY, CUSTOMER_SUSPENDED, or UNAVAILABLE when nobody can tell (never a 401 then).
        """
        return await self._authorize(secret)

    def price(self, grant: GrantView, rule: RuleView, model: str) -> PriceView | None:
        """The price of a vendor's model under a rule: the global one first, else the provider's own. All but
        the customer's own prices carry its markup."""
        now_s = self._now_s()
        price = self.prices.lookup(rule.provider_type, model, now_s)
        if price is None and grant.own_prices:
            own = grant.own_prices.get((rule.provider_id, model))
            price = own.at(now_s) if own is not None else None
        if price is None or not grant.marked_up or price.customer_id == grant.customer_id:
            return price
        return price.marked_up(grant.markup_ppm(model))

    async def begin(
        self,
        grant: GrantView,
        plan: AttemptPlan,
        *,
        requested_model: str,
        stream: bool,
        end_user: str = "",
        tags: tuple[str, ...] = (),
        hold_nanousd: int | None = None,
    ) -> Open:
        """Holds the worst case and journals the begin. Doesn't suspend when the lease in hand covers it.

        `hold_nanousd` is the dearest attempt's worst case where that isn't the first one's (L15).
        Raises INSUFFICIENT_QUOTA (final), BUDGET_HELD (after waiting), UNAVAILABLE, JOURNAL_UNAVAILABLE,
        INVALID_API_KEY and CUSTOMER_SUSPENDED; after any of them nothing is held and nothing may be sent.
        """
        if self._problem is not None or self.settler.backlogged:
            raise self._not_admitting()
        hold = plan.hold_nanousd if hold_nanousd is None else hold_nanousd
        now_s = self._now_s()
        lease = self._draw(grant, hold, now_s)
        if lease is None:
            lease = await self.desk.wait(grant, hold)
            now_s = self._now_s()
        opened = Open(self, grant, lease, hold, now_s)
        record = opened.record
        record.requested_model = requested_model
        record.stream = stream
        record.router_id = grant.router_id
        if end_user:
            record.end_user = end_user
        if tags:
            record.tags.extend(tags)
        try:
            self._journal_begin(opened, plan)
        except BaseException:
            self.book.undraw(lease, hold, now_s)
            raise
        if self.book.wants_refill(lease, now_s):
            self.desk.refill(grant, lease)
        return opened

    def _draw(self, grant: GrantView, hold_nanousd: int, now_s: float) -> Lease | None:
        purse = self._purses.get(grant.key_id)
        if purse is None or purse.chain_version < grant.chain_version:
            return None
        return self.book.draw(purse, hold_nanousd, now_s)

    def _journal_begin(self, opened: Open, plan: AttemptPlan) -> None:
        journal = self.journal
        sequence = journal.last_sequence + 1
        opened.usage_id = self._ids.make()
        record = opened.record
        record.usage_id = opened.usage_id
        record.sequence = sequence
        wall_s = self._wall_s()
        begin_time = record.begin_time
        begin_time.seconds = seconds = int(wall_s)
        begin_time.nanos = int((wall_s - seconds) * 1e9)
        opened.add_attempt(plan)
        journal.begin(sequence, opened.payload())
        opened.finished = False

    async def next_attempt(self, opened: Open, plan: AttemptPlan) -> None:
        """Journals a further attempt, holding what the ones possibly billed leave uncovered (L13).

        Raises like `begin`; then the attempt must not be sent, and `opened` must still be finished.
        """
        opened.close_attempt()
        lacking = opened.lacking_nanousd(plan.hold_nanousd)
        if lacking and not self.book.draw_more(opened.lease, lacking, self._now_s()):
            await self._wait_for_more(opened, lacking)
        opened.held_nanousd += lacking
        opened.add_attempt(plan)
        try:
            self.journal.attempt(opened.record.sequence, opened.payload())
        except TollkeeperError:
            opened.drop_attempt()
            raise

    async def _wait_for_more(self, opened: Open, lacking_nanousd: int) -> None:
        """Raises BUDGET_HELD when the lease in hand isn't the request's any more: a record names one lease
        only."""
        lease = await self.desk.wait(opened.grant, lacking_nanousd, only=opened.lease)
        # The draw counts as part of the request's first one.
        lease.open_count -= 1

    def finish(self, opened: Open) -> int:
        """Journals the end, posts to the lease, queues the settlement; returns the request's cost in nano-
        dollars.

        Synchronous, never raises for reasons of money or journal, and does nothing the second time.
        """
        if opened.finished:
            return opened.record.cost_nanousd
        opened.finished = True
        now_s = self._now_s()
        lease = opened.lease
        cost = opened.seal(now_s)
        payload = opened.payload()
        sequence = opened.record.sequence
        self.journal.end(sequence, payload)
        self.book.release(lease, opened.held_nanousd, cost, now_s)
        if opened.ticket is not None:
            opened.ticket.finish(used_tokens(opened.record))
        waiting = self.desk.waiting_count > 0
        urgent = waiting or lease.exact or now_s < lease.marked_until_s
        if opened.keeps:
            self.kept_objects.made(opened.grant.customer_id, opened.record)
        self.settler.add(Finished(sequence, payload, lease, cost), urgent=urgent, soon=opened.keeps)
        if waiting:
            self.desk.released(opened.grant.key_id)
        return cost

    def abandoned(self, opened: Open) -> None:
        """An open request was dropped: it is billed as an estimate rather than lost. May come from any
        thread, since the garbage collector runs in any."""
        if self._problem == CLOSED or self._loop.is_closed():
            # Its begin is in the journal; whoever replays that bills it.
            return
        self.abandoned_count += 1
        log.error("request_abandoned", usage_id=opened.usage_id)
        self._loop.call_soon_threadsafe(self.finish, opened)

    # ---- what comes from below

    def _not_admitting(self) -> TollkeeperError:
        if self._problem is not None:
            return unavailable()
        message = "Too many finished requests wait to be settled."
        return TollkeeperError(Reason.JOURNAL_UNAVAILABLE, message, retry_after_s=2.0)

    def _key_dropped(self, key_id: str) -> None:
        """A key was revoked or its customer suspended: what was lent for it goes back."""
        purse = self._purses.get(key_id)
        if purse is not None:
            self.book.retire_all(purse)

    def _incarnation_closed(self) -> None:
        """An incarnation never reopens."""
        self.failed.set()
        self._problem = "the incarnation was closed"

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                now_s = self._now_s()
                self.book.due(now_s)
                for purse in self.book.turning(now_s, self._clock.wall_s()):
                    self.desk.turn(purse)
                self.desk.tidy()
                self.settler.tick()
                self.missing_models.tick()
                self.refusals.tick()
                self.rates.tick()
            except Exception:
                log.exception("ledger_tick_failed")
