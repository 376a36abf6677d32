"""What edges are told of objects whose end nobody has seen, and what they say of ends that won't be known
(L15)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from control.domain.records import RejectedRecord, prepare, price_ids
from control.domain.sealing import SealError
from control.metrics import Metrics
from control.services.kept_objects import found_object, pending_record
from control.store import pending_objects
from control.store.database import Database
from control.store.grants import provider_rule
from control.store.price_rates import PriceRatesCache
from control.store.rows import Row
from tollkeeper.errors import invalid
from tollkeeper.v1 import edge_pb2

MAX_KINDS = 16
MAX_COUNT = 100
_WHY = re.compile(r"[a-z][a-z_]{0,39}")

log = structlog.get_logger()

OpenCredential = Callable[[bytes, str], str]


async def claim(
    database: Database,
    metrics: Metrics,
    open_credential: OpenCredential,
    request: edge_pb2.ClaimPendingObjectsRequest,
) -> edge_pb2.ClaimPendingObjectsResponse:
    """Hands out what is due."""
    if not 1 <= request.count <= MAX_COUNT:
        raise invalid(f"count is 1 to {MAX_COUNT}.", field="count")
    if len(request.kinds) > MAX_KINDS:
        raise invalid(f"At most {MAX_KINDS} kinds.", field="kinds")
    kinds = list(request.kinds)
    async with database.write() as connection:
        rows = await pending_objects.claim(connection, kinds, request.count)
        next_in = await pending_objects.next_in(connection, kinds)
    for row in rows:
        metrics.look_delay_seconds.observe(row["late"].total_seconds())
    answer = edge_pb2.ClaimPendingObjectsResponse()
    for row in rows:
        try:
            answer.objects.append(_message(row, open_credential))
        except SealError as error:
            # It comes again, perhaps to a replica that has the key; others don't wait for it.
            log.error("credential_not_opened", provider_id=row["provider_id"], error=str(error))
    if next_in is not None:
        answer.next_in.FromTimedelta(next_in)
    return answer


async def leave_estimated(
    database: Database, prices: PriceRatesCache, request: edge_pb2.ReportKeptObjectRequest
) -> None:
    """Takes an end that won't be known: the estimate stays and says why. Raises NOT_FOUND."""
    if _WHY.fullmatch(request.why_unknown) is None:
        raise invalid("why_unknown is a word.", field="why_unknown")
    record = await pending_record(database, request.customer_id, request.object_id)
    if record is None:
        return
    record.attempts[-1].why = request.why_unknown
    rates = await prices.rates(record.customer_id, price_ids(record))
    try:
        prepared = prepare(record, rates, datetime.now(UTC))
    except RejectedRecord as rejection:
        raise invalid(f"This can't be kept: {rejection}.") from None
    await database.write_again(lambda connection: pending_objects.stop_looking(connection, prepared))


def _message(row: Row, open_credential: OpenCredential) -> edge_pb2.PendingObject:
    record = edge_pb2.UsageRecord.FromString(row["pending_record"])
    pending = edge_pb2.PendingObject(
        object=found_object({**row, "provider_id": row["kept_by"]}),
        grant=edge_pb2.Grant(
            customer_id=record.customer_id,
            key_id=record.key_id,
            team_id=record.team_id,
            user_id=record.user_id,
            cf_gateway_id=row["cf_gateway_id"] or "",
        ),
    )
    pending.age.FromTimedelta(row["age"])
    if row["provider_id"] is not None:
        pending.grant.rules.append(provider_rule(row, open_credential))
        pending.grant.rules[0].provider_enabled = True
    return pending
