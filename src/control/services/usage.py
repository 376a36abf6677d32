"""UsageService: what requests were and what they cost. Lists come from the request log, sums from rollups."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from control.caller import caller
from control.domain.rollups import Dimension
from control.services import usage_sums
from control.services.access import is_own, require_operator, sees_all
from control.services.convert import resource_id
from control.services.paging import page_of
from control.services.scope import scoped_customer
from control.services.times import checked_time
from control.services.usage_export import csv_heading, csv_lines, json_lines
from control.services.usage_messages import entry_parts, ledger_entry, logged_entry
from control.store import customers, keys, request_log, rollups, teams
from control.store.database import Connection, Database
from control.store.request_log import LogFilter, Owners
from control.store.rollups import SumFilter
from control.store.rows import Row
from tollkeeper.errors import invalid, not_found
from tollkeeper.ids import first_at, is_uuid
from tollkeeper.v1 import edge_pb2, usage_pb2, usage_pb2_grpc

# Requests that one snapshot of an export reads (L25), and that one message of it holds.
EXPORT_PAGE = 1000
ALL_CUSTOMERS = "-"
MAX_FILTER_CHARS = 300
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class Filters(Protocol):
    """ListUsageRequest and ExportUsageRequest."""

    key_id: str
    user_id: str
    team_id: str
    end_user: str
    tag: str
    model: str
    provider_id: str
    state: edge_pb2.UsageState
    status: int
    without_refused: bool
    start_time: Timestamp
    end_time: Timestamp

    def HasField(self, name: str) -> bool: ...


class UsageService(usage_pb2_grpc.UsageServiceServicer):
    """Raises TollkeeperError as the contract says. Members see what is theirs or their teams' (B4)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListUsage(
        self, request: usage_pb2.ListUsageRequest, context: object
    ) -> usage_pb2.ListUsageResponse:
        """A page of the log, without attempts and entries."""
        page = page_of(request)
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            wanted = await _filter(connection, customer_id, request)
            owners = await _owners(connection, customer_id, wanted)
            rows = await request_log.list_requests(
                connection, customer_id, wanted, page.after, page.size + 1, owners
            )
        shown = rows[: page.size]
        return usage_pb2.ListUsageResponse(
            usage=[logged_entry(row) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["usage_id"]) if shown else "",
        )

    async def GetUsage(self, request: usage_pb2.GetUsageRequest, context: object) -> usage_pb2.UsageEntry:
        """A request with its attempts and ledger entries."""
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            usage_id = resource_id("usage", request.usage_id)
            row = await request_log.load_request(connection, customer_id, usage_id)
            if row is not None:
                entry = logged_entry(row, with_attempts=True)
            else:
                row = await request_log.load_record(connection, customer_id, usage_id)
                if row is None:
                    raise not_found("usage record", usage_id)
                entry = ledger_entry(row)
            if not await is_own(connection, row):
                raise not_found("usage record", usage_id)
            entry.entries.extend(
                entry_parts(await request_log.load_entries(connection, customer_id, usage_id))
            )
        return entry

    async def ExportUsage(
        self, request: usage_pb2.ExportUsageRequest, context: object
    ) -> AsyncIterator[usage_pb2.ExportUsageResponse]:
        """Page by page, each in a snapshot of its own: memory and snapshots stay small whatever is asked."""
        if request.format not in usage_pb2.ExportFormat.values():
            raise invalid("format isn't known.", field="format")
        jsonl = request.format == usage_pb2.EXPORT_FORMAT_JSONL
        lines = json_lines if jsonl else csv_lines
        async with self._database.read() as connection:
            customer_ids = await _exported_customers(connection, request.customer_id)
            estimate = 0
            for customer_id in customer_ids:
                wanted = await _filter(connection, customer_id, request)
                estimate += await _estimate(connection, customer_id, wanted, request)
        yield usage_pb2.ExportUsageResponse(text="" if jsonl else csv_heading(), estimated_row_count=estimate)
        for customer_id in customer_ids:
            async for rows in self._pages(customer_id, request):
                text = lines(logged_entry(row, with_attempts=True) for row in rows)
                yield usage_pb2.ExportUsageResponse(text=text, row_count=len(rows))

    async def _pages(
        self, customer_id: str, request: usage_pb2.ExportUsageRequest
    ) -> AsyncIterator[list[Row]]:
        before: str | None = None
        while True:
            async with self._database.read() as connection:
                wanted = await _filter(connection, customer_id, request)
                owners = await _owners(connection, customer_id, wanted)
                rows = await request_log.list_requests(
                    connection, customer_id, wanted, before, EXPORT_PAGE, owners
                )
            if rows:
                yield list(rows)
            if len(rows) < EXPORT_PAGE:
                return
            before = rows[-1]["usage_id"]

    async def GetUsageSummary(
        self, request: usage_pb2.GetUsageSummaryRequest, context: object
    ) -> usage_pb2.UsageSummary:
        """Totals of a period and of the last day (A15)."""
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            key_id = await _key_id(connection, customer_id, request.key_id)
            return await usage_sums.summary(connection, customer_id, key_id, request)

    async def QueryUsage(
        self, request: usage_pb2.QueryUsageRequest, context: object
    ) -> usage_pb2.QueryUsageResponse:
        """Totals by hour, day or month."""
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            key_id = await _key_id(connection, customer_id, request.key_id)
            return await usage_sums.series(connection, customer_id, key_id, request)


