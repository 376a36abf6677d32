"""One transaction of one customer's ledger: settles first, then acquires in the order they came.

Locks are taken in the one order of docs/ledger.md (L24): usage records by id, leases, windows, rollups.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from control.domain import ledger as rules
from control.domain.ledger import Alert, Granted, Held, Lease, LeaseState, Spent, Window, WindowKey
from control.domain.records import PreparedRecord
from control.ledger import postings
from control.ledger.answers import answer, budget_held, insufficient_quota, seen_windows
from control.ledger.postings import Posting
from control.ledger.value_caps import ValueCaps
from control.store import chains, grants_log, ledger
from control.store.chains import Chain
from control.store.rows import Target, Together
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

Outcome = edge_pb2.SettleOutcome
RECALL_SPAN = timedelta(milliseconds=300)


@dataclass(slots=True)
class SettleWork:
    """Records and reports of one Settle or ReturnLease call."""

    records: Sequence[PreparedRecord]
    reports: Sequence[edge_pb2.LeaseReport]
    outcomes: list[Outcome] = field(default_factory=list)


@dataclass(slots=True)
class AcquireWork:
    """One AcquireLease call, and what became of it: a response, an error, or neither: it waits."""

    request: edge_pb2.AcquireLeaseRequest
    response: edge_pb2.AcquireLeaseResponse | None = None
    error: TollkeeperError | None = None
    # Why it waits, for the answer when time is up.
    held: TollkeeperError | None = None

    def reset(self) -> None:
        """Forgets what a transaction decided that was then undone."""
        self.response = self.error = self.held = None


@dataclass(slots=True)
class BatchResult:
    """What happened beyond the answers."""

    recalled: list[Window] = field(default_factory=list)
    # Windows whose spend went down: refusals that edges remember are out of date (L9).
    roomier: list[WindowKey] = field(default_factory=list)
    posted: list[PreparedRecord] = field(default_factory=list)
    # Thresholds of budgets that spending has reached.
    alerts: list[Alert] = field(default_factory=list)


@dataclass(slots=True)
class Locked:
    """Rows held by this transaction."""

    now: datetime
    leases: dict[str, Lease]
    windows: dict[WindowKey, Window]
    chains: dict[str, Chain]


async def run(
    connection: AsyncConnection,
    customer_id: str,
    settles: Sequence[SettleWork],
    acquires: Sequence[AcquireWork],
    draw_for: timedelta,
    caps: ValueCaps,
) -> BatchResult:
    """Books all settles and answers what acquires it can. The caller commits."""
    for work in acquires:
        work.reset()
    acquires = await _unanswered(connection, customer_id, acquires)
    posting = await postings.claim(connection, customer_id, [r for settle in settles for r in settle.records])
    now = posting.now or await ledger.database_now(connection)
    locked = await _lock(connection, customer_id, posting, settles, acquires, now)
    result = BatchResult(posted=posting.fresh)
    postings.apply(posting, locked.leases, result.roomier)
    for settle in settles:
        settle.outcomes = [posting.outcomes[id(record)] for record in settle.records]
        _take_reports(settle.reports, locked.leases)
    grants = _decide_all(acquires, locked, draw_for, result)
    sums = await caps.cap(connection, customer_id, postings.sums_of(posting))
    # All rows that others may want are locked by now, but for those of the sums.
    together = Together(connection)
    result.alerts = await _save(together, customer_id, locked, grants)
    await postings.save(together, customer_id, posting, now, sums)
    await together.send()
    return result


async def _unanswered(
    connection: AsyncConnection, customer_id: str, acquires: Sequence[AcquireWork]
) -> list[AcquireWork]:
    """Answers repeated calls from what was stored (L5) and refuses closed incarnations; returns the rest."""
    stored = await grants_log.answers(
        connection, customer_id, [(work.request.lease_id, work.request.top_up) for work in acquires]
    )
    closed = await grants_log.closed_incarnations(connection, {w.request.incarnation_id for w in acquires})
    rest = []
    for work in acquires:
        answered = stored.get((work.request.lease_id, work.request.top_up))
        if answered is not None:
            work.response = edge_pb2.AcquireLeaseResponse.FromString(answered)
        elif work.request.incarnation_id in closed:
            work.error = TollkeeperError(Reason.INCARNATION_CLOSED, "This incarnation has been closed.")
        else:
            rest.append(work)
    return rest


async def _lock(
    connection: AsyncConnection,
    customer_id: str,
    posting: Posting,
    settles: Sequence[SettleWork],
    acquires: Sequence[AcquireWork],
    now: datetime,
) -> Locked:
    lease_ids = posting.lease_ids() | {work.request.lease_id for work in acquires}
    lease_ids |= {report.lease_id for settle in settles for report in settle.reports}
    lease_ids |= {report.lease_id for work in acquires for report in work.request.reports}
    leases, pinned = await ledger.lock_leases(connection, customer_id, lease_ids)
    await chains.restore_windows(
        connection, customer_id, postings.add_unknown_leases(posting, leases, pinned)
    )
    await postings.load_lost(connection, customer_id, posting, leases)
    chain_of = await chains.load_chains(connection, customer_id, {w.request.key_id for w in acquires}, now)
    budgets = [budget for chain in chain_of.values() for budget in chain.budgets]
    await chains.ensure_windows(connection, customer_id, budgets, now)
    if any(work.request.next_window for work in acquires):
        for chain in chain_of.values():
            chains.next_windows(chain, now)
        await chains.ensure_windows(connection, customer_id, budgets, now)
    keys = {key for keys in pinned.values() for key in keys} | {budget.key for budget in budgets}
    windows = await ledger.lock_windows(connection, customer_id, keys)
    for lease_id, lease in leases.items():
        lease.windows = [windows[key] for key in pinned[lease_id] if key in windows]
    return Locked(now, leases, windows, chain_of)


def _take_reports(reports: Iterable[edge_pb2.LeaseReport], leases: dict[str, Lease]) -> None:
    for report in reports:
        lease = leases.get(report.lease_id)
        if lease is not None:
            rules.report(
                lease,
                report.returned_nanousd,
                report.undrawn_nanousd,
                report.in_flight_nanousd,
                report.closing,
            )


def _decide_all(
    acquires: Sequence[AcquireWork], locked: Locked, draw_for: timedelta, result: BatchResult
) -> list[tuple[Lease, AcquireWork, list[dict[str, object]]]]:
    """First come, first served: who waits for a window is not overtaken on it (L11)."""
    granted = []
    waited_for: set[WindowKey] = set()
    for work in acquires:
        _take_reports(work.request.reports, locked.leases)
        try:
            lease = _lease_for(work.request, locked)
        except TollkeeperError as error:
            work.error = error
            continue
        seen = _decide(work, lease, locked, waited_for, draw_for, result)
        if seen is not None:
            granted.append((lease, work, seen))
            locked.leases[lease.lease_id] = lease
    return granted


def _lease_for(request: edge_pb2.AcquireLeaseRequest, locked: Locked) -> Lease:
    """The lease to top up, or a new one over the windows of today's chain."""
    chain = locked.chains.get(request.key_id)
    if chain is None or not chain.usable or chain.version != request.chain_version:
        raise TollkeeperError(Reason.GRANT_STALE, "The chain of budgets has changed: authorize again.")
    lease = locked.leases.get(request.lease_id)
    if lease is None:
        if request.top_up != 1:
            raise TollkeeperError(Reason.LEASE_CLOSED, "No such lease.")
        return Lease(
            lease_id=request.lease_id,
            incarnation_id=request.incarnation_id,
            key_id=request.key_id,
            chain_version=chain.version,
            unlimited=chain.unlimited,
            windows=[locked.windows[budget.key] for budget in chain.budgets],
            new=True,
        )
    ended = any(window.end_time <= locked.now for window in lease.windows)
    if lease.state is not LeaseState.OPEN or lease.key_id != request.key_id or ended:
        raise TollkeeperError(Reason.LEASE_CLOSED, "This lease can't be drawn from any more: take a new one.")
    return lease


