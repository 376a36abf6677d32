"""What edges ask about objects that vendors keep (DESIGN §7)."""

import asyncio
import time
from collections.abc import Sequence

from control.domain.kept_objects import MAX_OBJECTS
from control.domain.records import RejectedRecord, report
from control.store import kept_objects
from control.store.database import Database
from control.store.price_rates import PriceRatesCache
from control.store.rows import Row
from tollkeeper.errors import invalid, not_found
from tollkeeper.ids import is_object_id, is_uuid
from tollkeeper.v1 import edge_pb2

MAX_WAIT_S = 2.0
# From a settlement that is under way to one that waits behind others.
FIRST_PAUSE_S = 0.05
DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000


async def find(database: Database, request: edge_pb2.FindKeptObjectsRequest) -> list[edge_pb2.FoundObject]:
    """Those that are the customer's, in the order asked for; looked for again and again while some are
    missing and there is time. No connection is held meanwhile."""
    _check_customer(request.customer_id)
    wanted = list(dict.fromkeys(request.object_ids))
    if not 1 <= len(wanted) <= MAX_OBJECTS:
        raise invalid(f"1 to {MAX_OBJECTS} object_ids a call.", field="object_ids")
    possible = [object_id for object_id in wanted if is_object_id(object_id)]
    deadline_s = time.monotonic() + min(MAX_WAIT_S, request.wait.ToTimedelta().total_seconds())
    pause_s = FIRST_PAUSE_S
    while True:
        rows = await _look(database, request.customer_id, possible)
        left_s = deadline_s - time.monotonic()
        if len(rows) == len(possible) or left_s <= 0:
            return [found_object(rows[object_id]) for object_id in possible if object_id in rows]
        await asyncio.sleep(min(pause_s, left_s))
        pause_s *= 2


async def newest(database: Database, request: edge_pb2.ScanKeptObjectsRequest) -> list[edge_pb2.FoundObject]:
    """A page of one kind, the newest first."""
    _check_customer(request.customer_id)
    if not 0 <= request.page_size <= MAX_PAGE_SIZE:
        raise invalid(f"page_size is 0 to {MAX_PAGE_SIZE}.", field="page_size")
    size = request.page_size or DEFAULT_PAGE_SIZE
    async with database.read() as connection:
        rows = await kept_objects.newest(
            connection, request.customer_id, request.kind, request.before_object_id, size
        )
    return [found_object(row) for row in rows]


async def reported_record(
    database: Database, prices: PriceRatesCache, request: edge_pb2.ReportKeptObjectRequest
) -> edge_pb2.UsageRecord | None:
    """The record of a pending object's request with the usage that its end brought; None when that was
    reported before. Raises NOT_FOUND for what isn't the customer's."""
    record = await pending_record(database, request.customer_id, request.object_id)
    if record is None:
        return None
    price_ids = {attempt.price_id for attempt in record.attempts}
    try:
        report(record, request, await prices.rates(record.customer_id, price_ids))
    except RejectedRecord as rejection:
        raise invalid(f"This can't be posted: {rejection}.") from None
    return record


async def pending_record(database: Database, customer_id: str, object_id: str) -> edge_pb2.UsageRecord | None:
    """The estimated record of a pending object; None for one that isn't pending. Raises NOT_FOUND for what
    isn't the customer's."""
    _check_customer(customer_id)
    row = (await _look(database, customer_id, [object_id])).get(object_id)
    if row is None:
        raise not_found("kept object", object_id)
    stored: bytes | None = row["pending_record"]
    return edge_pb2.UsageRecord.FromString(stored) if stored is not None else None


async def remove(database: Database, request: edge_pb2.DeleteKeptObjectRequest) -> None:
    """Forgets one object."""
    _check_customer(request.customer_id)
    async with database.write() as connection:
        await kept_objects.remove(connection, request.customer_id, request.object_id)


async def _look(database: Database, customer_id: str, object_ids: Sequence[str]) -> dict[str, Row]:
    if not object_ids:
        return {}
    async with database.read() as connection:
        rows = await kept_objects.find(connection, customer_id, object_ids)
    return {row["object_id"]: row for row in rows}


def found_object(row: Row) -> edge_pb2.FoundObject:
    """The message of an object's row."""
    found = edge_pb2.FoundObject(
        object_id=row["object_id"],
        kind=row["kind"],
        provider_id=row["provider_id"],
        usage_id=row["usage_id"],
        pending=row["pending_record"] is not None,
    )
    if row["batch_input"] is not None:
        found.batch_input.ParseFromString(row["batch_input"])
    return found


def _check_customer(customer_id: str) -> None:
    if not is_uuid(customer_id):
        raise invalid("customer_id is not a UUID.", field="customer_id")
