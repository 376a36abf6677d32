"""EdgeService: what edges ask for while they serve requests."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import structlog

from control.domain.records import PreparedRecord, RejectedRecord, check, prepare, price_ids
from control.domain.refusals import log_row
from control.ledger import closing
from control.ledger.queue import LedgerQueue
from control.ledger.refusals import log_refusals
from control.metrics import Metrics
from control.services import kept_objects, pending_objects
from control.services.edge_checks import check_acquire, check_reports, check_uuid, check_watch
from control.services.key_fields import budgets_above, key_message
from control.services.rate_shares import RateShares
from control.store import grants, incarnations, prices
from control.store.database import Database, is_data_error
from control.store.ledger import database_now
from control.store.price_rates import PriceRatesCache
from control.store.refused import refuse
from control.watch import HEARTBEAT_S, Hub
from tollkeeper.errors import Reason, TollkeeperError, invalid
from tollkeeper.ids import is_uuid
from tollkeeper.v1 import edge_pb2, edge_pb2_grpc

Outcome = edge_pb2.SettleOutcome
MAX_RECORDS_PER_SETTLE = 1000
MAX_MISSING_COUNTS = 1000
MAX_REFUSALS = 1000
# Of one model since the last call, a few seconds ago.
MAX_MISSED_REQUESTS = 1_000_000_000

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger()


class EdgeService(edge_pb2_grpc.EdgeServiceServicer):
    """Raises TollkeeperError as the contract says; the interceptors turn it into a status."""

    def __init__(
        self,
        database: Database,
        queue: LedgerQueue,
        hub: Hub,
        metrics: Metrics,
        open_credential: Callable[[bytes, str], str],
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._queue = queue
        self._hub = hub
        self._open_credential = open_credential
        self._rates = PriceRatesCache(database)
        self._shares = RateShares(database)

    async def Authorize(
        self, request: edge_pb2.AuthorizeRequest, context: "Context"
    ) -> edge_pb2.AuthorizeResponse:
        """The grant of a key, read in one snapshot."""
        if len(request.key_hash) != 32:
            raise invalid("key_hash is 32 bytes.")
        async with self._database.read() as connection:
            grant = await grants.load_grant(
                connection, request.key_hash, datetime.now(UTC), self._open_credential
            )
        return edge_pb2.AuthorizeResponse(grant=grant)

    async def AcquireLease(
        self, request: edge_pb2.AcquireLeaseRequest, context: "Context"
    ) -> edge_pb2.AcquireLeaseResponse:
        """Grants, refuses, or waits for holds to go."""
        check_acquire(request)
        try:
            response = await self._queue.acquire(request, request.wait.ToTimedelta().total_seconds())
        except TollkeeperError as error:
            self._metrics.acquires.labels(error.reason_name.lower()).inc()
            raise
        self._metrics.acquires.labels("granted").inc()
        return response

    async def ReturnLease(
        self, request: edge_pb2.ReturnLeaseRequest, context: "Context"
    ) -> edge_pb2.ReturnLeaseResponse:
        """Takes reports."""
        check_reports(request.reports)
        await self._settle_all((), request.reports)
        return edge_pb2.ReturnLeaseResponse()

    async def Settle(self, request: edge_pb2.SettleRequest, context: "Context") -> edge_pb2.SettleResponse:
        """Books records, customer by customer."""
        if len(request.records) > MAX_RECORDS_PER_SETTLE:
            raise invalid(f"At most {MAX_RECORDS_PER_SETTLE} records a call.")
        check_reports(request.reports)
        # Booking goes on when the caller hangs up: it has to be told the truth when it asks again.
        outcomes = await asyncio.shield(self._settle_all(request.records, request.reports))
        for outcome in outcomes:
            self._metrics.records.labels(Outcome.Name(outcome).lower()).inc()
        return edge_pb2.SettleResponse(outcomes=outcomes)

    async def CloseIncarnation(
        self, request: edge_pb2.CloseIncarnationRequest, context: "Context"
    ) -> edge_pb2.CloseIncarnationResponse:
        """Frees all leases of a life that is over."""
        check_uuid("incarnation_id", request.incarnation_id)
        freed, gap_count = await closing.close_incarnation(
            self._database, request.incarnation_id, request.last_sequence
        )
        if gap_count:
            log.warning("sequence_gaps", incarnation_id=request.incarnation_id, gap_count=gap_count)
        return edge_pb2.CloseIncarnationResponse(freed_nanousd=freed, gap_count=gap_count)

    async def CountMissingModels(
        self, request: edge_pb2.CountMissingModelsRequest, context: "Context"
    ) -> edge_pb2.CountMissingModelsResponse:
        """Adds to the counts of models without a price (A8)."""
        if len(request.counts) > MAX_MISSING_COUNTS:
            raise invalid(f"At most {MAX_MISSING_COUNTS} models a call.")
        for count in request.counts:
            check_uuid("customer_id", count.customer_id)
            if not 0 <= count.request_count <= MAX_MISSED_REQUESTS:
                raise invalid("request_count is out of range.", field="request_count")
        async with self._database.write() as connection:
            # In one order, so that two edges never wait for each other.
            for count in sorted(request.counts, key=lambda count: (count.customer_id, count.model)):
                await prices.count_missing_model(
                    connection, count.customer_id, count.model, max(1, count.request_count)
                )
        return edge_pb2.CountMissingModelsResponse()

    async def ReportRefusals(
        self, request: edge_pb2.ReportRefusalsRequest, context: "Context"
    ) -> edge_pb2.ReportRefusalsResponse:
        """Logs requests that were refused at the edge (A5)."""
        if len(request.refusals) > MAX_REFUSALS:
            raise invalid(f"At most {MAX_REFUSALS} refusals a call.")
        now = datetime.now(UTC)
        await log_refusals(self._database, [log_row(refusal, now) for refusal in request.refusals])
        return edge_pb2.ReportRefusalsResponse()

    async def FindKeptObjects(
        self, request: edge_pb2.FindKeptObjectsRequest, context: "Context"
    ) -> edge_pb2.FindKeptObjectsResponse:
        """Which of some vendor's ids are the customer's."""
        found = await kept_objects.find(self._database, request)
        return edge_pb2.FindKeptObjectsResponse(objects=found)

    async def ScanKeptObjects(
        self, request: edge_pb2.ScanKeptObjectsRequest, context: "Context"
    ) -> edge_pb2.ScanKeptObjectsResponse:
        """What is kept for a customer, of one kind."""
        listed = await kept_objects.newest(self._database, request)
        return edge_pb2.ScanKeptObjectsResponse(objects=listed)

    async def ClaimPendingObjects(
        self, request: edge_pb2.ClaimPendingObjectsRequest, context: "Context"
    ) -> edge_pb2.ClaimPendingObjectsResponse:
        """Hands out what somebody should look at now."""
        return await pending_objects.claim(self._database, self._metrics, self._open_credential, request)

    async def ReportKeptObject(
        self, request: edge_pb2.ReportKeptObjectRequest, context: "Context"
    ) -> edge_pb2.ReportKeptObjectResponse:
        """Books the end of what was pending."""
        if request.why_unknown:
            await pending_objects.leave_estimated(self._database, self._rates, request)
            return edge_pb2.ReportKeptObjectResponse(outcome=Outcome.DUPLICATE)
        record = await kept_objects.reported_record(self._database, self._rates, request)
        if record is None:
            return edge_pb2.ReportKeptObjectResponse(outcome=Outcome.DUPLICATE)
        (outcome,) = await asyncio.shield(self._settle_all([record], ()))
        self._metrics.records.labels(Outcome.Name(outcome).lower()).inc()
        return edge_pb2.ReportKeptObjectResponse(outcome=outcome, cost_nanousd=record.cost_nanousd)

    async def DeleteKeptObject(
        self, request: edge_pb2.DeleteKeptObjectRequest, context: "Context"
    ) -> edge_pb2.DeleteKeptObjectResponse:
        """Forgets what a vendor deleted."""
        await kept_objects.remove(self._database, request)
        return edge_pb2.DeleteKeptObjectResponse()

    async def AcquireShares(
        self, request: edge_pb2.AcquireSharesRequest, context: "Context"
    ) -> edge_pb2.AcquireSharesResponse:
        """Lends shares of rates and of concurrent requests (L4)."""
        response = await self._shares.acquire(request)
        for ask, answer in zip(request.asks, response.answers, strict=True):
            outcome = "refused" if answer.HasField("retry_after") else "granted"
            self._metrics.rate_asks.labels(edge_pb2.RateKind.Name(ask.kind).lower(), outcome).inc()
        return response

    async def ShowKey(self, request: edge_pb2.ShowKeyRequest, context: "Context") -> edge_pb2.ShowKeyResponse:
        """A key, and the budgets above it."""
        check_uuid("customer_id", request.customer_id)
        check_uuid("key_id", request.key_id)
        async with self._database.read() as connection:
            key = await key_message(connection, request.customer_id, request.key_id)
            budgets = await budgets_above(connection, key)
        return edge_pb2.ShowKeyResponse(key=key, budgets=budgets)

    async def Watch(
        self, request: edge_pb2.WatchRequest, context: "Context"
    ) -> AsyncIterator[edge_pb2.WatchResponse]:
        """Pushes until the edge is too slow or the server drains."""
        check_watch(request)
        arrived_s = time.monotonic()
        async with self._database.write() as connection:
            alive = await incarnations.register(connection, request.incarnation_id, request.edge_name)
            now = await database_now(connection)
        if not alive:
            raise TollkeeperError(Reason.INCARNATION_CLOSED, "This incarnation has been closed.")
        asked = now - timedelta(seconds=time.monotonic() - arrived_s)
        await closing.close_forgotten(self._database, request.incarnation_id, set(request.lease_ids), asked)
        stream = await self._hub.open(request)
        try:
            while not stream.closed:
                message = await stream.next(HEARTBEAT_S)
                if message is not None:
                    yield message
                elif self._hub.sees:
                    yield edge_pb2.WatchResponse(heartbeat=edge_pb2.Heartbeat())
        finally:
            self._hub.leave(stream)

    async def _settle_all(
        self, records: Sequence[edge_pb2.UsageRecord], reports: Sequence[edge_pb2.LeaseReport]
    ) -> list[Outcome]:
        """One transaction a customer; outcomes in the order of the records."""
        positions: dict[str, list[int]] = defaultdict(list)
        reports_of: dict[str, list[edge_pb2.LeaseReport]] = defaultdict(list)
        for position, record in enumerate(records):
            positions[record.customer_id].append(position)
        for report in reports:
            reports_of[report.customer_id].append(report)
        outcomes = [Outcome.RETRY] * len(records)
        customers = list(dict.fromkeys([*positions, *reports_of]))
        answers = await asyncio.gather(
            *(self._settle(c, [records[p] for p in positions[c]], reports_of[c]) for c in customers)
        )
        for customer_id, answer in zip(customers, answers, strict=True):
            for position, outcome in zip(positions[customer_id], answer, strict=True):
                outcomes[position] = outcome
        return outcomes

    async def _settle(
        self,
        customer_id: str,
        records: Sequence[edge_pb2.UsageRecord],
        reports: Sequence[edge_pb2.LeaseReport],
    ) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        prepared: list[tuple[int, PreparedRecord]] = []
        for position, record in enumerate(records):
            try:
                prepared.append((position, await self._prepare(record)))
            except RejectedRecord as rejection:
                await refuse(self._database, record, str(rejection))
                outcomes[position] = Outcome.REJECTED
        if prepared or (reports and is_uuid(customer_id)):
            booked = await self._book(customer_id, [record for _, record in prepared], reports)
            outcomes.update(
                (position, outcome) for (position, _), outcome in zip(prepared, booked, strict=True)
            )
        return [outcomes[position] for position in range(len(records))]

    async def _prepare(self, record: edge_pb2.UsageRecord) -> PreparedRecord:
        check(record)
        if not await self._rates.customer_exists(record.customer_id):
            raise RejectedRecord("no such customer")
        rates = await self._rates.rates(record.customer_id, price_ids(record))
        prepared = prepare(record, rates, datetime.now(UTC))
        if prepared.cost_nanousd != prepared.edge_cost_nanousd:
            self._metrics.cost_mismatches.inc()
            log.warning(
                "cost_mismatch",
                usage_id=record.usage_id,
                edge_nanousd=prepared.edge_cost_nanousd,
                control_nanousd=prepared.cost_nanousd,
            )
        return prepared

    async def _book(
        self,
        customer_id: str,
        records: Sequence[PreparedRecord],
        reports: Sequence[edge_pb2.LeaseReport],
    ) -> list[Outcome]:
        """Books a batch, or its records one by one when the database can't take one of them (L17)."""
        try:
            return await self._queue.settle(customer_id, records, reports)
        except Exception as error:
            if not is_data_error(error):
                raise
            if len(records) == 1:
                await refuse(self._database, records[0].message, "the database refused it")
                outcomes = [Outcome.REJECTED]
            else:
                outcomes = [(await self._book(customer_id, [record], ()))[0] for record in records]
        if reports:
            await self._queue.settle(customer_id, (), reports)
        return outcomes
