"""Taking global prices over: one by one, and whole lists, with a preview of what they change
(docs/pricing.md)."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from control.catalogue.files import prices_of_csv, prices_of_json
from control.domain.price_list import (
    Change,
    ChangeKind,
    ListedPrice,
    Name,
    PriceList,
    Schedule,
    Slot,
    take_over,
)
from control.domain.prices import rates_to_proto
from control.services.audit import record_change
from control.services.convert import timestamp
from control.services.resource_grants import is_platform
from control.store import prices as store
from control.store.database import Connection
from control.store.grants import price_message
from control.store.providers import lock_users
from control.store.resources import lock_customers, transaction_time
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID
from control.store.versions import customers_changed
from tollkeeper.errors import Reason, TollkeeperError, invalid
from tollkeeper.v1 import prices_pb2

Source = prices_pb2.PriceSource
Response = prices_pb2.ImportPricesResponse
PriceChangeKind = prices_pb2.PriceChangeKind


async def read_list(request: prices_pb2.ImportPricesRequest) -> PriceList:
    """The list that a request names or holds. Raises INVALID_ARGUMENT."""
    match request.source:
        case Source.PRICE_SOURCE_GENAI_PRICES:
            return await asyncio.to_thread(_installed)
        case Source.PRICE_SOURCE_JSON:
            return await asyncio.to_thread(prices_of_json, request.content)
        case Source.PRICE_SOURCE_CSV:
            return await asyncio.to_thread(prices_of_csv, request.content)
    raise invalid("source is needed.", field="source")


def _installed() -> PriceList:
    # Half a second and 30 MB, for those who import only.
    from control.catalogue.genai import genai_prices

    return genai_prices(datetime.now(UTC))


async def preview_list(connection: Connection, prices: PriceList) -> Response:
    """What taking the list over would change."""
    _, changes = await _planned(connection, prices)
    return _response(prices, changes)


async def apply_list(connection: Connection, prices: PriceList, digest: str) -> Response:
    """Takes the list over. Raises ETAG_MISMATCH when it changes something else than was looked at."""
    await store.lock_models(connection)
    schedules, changes = await _planned(connection, prices)
    response = _response(prices, changes)
    if digest and digest != response.digest:
        raise TollkeeperError(
            Reason.ETAG_MISMATCH,
            "The list changes something else now than in the dry run: look at it again.",
            {"digest": digest, "current_digest": response.digest},
        )
    await _save(connection, schedules, changes)
    return response


async def create_global(connection: Connection, price: ListedPrice) -> Row:
    """One price, in force from its time until the next that was announced."""
    await store.lock_model(connection, price.model)
    now = await transaction_time(connection)
    schedules = await store.load_schedules(connection, [price.model], now)
    schedule = schedules.setdefault(price.name, Schedule())
    change = Change(ChangeKind.ADDED, price, schedule.at(max(now, price.effective_time or now)))
    schedule.put(price, now)
    await _find_closed(connection, [change], now)
    (row,) = await _save(connection, schedules, [change])
    return row


async def _planned(connection: Connection, prices: PriceList) -> tuple[dict[Name, Schedule], list[Change]]:
    now = await transaction_time(connection)
    models = {price.model for price in prices.prices}
    schedules = await store.load_schedules(connection, models, now)
    changes = take_over(prices.prices, schedules, now)
    changes += [
        Change(ChangeKind.SKIPPED, ListedPrice(each.provider_type, each.model, {}), why=each.why)
        for each in prices.skipped
    ]
    await _find_closed(connection, changes, now)
    return schedules, changes


async def _find_closed(connection: Connection, changes: Sequence[Change], now: datetime) -> None:
    """Adds to each change the own prices that it ends: the first one of a model name does (A7)."""
    first: dict[str, Change] = {}
    for change in changes:
        if change.kind in (ChangeKind.ADDED, ChangeKind.CHANGED):
            other = first.get(change.listed.model)
            if other is None or _start(change, now) < _start(other, now):
                first[change.listed.model] = change
    from_times = {model: _start(change, now) for model, change in first.items()}
    for row in await store.own_prices(connection, from_times):
        first[row["model"]].closed.append({**row, "end_time": from_times[row["model"]]})


def _start(change: Change, now: datetime) -> datetime:
    return max(now, change.listed.effective_time or now)


async def _save(
    connection: Connection, schedules: dict[Name, Schedule], changes: Sequence[Change]
) -> Sequence[Row]:
    """Writes everything; tells the edges of the customers whose own prices end."""
    closed = [row for change in changes for row in change.closed]
    customer_ids = {row["customer_id"] for row in closed}
    await lock_customers(connection, sorted(customer_ids))
    for row in closed:
        if is_platform(row["customer_id"]):
            customer_ids.update(await lock_users(connection, row["provider_id"]))
        await store.end_own(connection, row["customer_id"], row["price_id"], row["end_time"])
        before = price_message({**row, "end_time": None})
        await record_change(connection, row["customer_id"], before, price_message(row))
    rows = await store.save_schedules(connection, schedules)
    for row in rows:
        await record_change(connection, PLATFORM_CUSTOMER_ID, None, price_message(row))
    if customer_ids:
        await customers_changed(connection, sorted(customer_ids))
    return rows


def _response(prices: PriceList, changes: Sequence[Change]) -> Response:
    response = Response(source=prices.source, changes=[_change_message(change) for change in changes])
    content = hashlib.sha256()
    for message in response.changes:
        content.update(message.SerializeToString(deterministic=True))
    response.digest = content.hexdigest()
    kinds = [change.kind for change in changes]
    response.added_count = kinds.count(ChangeKind.ADDED)
    response.changed_count = kinds.count(ChangeKind.CHANGED)
    response.unchanged_count = kinds.count(ChangeKind.UNCHANGED)
    response.skipped_count = kinds.count(ChangeKind.SKIPPED)
    response.closed_own_count = sum(len(change.closed) for change in changes)
    return response


def _change_message(change: Change) -> prices_pb2.PriceChange:
    listed = change.listed
    message = prices_pb2.PriceChange(
        kind=PriceChangeKind.Name(change.kind),
        provider_type=listed.provider_type,
        model=listed.model,
        why=change.why,
        closed_own_prices=[_closed_message(row) for row in change.closed],
    )
    if change.before is not None:
        message.before.CopyFrom(_price(listed, change.before))
    if change.kind is not ChangeKind.SKIPPED:
        message.after.CopyFrom(_price(listed, listed))
    return message


def _price(listed: ListedPrice, values: ListedPrice | Slot) -> prices_pb2.Price:
    new_slot = isinstance(values, Slot) and not values.price_id
    return prices_pb2.Price(
        price_id=values.price_id if isinstance(values, Slot) else "",
        provider_type=listed.provider_type,
        model=listed.model,
        rates=rates_to_proto(values.rates),
        max_output_tokens=values.max_output_tokens,
        context_tokens=values.context_tokens,
        # What another line of this list begins: its time may be now, which moves on.
        effective_time=None if new_slot else timestamp(values.effective_time),
    )


def _closed_message(row: Row) -> prices_pb2.Price:
    """Without its end, which moves with the clock and isn't of what was looked at."""
    return price_message({**row, "end_time": None})
