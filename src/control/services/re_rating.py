"""ReRateUsage: a period at today's prices, customer by customer, in bounded calls (docs/pricing.md)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from control.domain.re_rating import PricesInForce, Wanted
from control.ledger import re_rating
from control.ledger.batch import BatchResult
from control.ledger.re_rating import BATCH, Tally
from control.services.audit import record_change
from control.services.paging import page_of
from control.services.scope import scoped_customer
from control.services.times import checked_time
from control.store import customers
from control.store import re_rating as store
from control.store.database import Connection, Database
from control.store.ledger import database_now
from control.store.tables import PLATFORM_CUSTOMER_ID
from tollkeeper.errors import invalid
from tollkeeper.ids import uuid7
from tollkeeper.v1 import prices_pb2

DEFAULT_REQUESTS = 5000
MAX_REQUESTS = 10_000
# Customers looked at in one call, most of them without any request in the period.
MAX_CUSTOMERS = 500


@dataclass(frozen=True, slots=True)
class _Period:
    start_time: datetime
    end_time: datetime
    wanted: Wanted
    dry_run: bool


class ReRating:
    """Serves one call after the other; `on_result` hears of room and alerts after each commit."""

    def __init__(self, database: Database, on_result: Callable[[str, BatchResult], None]) -> None:
        self._database = database
        self._on_result = on_result

    async def page(self, request: prices_pb2.ReRateUsageRequest) -> prices_pb2.ReRateUsageResponse:
        """Looks at a page of requests. Raises INVALID_ARGUMENT for a period that isn't one."""
        page = page_of(request, MAX_REQUESTS)
        left = page.size if request.page_size else DEFAULT_REQUESTS
        period = _period(request)
        last_customer_id, _, after = (page.after or "").partition(":")
        async with self._database.read() as connection:
            customer_ids = await _customers(connection, request.customer_id, last_customer_id)
            prices = PricesInForce(await store.prices_in_force(connection, await database_now(connection)))
        response = prices_pb2.ReRateUsageResponse()
        cursor, total = "", Tally()
        for customer_id in customer_ids[:MAX_CUSTOMERS]:
            since = after if customer_id == last_customer_id else ""
            tally, last_id = await self._customer(customer_id, period, prices, since, left)
            left -= tally.request_count
            total.add(tally)
            cursor = f"{customer_id}:{last_id}"
            if tally.request_count:
                response.customers.append(_message(customer_id, tally))
            if left <= 0:
                break
        more = left <= 0 or len(customer_ids) > MAX_CUSTOMERS
        response.next_page_token = page.token(cursor) if more else ""
        if not request.dry_run:
            response.re_rating_id = await self._record(request, total)
        return response

    async def _customer(
        self, customer_id: str, period: _Period, prices: PricesInForce, after: str, most: int
    ) -> tuple[Tally, str]:
        """A customer's requests, up to so many; returns what came of them, and the last one's id."""
        tally = Tally()
        async with self._database.read() as connection:
            now = await database_now(connection)
            prices.set_own(await store.prices_in_force(connection, now, customer_id))
        while tally.request_count < most:
            limit = min(BATCH, most - tally.request_count)
            async with self._database.read() as connection:
                usage_ids = await store.list_reported(
                    connection, customer_id, period.wanted, period.start_time, period.end_time, after, limit
                )
                if not usage_ids:
                    break
                if period.dry_run:
                    batch = await re_rating.preview(connection, customer_id, usage_ids, period.wanted, prices)
            if not period.dry_run:
                batch = await self._correct(customer_id, list(usage_ids), period.wanted, prices)
            # Every id counts, also of requests that are no longer reported.
            batch.request_count = len(usage_ids)
            tally.add(batch)
            after = usage_ids[-1]
        return tally, after

    async def _correct(
        self, customer_id: str, usage_ids: list[str], wanted: Wanted, prices: PricesInForce
    ) -> Tally:
        async def work(connection: Connection) -> Tally:
            return await re_rating.re_rate(connection, customer_id, usage_ids, wanted, prices)

        tally = await self._database.write_again(work)
        self._on_result(customer_id, tally.result)
        return tally

    async def _record(self, request: prices_pb2.ReRateUsageRequest, total: Tally) -> str:
        """Leaves an entry in the audit log; returns its resource's id."""
        done = prices_pb2.ReRating(
            re_rating_id=str(uuid7()),
            start_time=request.start_time,
            end_time=request.end_time,
            provider_type=request.provider_type,
            model=request.model,
            request_count=total.request_count,
            changed_count=total.changed_count,
            before_nanousd=total.before_nanousd,
            after_nanousd=total.after_nanousd,
        )

        async def work(connection: Connection) -> None:
            owner = PLATFORM_CUSTOMER_ID
            if request.customer_id:
                owner = await scoped_customer(connection, request.customer_id, deleted_too=True)
                done.customer_id = owner
            await record_change(connection, owner, None, done)

        await self._database.write_again(work)
        return done.re_rating_id


def _period(request: prices_pb2.ReRateUsageRequest) -> _Period:
    start_time, end_time = checked_time(request, "start_time"), checked_time(request, "end_time")
    if start_time is None or end_time is None:
        field = "start_time" if start_time is None else "end_time"
        raise invalid(f"{field} is needed.", field=field)
    if start_time >= end_time:
        raise invalid("start_time must be before end_time.", field="end_time")
    wanted = Wanted(request.provider_type, request.model)
    return _Period(start_time, end_time, wanted, request.dry_run)


async def _customers(connection: Connection, requested: str, first: str) -> list[str]:
    """Those to look at, from the one that the call before ended with."""
    if requested:
        return [await scoped_customer(connection, requested, deleted_too=True)]
    return [each for each in await customers.all_ids(connection) if each >= first]


def _message(customer_id: str, tally: Tally) -> prices_pb2.CustomerReRating:
    return prices_pb2.CustomerReRating(
        customer_id=customer_id,
        request_count=tally.request_count,
        changed_count=tally.changed_count,
        before_nanousd=tally.before_nanousd,
        after_nanousd=tally.after_nanousd,
        unpriced_count=tally.unpriced_count,
    )
