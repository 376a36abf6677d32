"""PricesService: what models cost. Rows are never edited: a new one supersedes (docs/pricing.md)."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from control.caller import caller
from control.domain.models import check_model
from control.domain.price_list import ListedPrice
from control.domain.prices import check_rates, check_token_count
from control.domain.providers import provider_type
from control.ledger.batch import BatchResult
from control.services.access import require_operator
from control.services.audit import record_change
from control.services.convert import resource_id, timestamp
from control.services.moments import moment
from control.services.once import once
from control.services.paging import page_of
from control.services.price_import import apply_list, create_global, preview_list, read_list
from control.services.re_rating import ReRating
from control.services.resource_grants import check_platform, is_platform, tell_edges
from control.services.scope import scoped_customer
from control.store import prices as store
from control.store.database import Connection, Database
from control.store.grants import price_message
from control.store.providers import load_live_provider, lock_users
from control.store.resources import lock_customer, transaction_time
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID
from tollkeeper.errors import Reason, TollkeeperError, already_exists, invalid, not_found
from tollkeeper.v1 import prices_pb2, prices_pb2_grpc

Price = prices_pb2.Price

# All of a customer's own prices travel in its grants.
MAX_OWN_PRICES = 1000


class PricesService(prices_pb2_grpc.PricesServiceServicer):
    """Raises TollkeeperError as the contract says."""

    def __init__(self, database: Database, on_result: Callable[[str, BatchResult], None]) -> None:
        self._database = database
        self._re_rating = ReRating(database, on_result)

    async def CreatePrice(self, request: prices_pb2.CreatePriceRequest, context: object) -> prices_pb2.Price:
        """A new price, in force from its effective time; a time that is past, or none, means now."""
        sent = request.price
        if not sent.provider_id:
            require_operator("set global prices")

        async def work(connection: Connection) -> Price:
            if not sent.provider_id:
                return await once(
                    connection, PLATFORM_CUSTOMER_ID, request, Price, lambda: _create_global(connection, sent)
                )
            customer_id = await scoped_customer(connection, sent.customer_id)
            return await once(
                connection, customer_id, request, Price, lambda: _create_own(connection, customer_id, sent)
            )

        return await self._database.write_again(work)

    async def GetPrice(self, request: prices_pb2.GetPriceRequest, context: object) -> prices_pb2.Price:
        """A price, ended ones too: a global one, or one of the caller's customer."""
        async with self._database.read() as connection:
            return price_message(await _reach(connection, request.price_id))

    async def ListPrices(
        self, request: prices_pb2.ListPricesRequest, context: object
    ) -> prices_pb2.ListPricesResponse:
        """Global prices, or a customer's own, in the order they were made."""
        page = page_of(request)
        async with self._database.read() as connection:
            customer_id = PLATFORM_CUSTOMER_ID
            if request.customer_id:
                customer_id = await scoped_customer(connection, request.customer_id)
            now = await transaction_time(connection)
            rows = await store.list_prices(
                connection,
                customer_id,
                page.after,
                page.size + 1,
                now,
                request.model,
                request.show_ended,
                own=bool(request.customer_id),
            )
        shown = rows[: page.size]
        return prices_pb2.ListPricesResponse(
            prices=[price_message(row) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["price_id"]) if shown else "",
        )

    async def DeletePrice(self, request: prices_pb2.DeletePriceRequest, context: object) -> prices_pb2.Price:
        """Ends a price now; requests under way keep it."""

        async def work(connection: Connection) -> Price:
            row = await _reach(connection, request.price_id)
            now = await transaction_time(connection)
            if row["end_time"] is not None and row["end_time"] <= now:
                raise not_found("price", request.price_id)
            customer_id, price_id = row["customer_id"], row["price_id"]
            users: Sequence[str] = ()
            is_global = row["provider_id"] is None
            if customer_id == PLATFORM_CUSTOMER_ID:
                require_operator("end prices of the platform")
            if is_global:
                await store.end_global(connection, price_id, now)
            else:
                await lock_customer(connection, customer_id)
                users = await _users(connection, customer_id, row["provider_id"])
                await store.end_own(connection, customer_id, price_id, now)
            message = price_message(await store.load_price(connection, price_id, [customer_id]))
            await record_change(connection, customer_id, price_message(row), message)
            if not is_global:
                await tell_edges(connection, customer_id, users)
            return message

        return await self._database.write_again(work)

    async def ImportPrices(
        self, request: prices_pb2.ImportPricesRequest, context: object
    ) -> prices_pb2.ImportPricesResponse:
        """Takes a list over, or tells what that would change."""
        prices = await read_list(request)
        if request.dry_run:
            async with self._database.read() as connection:
                return await preview_list(connection, prices)
        return await self._database.write_again(
            lambda connection: apply_list(connection, prices, request.digest)
        )

    async def ReRateUsage(
        self, request: prices_pb2.ReRateUsageRequest, context: object
    ) -> prices_pb2.ReRateUsageResponse:
        """Corrects what requests of a period cost to the prices in force now."""
        return await self._re_rating.page(request)

    async def ListMissingModels(
        self, request: prices_pb2.ListMissingModelsRequest, context: object
    ) -> prices_pb2.ListMissingModelsResponse:
        """Models that were asked for and have no price, by name; of all customers for operators who name
        none."""
        page = page_of(request)
        async with self._database.read() as connection:
            customer_id = ""
            if request.customer_id or not caller().operator:
                customer_id = await scoped_customer(connection, request.customer_id)
            now = await transaction_time(connection)
            rows = await store.list_missing_models(connection, customer_id, page.after, page.size + 1, now)
        shown = rows[: page.size]
        return prices_pb2.ListMissingModelsResponse(
            models=[
                prices_pb2.MissingModel(
                    model=row["model"],
                    request_count=int(row["request_count"]),
                    customer_count=row["customer_count"],
                    last_seen_time=timestamp(row["last_seen_time"]),
                )
                for row in shown
            ],
            next_page_token=page.next_token(rows, shown[-1]["model"]) if shown else "",
        )


