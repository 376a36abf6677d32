"""PricePlansService: what customers pay on top of global prices (docs/pricing.md)."""

from collections.abc import Iterable
from typing import Any

from control.caller import caller
from control.domain.price_plans import check_markup, check_model_markups, model_markup_messages
from control.services.audit import record_change
from control.services.convert import check_etag, checked_name, etag, masked_fields, resource_id, timestamp
from control.services.once import once
from control.services.paging import page_of
from control.store import price_plans as store
from control.store.database import Connection, Database
from control.store.resources import lock_customer, transaction_time
from control.store.rows import Row
from control.store.tables import PLATFORM_CUSTOMER_ID
from control.store.versions import customers_changed
from tollkeeper.errors import Reason, TollkeeperError, already_exists, not_found
from tollkeeper.ids import uuid7
from tollkeeper.v1 import price_plans_pb2, price_plans_pb2_grpc

PricePlan = price_plans_pb2.PricePlan

_CHANGEABLE = ("name", "markup_ppm", "model_markups", "granted_to_all")


class PricePlansService(price_plans_pb2_grpc.PricePlansServiceServicer):
    """Raises TollkeeperError as the contract says."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreatePricePlan(
        self, request: price_plans_pb2.CreatePricePlanRequest, context: object
    ) -> PricePlan:
        """A new plan; when it is granted to all, it acts on every customer without another."""

        async def work(connection: Connection) -> PricePlan:
            return await once(
                connection,
                PLATFORM_CUSTOMER_ID,
                request,
                PricePlan,
                lambda: _create(connection, request.price_plan),
            )

        return await self._database.write_again(work)

    async def GetPricePlan(self, request: price_plans_pb2.GetPricePlanRequest, context: object) -> PricePlan:
        """Operators: any plan, deleted ones too. Others: the plan of their own customer."""
        price_plan_id = resource_id("price_plan", request.price_plan_id)
        async with self._database.read() as connection:
            if caller().operator:
                return _message(await store.load_plan(connection, price_plan_id))
            own = await store.plan_of(connection, caller().customer_id)
            if own is None or own["price_plan_id"] != price_plan_id:
                raise not_found("price plan", price_plan_id)
            return _message(own)

    async def ListPricePlans(
        self, request: price_plans_pb2.ListPricePlansRequest, context: object
    ) -> price_plans_pb2.ListPricePlansResponse:
        """Operators: live plans, oldest first. Others: the plan of their own customer, if it has one."""
        page = page_of(request)
        async with self._database.read() as connection:
            if caller().operator:
                rows = await store.list_plans(connection, page.after, page.size + 1)
            else:
                own = await store.plan_of(connection, caller().customer_id)
                rows = [] if own is None else [own]
        shown = rows[: page.size]
        return price_plans_pb2.ListPricePlansResponse(
            price_plans=[_message(row) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["price_plan_id"]) if shown else "",
        )

    async def UpdatePricePlan(
        self, request: price_plans_pb2.UpdatePricePlanRequest, context: object
    ) -> PricePlan:
        """Changes the masked fields, for requests that begin from now on."""
        sent = request.price_plan
        fields = masked_fields(request.update_mask, sent, _CHANGEABLE)
        price_plan_id = resource_id("price_plan", sent.price_plan_id)

        async def work(connection: Connection) -> PricePlan:
            await lock_customer(connection, PLATFORM_CUSTOMER_ID)
            row = await store.load_live_plan(connection, price_plan_id)
            check_etag(sent.etag, row["revision"])
            values = _columns(sent, fields)
            await _check_unique(connection, price_plan_id, {**row, **values})
            without_plan = row["granted_to_all"] or values.get("granted_to_all", False)
            affected = await store.lock_customers_of(connection, price_plan_id, without_plan)
            message = _message(await store.update_plan(connection, price_plan_id, values))
            await record_change(connection, PLATFORM_CUSTOMER_ID, _message(row), message)
            await customers_changed(connection, affected)
            return message

        return await self._database.write_again(work)

    async def DeletePricePlan(
        self, request: price_plans_pb2.DeletePricePlanRequest, context: object
    ) -> PricePlan:
        """Ends a plan; refused while customers have chosen it, unless forced."""
        price_plan_id = resource_id("price_plan", request.price_plan_id)

        async def work(connection: Connection) -> PricePlan:
            await lock_customer(connection, PLATFORM_CUSTOMER_ID)
            row = await store.load_live_plan(connection, price_plan_id)
            check_etag(request.etag, row["revision"])
            affected = await store.lock_customers_of(connection, price_plan_id, row["granted_to_all"])
            count = await store.count_customers(connection, price_plan_id)
            if count and not request.force:
                raise TollkeeperError(
                    Reason.IN_USE,
                    f"{count} customers have chosen the plan; force gives them the one granted to all.",
                    {"resource": "price plan", "resource_id": price_plan_id, "customers": str(count)},
                )
            now = await transaction_time(connection)
            message = _message(await store.delete_plan(connection, price_plan_id, now))
            await record_change(connection, PLATFORM_CUSTOMER_ID, _message(row), message)
            await customers_changed(connection, affected)
            return message

        return await self._database.write_again(work)


async def _create(connection: Connection, sent: PricePlan) -> PricePlan:
    await lock_customer(connection, PLATFORM_CUSTOMER_ID)
    price_plan_id = str(uuid7())
    values = _columns(sent, _CHANGEABLE)
    await _check_unique(connection, price_plan_id, values)
    affected = await store.lock_customers_of(connection, price_plan_id, values["granted_to_all"])
    message = _message(await store.insert_plan(connection, price_plan_id, values))
    await record_change(connection, PLATFORM_CUSTOMER_ID, None, message)
    await customers_changed(connection, affected)
    return message


async def _check_unique(connection: Connection, price_plan_id: str, values: Row) -> None:
    name, granted_to_all = values["name"], values["granted_to_all"]
    for other in await store.other_plans(connection, price_plan_id, name, granted_to_all):
        if other["name"] == name:
            raise already_exists("price plan", "name", name)
        raise already_exists("price plan", "granted_to_all", "true")


def _columns(sent: PricePlan, fields: Iterable[str]) -> dict[str, Any]:
    """What the named fields of the message write to their columns."""
    values: dict[str, Any] = {}
    for field in fields:
        match field:
            case "name":
                values[field] = checked_name(sent.name)
            case "markup_ppm":
                values[field] = check_markup(sent.markup_ppm)
            case "model_markups":
                values[field] = check_model_markups(sent.model_markups)
            case _:
                values[field] = sent.granted_to_all
    return values


def _message(row: Row) -> PricePlan:
    return PricePlan(
        price_plan_id=row["price_plan_id"],
        name=row["name"],
        markup_ppm=row["markup_ppm"],
        model_markups=model_markup_messages(row["model_markups"]),
        granted_to_all=row["granted_to_all"],
        etag=etag(row["revision"]),
        create_time=timestamp(row["create_time"]),
        delete_time=timestamp(row["delete_time"]),
    )