async def _key_id(connection: Connection, customer_id: str, name: str) -> str:
    """The id of a key named by id or hash that the caller may see; empty for none. Raises NOT_FOUND."""
    if not name:
        return ""
    found = await keys.find_key(connection, name, customer_id)
    if found is None or not await is_own(connection, await keys.load_key(connection, *found)):
        raise not_found("key", name)
    return found[1]


async def _filter(connection: Connection, customer_id: str, request: Filters) -> LogFilter:
    for name in ("user_id", "team_id", "provider_id"):
        value = getattr(request, name)
        if value and not is_uuid(value):
            raise invalid(f"{name} is not a UUID.", field=name)
    for name in ("end_user", "tag", "model"):
        if len(getattr(request, name)) > MAX_FILTER_CHARS:
            raise invalid(f"{name} is longer than {MAX_FILTER_CHARS} characters.", field=name)
    if request.state not in edge_pb2.UsageState.values():
        raise invalid("state isn't known.", field="state")
    return LogFilter(
        key_id=await _key_id(connection, customer_id, request.key_id),
        user_id=request.user_id.lower(),
        team_id=request.team_id.lower(),
        end_user=request.end_user,
        tag=request.tag,
        model=request.model,
        provider_id=request.provider_id.lower(),
        state=request.state,
        status=request.status,
        without_refused=request.without_refused,
        first=_first_id(checked_time(request, "start_time")),
        last=_first_id(checked_time(request, "end_time")),
    )


def _first_id(moment: datetime | None) -> str:
    return str(first_at(moment)) if moment is not None else ""


async def _owners(connection: Connection, customer_id: str, wanted: LogFilter) -> Owners | None:
    """Whose requests the caller may see; None for all that are wanted. A key was looked at already."""
    if sees_all() or wanted.key_id:
        return None
    user_id = caller().user_id
    of_user = await teams.teams_of_users(connection, customer_id, [user_id])
    return Owners(user_id, of_user.get(user_id, []))


async def _exported_customers(connection: Connection, requested: str) -> list[str]:
    if requested != ALL_CUSTOMERS:
        return [await scoped_customer(connection, requested, deleted_too=True)]
    require_operator("export the requests of all customers")
    return await customers.all_ids(connection)


async def _estimate(
    connection: Connection, customer_id: str, wanted: LogFilter, request: usage_pb2.ExportUsageRequest
) -> int:
    """What the sums say of the narrowest filter that they know."""
    known = (
        (Dimension.KEY, wanted.key_id),
        (Dimension.TAG, wanted.tag),
        (Dimension.END_USER, wanted.end_user),
        (Dimension.USER, wanted.user_id if sees_all() else caller().user_id),
        (Dimension.TEAM, wanted.team_id),
        (Dimension.PROVIDER, wanted.provider_id),
        (Dimension.MODEL, wanted.model),
        (Dimension.CUSTOMER, customer_id),
    )
    dimension, value = next((dimension, value) for dimension, value in known if value)
    period = usage_sums.hours(request)
    row = await rollups.totals(connection, SumFilter(customer_id, dimension, [value], *period), NEVER)
    return int(row["total_request_count"]) + int(row["total_refused_count"])
