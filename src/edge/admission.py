"""Admission: what the request path asks of the ledger. One `Ledger` per worker; the routes know nothing below it.

A request, in order:

    grant = await ledger.authorize(secret)
    price = ledger.price(grant, rule, model)              # None: not priced
    opened = await ledger.begin(grant, AttemptPlan(rule, model, price, hold), ...)
    try:
        ... send; per attempt: opened.end_attempt(UsageState.REPORTED, status=200, usage=counts)
        ... before a further one: await ledger.next_attempt(opened, plan)
    finally:
        ledger.finish(opened)

`begin` returns only once the hold is drawn and the begin is in the journal; from then on `finish` must run, whatever
happens, so nothing may stand between `begin` and the `try`. An `Open` that is dropped without `finish` is finished when
it is collected, as an estimate, and counted in `counters.abandoned`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.grants import GrantView, RuleView
from edge.prices import PriceView
from tollkeeper.cost import UsageCounts
from tollkeeper.v1 import edge_pb2

UsageState = edge_pb2.UsageState


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Times, sizes and counts of the edge's ledger side; LEDGER rules in brackets."""

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
    idle_lease_s: float = 30.0


@dataclass(frozen=True, slots=True)
class AttemptPlan:
    """One try at one provider: the rule, the model asked of the vendor, the price pinned for it, and its worst case."""

    rule: RuleView
    model: str
    price: PriceView
    hold_nanousd: int


class Open:
    """One admitted request, from its journal begin to its finish.

    The routes read `usage_id`, `event_id`, `remaining_nanousd`, and set what they learn:

    `status` (what the client got; 499: it hung up), `response_model`, `finish_reason`, `first_byte_ms`, `cf_log_id`,
    `cached`. Latency and failover are filled in by `finish`.
    """

    usage_id: str
    grant: GrantView
    # Set by the routes at any time before finish.
    status: int
    response_model: str
    finish_reason: str
    first_byte_ms: int
    cf_log_id: str
    cached: bool

    @property
    def attempt_number(self) -> int:
        """1 for the first."""
        raise NotImplementedError

    @property
    def event_id(self) -> str:
        """`<usage id>-<n>` of the attempt under way, sent upstream as its event id (L13)."""
        raise NotImplementedError

    @property
    def remaining_nanousd(self) -> int | None:
        """What is left of the tightest hard window as far as this worker knows; None when nothing limits the key."""
        raise NotImplementedError

    def end_attempt(
        self,
        state: "edge_pb2.UsageState",
        *,
        status: int = 0,
        usage: UsageCounts | None = None,
        why: str = "",
    ) -> int:
        """Says how the attempt under way ended and returns its cost in nano-dollars.

        REPORTED needs `usage`. ESTIMATED takes a guess in `usage`, or the full hold without one, and is never more than
        the hold (L14). VOIDED costs nothing. `why` names the reason of an estimate or a void (edge.proto, Attempt.why).
        The last call before `next_attempt` or `finish` counts; without one the attempt is an estimate, `in_doubt`.
        """
        raise NotImplementedError


class Ledger:
    """Grants, leases, journal and settlement of one worker."""

    def __init__(
        self,
        settings: LedgerSettings,
        channel: object,
        credential: str,
        *,
        on_push_lag: Callable[[float], None] | None = None,
    ) -> None:
        """`channel` is a grpc.aio channel to the control plane (`control_link.open_channel`), `credential` the edge's
        secret. `on_push_lag` gets the seconds from each change of a customer to its arrival here."""
        raise NotImplementedError

    async def start(self) -> None:
        """Opens the journal, connects Watch and adopts what dead workers left. Raises OSError when the journal can't be
        opened; a control plane that is away is no error."""
        raise NotImplementedError

    async def drain(self, timeout_s: float) -> None:
        """After the last request finished: settles everything, returns all leases and closes the incarnation."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stops all tasks and closes the journal. What wasn't settled is replayed by the next worker that starts."""
        raise NotImplementedError

    def ready(self) -> str | None:
        """None when requests can be admitted, else why not, in a few words for /readyz."""
        raise NotImplementedError

    async def authorize(self, secret: str) -> GrantView:
        """The grant of a key. Doesn't suspend when it is cached.

        Raises INVALID_API_KEY, CUSTOMER_SUSPENDED, or UNAVAILABLE when nobody can tell (never a 401 then).
        """
        raise NotImplementedError

    def price(self, grant: GrantView, rule: RuleView, model: str) -> PriceView | None:
        """The price of a vendor's model under a rule: the global one first, else the customer's own."""
        raise NotImplementedError

    async def begin(
        self,
        grant: GrantView,
        plan: AttemptPlan,
        *,
        requested_model: str,
        stream: bool,
        hold_nanousd: int | None = None,
    ) -> Open:
        """Holds the worst case and journals the begin. Doesn't suspend when the lease in hand covers it.

        `hold_nanousd` is the dearest attempt's worst case where that isn't the first one's (L15).
        Raises INSUFFICIENT_QUOTA (final), BUDGET_HELD (after waiting), UNAVAILABLE, JOURNAL_UNAVAILABLE,
        INVALID_API_KEY and CUSTOMER_SUSPENDED; after any of them nothing is held and nothing may be sent.
        """
        raise NotImplementedError

    async def next_attempt(self, opened: Open, plan: AttemptPlan) -> None:
        """Journals a further attempt, holding what the ones possibly billed leave uncovered (L13).

        Raises like `begin`; then the attempt must not be sent, and `opened` must still be finished.
        """
        raise NotImplementedError

    def finish(self, opened: Open) -> int:
        """Journals the end, posts to the lease, queues the settlement; returns the request's cost in nano-dollars.

        Synchronous, never raises for reasons of money or journal, and does nothing the second time.
        """
        raise NotImplementedError
