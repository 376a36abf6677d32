"""A control plane that does as it is told: a real gRPC server with one chain of budgets, scripted faults,
and a memory of every call."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from control.domain.rates import Answer, Ask, Meter, lend
from tollkeeper import key_format
from tollkeeper.errors import ERROR_DOMAIN, Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2, edge_pb2_grpc, prices_pb2

Outcome = edge_pb2.SettleOutcome
Context = Any
CODES = {
    Reason.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def new_id() -> str:
    """A random UUID as text."""
    return str(uuid4())


def new_secret() -> str:
    """A virtual key."""
    return key_format.mint(key_format.KEY_PREFIX)


def error(reason: Reason, **metadata: str) -> TollkeeperError:
    """A refusal to be scripted."""
    return TollkeeperError(reason, "scripted", metadata)


@dataclass
class Fault:
    """What goes wrong with one call: an error before it takes effect, or its answer lost after; a delay
    first."""

    error: TollkeeperError | None = None
    lose_answer: bool = False
    delay_s: float = 0.0


@dataclass
class FakeLease:
    """A lease as the control plane books it."""

    lease_id: str
    incarnation_id: str
    granted: int = 0
    posted: int = 0
    returned: int = 0
    undrawn: int = 0
    in_flight: int = 0
    closed: bool = False

    @property
    def held(self) -> int:
        return 0 if self.closed else self.granted - self.posted - self.returned


@dataclass
class Budget:
    """One hard window over every key."""

    limit: int
    budget_id: str = field(default_factory=new_id)
    start_s: int = 1_700_000_000
    end_s: int = 4_000_000_000
    spent: int = 0
    overrun: int = 0


class FakeControl(edge_pb2_grpc.EdgeServiceServicer):
    """Set it up, start it, steer it while it serves, and read what came."""

    def __init__(self, limit: int | None = 10**12) -> None:
        self.budget = None if limit is None else Budget(limit)
        # Grant all that is wanted, up to this much; 0: exactly the holds that wait.
        self.ahead_most = 10**12
        self.draw_for_s = 60.0
        self.next_window_in_s = 0.0
        self.timeline = "timeline-1"
        self.heartbeat_s = 0.2
        self.silent = False
        self.version = 1
        self.chain_version = 1
        self.customer_id = new_id()
        self.grants: dict[bytes, edge_pb2.Grant] = {}
        self.prices: list[prices_pb2.Price] = [a_price("gpt-4o-mini")]
        self.leases: dict[str, FakeLease] = {}
        self.answers: dict[tuple[str, int], edge_pb2.AcquireLeaseResponse] = {}
        # By scope id, model pattern and kind.
        self.rate_limits: dict[tuple[str, str, int], int] = {}
        self.meters: dict[tuple[str, str, int], Meter] = {}
        self.share_for_s = 20.0
        # A test that turns its edges' clocks turns this one too.
        self.clock_ahead_s = 0.0
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.calls: list[tuple[str, Any]] = []
        self.posted: dict[str, edge_pb2.UsageRecord] = {}
        self.received: list[edge_pb2.UsageRecord] = []
        self.reported: dict[str, edge_pb2.ReportKeptObjectRequest] = {}
        self.claimed: set[str] = set()
        self.deleted: set[tuple[str, str]] = set()
        self.outcome_of: Callable[[edge_pb2.UsageRecord], int | None] = lambda record: None
        self.closed_incarnations: dict[str, int] = {}
        self.streams: list[asyncio.Queue[edge_pb2.WatchResponse | None]] = []
        self.watch_requests: list[edge_pb2.WatchRequest] = []
        self.port = 0
        self._server: grpc.aio.Server | None = None

    # ---- life

    async def start(self) -> "FakeControl":
        """Serves on a free port of loopback, or on the one it had before."""
        self._server = grpc.aio.server()
        edge_pb2_grpc.add_EdgeServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()
        return self

    async def stop(self) -> None:
        """Breaks every call."""
        self.end_streams()
        if self._server is not None:
            await self._server.stop(None)
        self._server = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add_key(self, secret: str, **fields: Any) -> edge_pb2.Grant:
        """A key with one rule that leads to an openai provider."""
        rule = edge_pb2.Rule(
            rule_id=new_id(), provider_id=new_id(), provider_name="main", provider_type="openai"
        )
        rule.provider_enabled = True
        values: dict[str, Any] = {"customer_id": self.customer_id, "key_id": new_id(), "rules": [rule]}
        values["unlimited"] = self.budget is None
        grant = edge_pb2.Grant(**(values | fields))
        self.grants[key_format.secret_hash(secret)] = grant
        return grant

    def count(self, name: str) -> int:
        """How many calls of an RPC came."""
        return sum(1 for called, _ in self.calls if called == name)

    def requests(self, name: str) -> list[Any]:
        """All requests of an RPC."""
        return [request for called, request in self.calls if called == name]

    @property
    def held(self) -> int:
        return sum(lease.held for lease in self.leases.values())

    # ---- pushes

    def push(self, event: edge_pb2.WatchResponse) -> None:
        """Sends an event on every stream."""
        for stream in self.streams:
            stream.put_nowait(event)

    def change(self, *, urgent: bool = False) -> None:
        """Raises the customer's version and says so."""
        self.version += 1
        change = edge_pb2.CustomerChanged(customer_id=self.customer_id, version=self.version)
        if urgent:
            change.urgent_version = self.version
        change.change_time.GetCurrentTime()
        self.push(edge_pb2.WatchResponse(customer_changed=change))

    def recall(self, mark_for_s: float = 0.3) -> None:
        """Recalls the budget's window."""
        assert self.budget is not None
        recall = edge_pb2.Recall(customer_id=self.customer_id, budget_id=self.budget.budget_id)
        recall.start_time.seconds = self.budget.start_s
        recall.mark_for.FromMicroseconds(int(mark_for_s * 1e6))
        self.push(edge_pb2.WatchResponse(recall=recall))

    def room(self) -> None:
        """Says that the budget has room again."""
        assert self.budget is not None
        room = edge_pb2.Room(customer_id=self.customer_id, budget_id=self.budget.budget_id)
        self.push(edge_pb2.WatchResponse(room=room))

    def end_streams(self) -> None:
        """Ends every Watch stream."""
        for stream in self.streams:
            stream.put_nowait(None)

    # ---- RPCs

    async def Authorize(self, request: edge_pb2.AuthorizeRequest, context: Context) -> Any:
        """The grant as it is now."""
        return await self._serve("Authorize", request, context, self._authorize)

    def _authorize(self, request: edge_pb2.AuthorizeRequest) -> edge_pb2.AuthorizeResponse:
        grant = self.grants.get(request.key_hash)
        if grant is None:
            raise error(Reason.INVALID_API_KEY)
        answer = edge_pb2.AuthorizeResponse(grant=grant)
        answer.grant.version, answer.grant.chain_version = self.version, self.chain_version
        return answer

    async def AcquireLease(self, request: edge_pb2.AcquireLeaseRequest, context: Context) -> Any:
        """Grants from the one budget; waits while only holds are in the way."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + request.wait.ToTimedelta().total_seconds()

        def acquire(request: edge_pb2.AcquireLeaseRequest) -> edge_pb2.AcquireLeaseResponse:
            return self._acquire(request)

        while True:
            held = self.budget is not None and request.holds_nanousd and self._only_held(request)
            if not held or loop.time() >= deadline_s:
                return await self._serve("AcquireLease", request, context, acquire)
            await asyncio.sleep(0.01)

    def _only_held(self, request: edge_pb2.AcquireLeaseRequest) -> bool:
        self._take_reports(request.reports)
        assert self.budget is not None
        left = self.budget.limit - self.budget.spent
        return left - self.held < request.holds_nanousd[0] <= left

    def _acquire(self, request: edge_pb2.AcquireLeaseRequest) -> edge_pb2.AcquireLeaseResponse:
        stored = self.answers.get((request.lease_id, request.top_up))
        if stored is not None:
            return stored
        if request.incarnation_id in self.closed_incarnations:
            raise error(Reason.INCARNATION_CLOSED)
        if request.chain_version != self.chain_version:
            raise error(Reason.GRANT_STALE)
        lease = self.leases.get(request.lease_id)
        if lease is None and request.top_up == 1:
            lease = FakeLease(request.lease_id, request.incarnation_id)
        if lease is None or lease.closed:
            raise error(Reason.LEASE_CLOSED)
        self._take_reports(request.reports)
        answer = self._grant(request)
        lease.granted += answer.granted_nanousd
        self.leases[request.lease_id] = lease
        self.answers[request.lease_id, request.top_up] = answer
        return answer

    def _grant(self, request: edge_pb2.AcquireLeaseRequest) -> edge_pb2.AcquireLeaseResponse:
        answer = edge_pb2.AcquireLeaseResponse()
        answer.draw_for.FromMicroseconds(int(self.draw_for_s * 1e6))
        if request.next_window:
            answer.not_before.FromMicroseconds(int(self.next_window_in_s * 1e6))
        if self.budget is None:
            answer.unlimited = True
            answer.covered_holds = len(request.holds_nanousd)
            return answer
        budget, holds = self.budget, list(request.holds_nanousd)
        room = budget.limit - budget.spent - self.held
        if holds and budget.spent + holds[0] > budget.limit:
            fits = str(max(0, budget.limit - budget.spent))
            raise error(Reason.INSUFFICIENT_QUOTA, fits_nanousd=fits, limit_nanousd=str(budget.limit))
        if holds and room < holds[0]:
            raise error(Reason.BUDGET_HELD)
        covered = needed = 0
        while covered < len(holds) and needed + holds[covered] <= room:
            needed += holds[covered]
            covered += 1
        extra = max(0, min(request.wanted_nanousd - needed, self.ahead_most, room - needed))
        answer.granted_nanousd, answer.covered_holds, answer.exact = needed + extra, covered, extra == 0
        window = answer.windows.add(budget_id=budget.budget_id, scope="key", hard=True)
        window.start_time.seconds, window.end_time.seconds = budget.start_s, budget.end_s
        if request.next_window:
            window.start_time.seconds, window.end_time.seconds = budget.end_s, budget.end_s + 1000
        window.limit_nanousd, window.spent_nanousd = budget.limit, budget.spent
        return answer

    async def ReturnLease(self, request: edge_pb2.ReturnLeaseRequest, context: Context) -> Any:
        """Takes reports."""
        return await self._serve("ReturnLease", request, context, self._return)

    def _return(self, request: edge_pb2.ReturnLeaseRequest) -> edge_pb2.ReturnLeaseResponse:
        self._take_reports(request.reports)
        return edge_pb2.ReturnLeaseResponse()

    async def AcquireShares(self, request: edge_pb2.AcquireSharesRequest, context: Context) -> Any:
        """Lends by the control plane's own rules."""
        return await self._serve("AcquireShares", request, context, self._lend)

    def _lend(self, request: edge_pb2.AcquireSharesRequest) -> edge_pb2.AcquireSharesResponse:
        answers = []
        for ask in request.asks:
            name = ask.scope_id, ask.model, int(ask.kind)
            meter = self.meters.setdefault(name, Meter(ask.kind))
            asked = Ask(
                request.incarnation_id,
                ask.number,
                [(use.age_ms, use.amount) for use in ask.used],
                ask.in_flight,
                ask.kept,
                list(ask.waiting),
                ask.wanted,
            )
            now_ms = int((time.time() + self.clock_ahead_s) * 1000)
            lent = lend(meter, self.rate_limits[name], asked, now_ms, int(self.share_for_s * 1000))
            answers.append(_share(self.rate_limits[name], lent))
        return edge_pb2.AcquireSharesResponse(answers=answers)

    async def Settle(self, request: edge_pb2.SettleRequest, context: Context) -> Any:
        """Books what is new."""
        return await self._serve("Settle", request, context, self._settle)

    def _settle(self, request: edge_pb2.SettleRequest) -> edge_pb2.SettleResponse:
        outcomes = [self._book(record) for record in request.records]
        self._take_reports(request.reports)
        return edge_pb2.SettleResponse(outcomes=outcomes)  # type: ignore[arg-type]

    def _book(self, record: edge_pb2.UsageRecord) -> int:
        self.received.append(record)
        outcome = self.outcome_of(record)
        if outcome is not None:
            return outcome
        if record.usage_id in self.posted:
            same = _content(self.posted[record.usage_id]) == _content(record)
            return Outcome.DUPLICATE if same else Outcome.CONFLICT
        self.posted[record.usage_id] = record
        lease = self.leases.get(record.lease_id)
        covered = min(record.cost_nanousd, lease.held) if lease is not None else 0
        if lease is not None:
            lease.posted += covered
        if self.budget is not None:
            self.budget.spent += record.cost_nanousd
            self.budget.overrun += record.cost_nanousd - covered
        return Outcome.POSTED

    def _take_reports(self, reports: Any) -> None:
        for report in reports:
            lease = self.leases.get(report.lease_id)
            if lease is None or lease.closed:
                continue
            lease.returned += min(max(0, report.returned_nanousd - lease.returned), lease.held)
            lease.undrawn, lease.in_flight = report.undrawn_nanousd, report.in_flight_nanousd
            lease.closed = report.closing

    async def CloseIncarnation(self, request: edge_pb2.CloseIncarnationRequest, context: Context) -> Any:
        """Ends an incarnation."""
        return await self._serve("CloseIncarnation", request, context, self._close)

    def _close(self, request: edge_pb2.CloseIncarnationRequest) -> edge_pb2.CloseIncarnationResponse:
        self.closed_incarnations[request.incarnation_id] = request.last_sequence
        for lease in self.leases.values():
            lease.closed = lease.closed or lease.incarnation_id == request.incarnation_id
        return edge_pb2.CloseIncarnationResponse()

    async def FindKeptObjects(self, request: edge_pb2.FindKeptObjectsRequest, context: Context) -> Any:
        """What the customer's posted records made; doesn't wait."""
        return await self._serve("FindKeptObjects", request, context, self._find)

    def _find(self, request: edge_pb2.FindKeptObjectsRequest) -> edge_pb2.FindKeptObjectsResponse:
        made = self._made(request.customer_id)
        found = [made[object_id] for object_id in request.object_ids if object_id in made]
        return edge_pb2.FindKeptObjectsResponse(objects=found)

    async def ScanKeptObjects(self, request: edge_pb2.ScanKeptObjectsRequest, context: Context) -> Any:
        """All of a kind, the newest first."""
        return await self._serve("ScanKeptObjects", request, context, self._scan)

    def _scan(self, request: edge_pb2.ScanKeptObjectsRequest) -> edge_pb2.ScanKeptObjectsResponse:
        made = [each for each in self._made(request.customer_id).values() if each.kind == request.kind]
        return edge_pb2.ScanKeptObjectsResponse(objects=made[::-1])

    async def ClaimPendingObjects(
        self, request: edge_pb2.ClaimPendingObjectsRequest, context: Context
    ) -> Any:
        """What is pending and wasn't handed out before, with all rules of the customer's first key."""
        return await self._serve("ClaimPendingObjects", request, context, self._claim)

    def _claim(self, request: edge_pb2.ClaimPendingObjectsRequest) -> edge_pb2.ClaimPendingObjectsResponse:
        answer = edge_pb2.ClaimPendingObjectsResponse()
        for grant in self.grants.values():
            for made in self._made(grant.customer_id).values():
                if made.pending and made.kind in request.kinds and made.object_id not in self.claimed:
                    self.claimed.add(made.object_id)
                    answer.objects.add(object=made, grant=grant)
        return answer

    async def ReportKeptObject(self, request: edge_pb2.ReportKeptObjectRequest, context: Context) -> Any:
        """Takes note."""
        return await self._serve("ReportKeptObject", request, context, self._report)

    def _report(self, request: edge_pb2.ReportKeptObjectRequest) -> edge_pb2.ReportKeptObjectResponse:
        self.reported[request.object_id] = request
        return edge_pb2.ReportKeptObjectResponse(outcome=Outcome.POSTED)

    async def DeleteKeptObject(self, request: edge_pb2.DeleteKeptObjectRequest, context: Context) -> Any:
        """Forgets it."""
        return await self._serve("DeleteKeptObject", request, context, self._delete)

    def _delete(self, request: edge_pb2.DeleteKeptObjectRequest) -> edge_pb2.DeleteKeptObjectResponse:
        self.deleted.add((request.customer_id, request.object_id))
        return edge_pb2.DeleteKeptObjectResponse()

    def _made(self, customer_id: str) -> dict[str, edge_pb2.FoundObject]:
        return {
            kept.object_id: edge_pb2.FoundObject(
                object_id=kept.object_id,
                kind=kept.kind,
                provider_id=kept.provider_id,
                usage_id=record.usage_id,
                pending=kept.pending and kept.object_id not in self.reported,
            )
            for record in self.posted.values()
            if record.customer_id == customer_id
            for kept in record.kept_objects
            if (customer_id, kept.object_id) not in self.deleted
        }

    async def Watch(
        self, request: edge_pb2.WatchRequest, context: Context
    ) -> AsyncIterator[edge_pb2.WatchResponse]:
        """Hello, what was missed, prices, then what is pushed."""
        self.watch_requests.append(request)
        await self._play("Watch", request, context)
        for lease in self.leases.values():
            if lease.incarnation_id == request.incarnation_id and lease.lease_id not in request.lease_ids:
                lease.closed = True
        stream: asyncio.Queue[edge_pb2.WatchResponse | None] = asyncio.Queue()
        self.streams.append(stream)
        try:
            yield edge_pb2.WatchResponse(hello=edge_pb2.Hello(database_timeline=self.timeline))
            if request.price_version != 1:
                book = edge_pb2.PriceBook(version=1, prices=self.prices, full=True, last=True)
                yield edge_pb2.WatchResponse(price_book=book)
            for known in request.customers:
                if known.version < self.version:
                    change = edge_pb2.CustomerChanged(customer_id=known.customer_id, version=self.version)
                    yield edge_pb2.WatchResponse(customer_changed=change)
            async for event in self._events(stream):
                yield event
        finally:
            self.streams.remove(stream)

    async def _events(
        self, stream: "asyncio.Queue[edge_pb2.WatchResponse | None]"
    ) -> AsyncIterator[edge_pb2.WatchResponse]:
        while True:
            try:
                event = await asyncio.wait_for(stream.get(), self.heartbeat_s)
            except TimeoutError:
                if not self.silent:
                    yield edge_pb2.WatchResponse(heartbeat=edge_pb2.Heartbeat())
                continue
            if event is None:
                return
            yield event

    # ---- faults

    async def _serve(self, name: str, request: Any, context: Context, handle: Callable[[Any], Any]) -> Any:
        fault = await self._play(name, request, context)
        try:
            answer = handle(request)
        except TollkeeperError as raised:
            await _abort(context, raised)
        if fault is not None and fault.lose_answer:
            await _abort(context, error(Reason.UNAVAILABLE))
        return answer

    async def _play(self, name: str, request: Any, context: Context) -> Fault | None:
        self.calls.append((name, request))
        if not self.faults[name]:
            return None
        fault = self.faults[name].popleft()
        await asyncio.sleep(fault.delay_s)
        if fault.error is not None:
            await _abort(context, fault.error)
        return fault


