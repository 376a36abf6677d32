"""UsageService: what requests were and what they cost. Sums come from rollups, never from the log."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from control.caller import caller
from control.domain.budgets import Scope
from control.services.access import is_own, sees_all
from control.services.convert import resource_id, timestamp
from control.services.paging import page_of
from control.services.scope import scoped_customer
from control.store import keys, request_log, rollups
from control.store.database import Connection, Database
from control.store.resources import transaction_time
from control.store.rows import Row
from tollkeeper.errors import not_found
from tollkeeper.v1 import edge_pb2, usage_pb2, usage_pb2_grpc

DAY = timedelta(hours=24)


class UsageService(usage_pb2_grpc.UsageServiceServicer):
    """Raises TollkeeperError as the contract says. Members see what is theirs or their teams' (B4)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListUsage(
        self, request: usage_pb2.ListUsageRequest, context: object
    ) -> usage_pb2.ListUsageResponse:
        """Records without their entries, newest first."""
        page = page_of(request)
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            key_id = await _key_id(connection, customer_id, request.key_id)
            visible_to = "" if sees_all() or key_id else caller().user_id
            rows = await request_log.list_requests(
                connection, customer_id, page.after, page.size + 1, key_id, visible_to
            )
        shown = rows[: page.size]
        return usage_pb2.ListUsageResponse(
            usage=[_message(row, ()) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["usage_id"]) if shown else "",
        )

    async def GetUsage(self, request: usage_pb2.GetUsageRequest, context: object) -> usage_pb2.UsageEntry:
        """A record with its ledger entries."""
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            usage_id = resource_id("usage", request.usage_id)
            row = await request_log.load_request(connection, customer_id, usage_id)
            if not await is_own(connection, row):
                raise not_found("usage record", usage_id)
            return _message(row, await request_log.load_entries(connection, customer_id, usage_id))

    async def GetUsageSummary(
        self, request: usage_pb2.GetUsageSummaryRequest, context: object
    ) -> usage_pb2.UsageSummary:
        """Sums of all time, and of the last 24 hours and what the hour before them had begun.

        Of a key, or of all that the caller may see: the customer, for members their own.
        """
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            key_id = await _key_id(connection, customer_id, request.key_id)
            scope, scope_id = _summed_scope(customer_id, key_id)
            now = await transaction_time(connection)
            first_hour = (now - DAY).replace(minute=0, second=0, microsecond=0)
            sums = await rollups.summarise(connection, customer_id, scope, scope_id, first_hour)
        return usage_pb2.UsageSummary(**{name: int(value) for name, value in sums.items()})


async def _key_id(connection: Connection, customer_id: str, name: str) -> str:
    """The id of a key named by id or hash that the caller may see; empty for none. Raises NOT_FOUND."""
    if not name:
        return ""
    found = await keys.find_key(connection, name, customer_id)
    if found is None or not await is_own(connection, await keys.load_key(connection, *found)):
        raise not_found("key", name)
    return found[1]


def _summed_scope(customer_id: str, key_id: str) -> tuple[int, str]:
    if key_id:
        return Scope.SCOPE_KEY, key_id
    if sees_all():
        return Scope.SCOPE_CUSTOMER, customer_id
    return Scope.SCOPE_USER, caller().user_id


def _message(row: Row, entries: Sequence[Row]) -> usage_pb2.UsageEntry:
    attempts = [edge_pb2.Attempt(**attempt) for attempt in row["attempts"]]
    last = attempts[-1] if attempts else edge_pb2.Attempt()
    return usage_pb2.UsageEntry(
        usage_id=row["usage_id"],
        customer_id=row["customer_id"],
        key_id=row["key_id"],
        user_id=row["user_id"] or "",
        team_id=row["team_id"] or "",
        provider_name=last.provider_name,
        provider_type=last.provider_type,
        requested_model=row["requested_model"],
        response_model=row["response_model"],
        state=row["state"],
        status=row["status"],
        usage=_usage_of(attempts),
        cost_nanousd=row["cost_nanousd"],
        why=row["why"],
        stream=row["stream"],
        failover=row["failover"],
        cached=row["cached"],
        latency_ms=row["latency_ms"],
        first_byte_ms=row["first_byte_ms"],
        finish=row["finish"],
        begin_time=timestamp(row["begin_time"]),
        post_time=timestamp(row["post_time"]),
        entries=[
            usage_pb2.LedgerEntry(
                part=entry["part"],
                label=entry["label"],
                amount_nanousd=entry["amount_nanousd"],
                post_time=timestamp(entry["post_time"]),
            )
            for entry in entries
        ],
    )


def _usage_of(attempts: Sequence[edge_pb2.Attempt]) -> edge_pb2.Usage:
    """The model tokens of all attempts together."""
    counts: Counter[str] = Counter()
    for attempt in attempts:
        for field, count in attempt.usage.ListFields():
            counts[field.name] += count
    return edge_pb2.Usage(**counts)