async def _create_global(connection: Connection, sent: Price) -> Price:
    """Supersedes the former global price, and every customer's own price of the model name (A7)."""
    if sent.customer_id:
        raise invalid("A price of a customer's own needs a provider_id.", field="provider_id")
    now = await transaction_time(connection)
    type_name = provider_type(sent.provider_type)
    values = _values(sent, now)
    return price_message(await create_global(connection, ListedPrice(type_name, **values)))


async def _create_own(connection: Connection, customer_id: str, sent: Price) -> Price:
    if sent.provider_type:
        raise invalid("An own price names a provider, not a provider type.", field="provider_type")
    provider_id = resource_id("provider", sent.provider_id)
    now = await transaction_time(connection)
    values = {**_values(sent, now), "provider_id": provider_id}
    model = values["model"]
    await store.lock_model(connection, model)
    await lock_customer(connection, customer_id)
    await load_live_provider(connection, customer_id, provider_id)
    check_platform(customer_id)
    users = await _users(connection, customer_id, provider_id)
    if await store.has_global(connection, model, now):
        raise TollkeeperError(
            Reason.GLOBAL_PRICE_EXISTS,
            f"{model!r} has a global price, which an own one can't replace.",
            {"model": model},
        )
    if await store.has_own(connection, customer_id, provider_id, model, now):
        raise already_exists("price", "model", model)
    if await store.count_own(connection, customer_id, now) >= MAX_OWN_PRICES:
        raise invalid(f"A customer has at most {MAX_OWN_PRICES} own prices.", field="price")
    row = await store.insert_own(connection, customer_id, values)
    message = price_message(row)
    await record_change(connection, customer_id, None, message)
    await tell_edges(connection, customer_id, users)
    return message


async def _users(connection: Connection, customer_id: str, provider_id: str) -> Sequence[str]:
    """Customers whose grants hold the provider's prices beside its owner's, locked."""
    return await lock_users(connection, provider_id) if is_platform(customer_id) else ()


def _values(sent: Price, now: datetime) -> dict[str, Any]:
    effective_time = now
    if sent.HasField("effective_time"):
        effective_time = max(now, moment(sent.effective_time, "effective_time"))
    return {
        "model": check_model(sent.model),
        "rates": check_rates(sent.rates),
        "max_output_tokens": check_token_count(sent.max_output_tokens, "max_output_tokens"),
        "context_tokens": check_token_count(sent.context_tokens, "context_tokens"),
        "effective_time": effective_time,
    }


async def _reach(connection: Connection, price_id: str) -> Row:
    """The price of this id, if the caller may see it. Raises NOT_FOUND otherwise."""
    identity = caller()
    visible = None if identity.operator else [PLATFORM_CUSTOMER_ID, identity.customer_id]
    return await store.load_price(connection, resource_id("price", price_id), visible)