def _decide(
    work: AcquireWork,
    lease: Lease,
    locked: Locked,
    waited_for: set[WindowKey],
    draw_for: timedelta,
    result: BatchResult,
) -> list[dict[str, object]] | None:
    """Grants, refuses, or leaves waiting. Returns what was seen under the lock when it granted."""
    seen = seen_windows(lease.windows)
    if lease.unlimited:
        decision: Granted | Spent | Held = Granted(0, len(work.request.holds_nanousd), exact=False)
    else:
        queued = [window for window in lease.windows if window.hard and window.key in waited_for]
        holds = list(work.request.holds_nanousd)
        decision = rules.decide(
            lease.windows, holds, max(work.request.wanted_nanousd, sum(holds)), locked.now
        )
        if queued and isinstance(decision, Granted) and holds:
            decision = Held(tuple(queued), 0)
    if isinstance(decision, Spent):
        work.error = insufficient_quota(decision, work.request.holds_nanousd[0])
        return None
    if isinstance(decision, Held):
        work.held = budget_held(decision)
        waited_for.update(window.key for window in decision.windows)
        _mark_for_recall(decision.windows, locked.now, result)
        return None
    needed = sum(list(work.request.holds_nanousd)[: decision.covered_holds])
    rules.grant(lease, decision.amount_nanousd, needed)
    lease.top_up = work.request.top_up
    begins = max((w.start_time for w in lease.windows), default=None) if work.request.next_window else None
    work.response = answer(lease, decision, locked.now, draw_for, begins)
    return seen


def _mark_for_recall(windows: Iterable[Window], now: datetime, result: BatchResult) -> None:
    """At most one mark at a time on a window (L10)."""
    for window in windows:
        if window.recall_until is None or window.recall_until <= now:
            window.recall_until = now + RECALL_SPAN
            window.changed = True
            result.recalled.append(window)


async def _save(
    connection: Target,
    customer_id: str,
    locked: Locked,
    grants: Sequence[tuple[Lease, AcquireWork, list[dict[str, object]]]],
) -> list[Alert]:
    changed = [lease for lease in locked.leases.values() if lease.changed]
    await ledger.save_leases(connection, customer_id, changed, locked.now)
    windows = [window for window in locked.windows.values() if window.changed]
    alerts = await ledger.save_windows(connection, customer_id, windows)
    await ledger.insert_grants(
        connection,
        [
            {
                "customer_id": customer_id,
                "lease_id": lease.lease_id,
                "top_up": work.request.top_up,
                "granted_nanousd": work.response.granted_nanousd,
                "seen": seen,
                "answer": work.response.SerializeToString(),
                "create_time": locked.now,
            }
            for lease, work, seen in grants
            if work.response is not None
        ],
    )
    return alerts