def a_price(model: str, **fields: Any) -> prices_pb2.Price:
    """A global price of $0.15 and $0.60 per million tokens."""
    rates = prices_pb2.Rates(input=150_000_000, output=600_000_000)
    return prices_pb2.Price(price_id=new_id(), provider_type="openai", model=model, rates=rates, **fields)


def _content(record: edge_pb2.UsageRecord) -> bytes:
    """What makes two records the same."""
    content = edge_pb2.UsageRecord(
        usage_id=record.usage_id,
        lease_id=record.lease_id,
        attempts=record.attempts,
        state=record.state,
        cost_nanousd=record.cost_nanousd,
    )
    return content.SerializeToString(deterministic=True)


async def _abort(context: Context, raised: TollkeeperError) -> None:
    detail = AnyMessage()
    detail.Pack(
        error_details_pb2.ErrorInfo(reason=raised.reason_name, domain=ERROR_DOMAIN, metadata=raised.metadata)
    )
    code = CODES.get(raised.reason, grpc.StatusCode.FAILED_PRECONDITION)
    status = status_pb2.Status(code=code.value[0], message=raised.message, details=[detail])
    trailers = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(code, raised.message, trailing_metadata=trailers)


def _share(limit: int, lent: Answer) -> edge_pb2.ShareAnswer:
    answer = edge_pb2.ShareAnswer(
        limit=limit, granted=lent.granted, exact=lent.exact, remaining=lent.remaining
    )
    answer.draw_for.FromMilliseconds(lent.draw_for_ms)
    if lent.retry_after_ms is not None:
        answer.retry_after.FromMilliseconds(lent.retry_after_ms)
    return answer
