"""RoutersService: ordered rules, written and replaced as a whole."""

from collections.abc import Sequence
from typing import Any

from control.domain.routing import checked_cache_ttl_s, deadlines_row, retries_row, rule_rows
from control.services.audit import record_change
from control.services.convert import (
    MAX_NAME_CHARS,
    check_etag,
    checked_name,
    masked_fields,
    resource_id,
)
from control.services.dry_run import dry_run
from control.services.once import once
from control.services.paging import page_of
from control.services.resource_grants import (
    GRANT_FIELDS,
    check_granting,
    check_may_change,
    check_platform,
    is_platform,
    tell_edges,
)
from control.services.router_message import all_shown, shown
from control.services.scope import scoped_customer
from control.store import resource_grants
from control.store import routers as store
from control.store.database import Connection, Database
from control.store.resource_grants import Kind
from control.store.resources import lock_customer, transaction_time
from control.store.rows import Row
from tollkeeper.errors import Reason, TollkeeperError, not_found
from tollkeeper.v1 import routers_pb2, routers_pb2_grpc

Router = routers_pb2.Router

_CHANGEABLE = ("name", "rules", "retries", "deadlines", "cache_ttl_s", *GRANT_FIELDS)


class RoutersService(routers_pb2_grpc.RoutersServiceServicer):
    """Raises TollkeeperError as the contract says."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateRouter(
        self, request: routers_pb2.CreateRouterRequest, context: object
    ) -> routers_pb2.Router:
        """A new router with its rules."""

        async def work(connection: Connection) -> Router:
            customer_id = await scoped_customer(connection, request.router.customer_id)
            return await once(
                connection,
                customer_id,
                request,
                Router,
                lambda: create_router(connection, customer_id, request),
            )

        return await self._database.write_again(work)

    async def GetRouter(self, request: routers_pb2.GetRouterRequest, context: object) -> routers_pb2.Router:
        """A router with its rules, the customer's own also when deleted."""
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            router_id = resource_id("router", request.router_id)
            row = await store.load_router(connection, customer_id, router_id)
            return await shown(connection, customer_id, row)

    async def ListRouters(
        self, request: routers_pb2.ListRoutersRequest, context: object
    ) -> routers_pb2.ListRoutersResponse:
        """Live routers with their rules, the platform's that are granted too, oldest first."""
        page = page_of(request)
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            rows = await store.list_routers(connection, customer_id, page.after, page.size + 1)
            listed = rows[: page.size]
            messages = await all_shown(connection, customer_id, listed)
        return routers_pb2.ListRoutersResponse(
            routers=messages,
            next_page_token=page.next_token(rows, listed[-1]["router_id"]) if listed else "",
        )

    async def UpdateRouter(
        self, request: routers_pb2.UpdateRouterRequest, context: object
    ) -> routers_pb2.Router:
        """Changes the masked fields, the rules as a whole."""
        sent = request.router
        fields = masked_fields(request.update_mask, sent, _CHANGEABLE)

        async def work(connection: Connection) -> Router:
            customer_id = await scoped_customer(connection, sent.customer_id)
            row, users = await _lock(connection, customer_id, sent.router_id)
            check_granting(customer_id, sent, fields)
            check_etag(sent.etag, row["revision"])
            before = await shown(connection, customer_id, row)
            changed = await _change(connection, row, sent, fields)
            withdrawn = await _withdraw(connection, changed, fields, users, request.force)
            message = await shown(connection, customer_id, changed)
            await record_change(connection, customer_id, before, message)
            await tell_edges(connection, customer_id, users, urgent=withdrawn)
            return message

        return await self._database.write_again(work)

    async def DeleteRouter(
        self, request: routers_pb2.DeleteRouterRequest, context: object
    ) -> routers_pb2.Router:
        """Ends a router; when forced, also the keys that use it."""

        async def work(connection: Connection) -> Router:
            customer_id = await scoped_customer(connection, request.customer_id)
            row, users = await _lock(connection, customer_id, request.router_id)
            check_platform(customer_id)
            check_etag(request.etag, row["revision"])
            if not request.force:
                within = None if is_platform(customer_id) else [customer_id]
                await _check_unused(connection, row, within, "revokes those keys with it")
            before = await shown(connection, customer_id, row)
            now = await transaction_time(connection)
            ended, rule_count, key_count = await store.delete_router(connection, row, now)
            message = await shown(connection, customer_id, ended)
            message.removed.routing_rule_count = rule_count
            message.removed.key_count = key_count
            await record_change(connection, customer_id, before, message)
            await tell_edges(connection, customer_id, users, urgent=True)
            return message

        return await self._database.write_again(work)

    async def DryRunRouter(
        self, request: routers_pb2.DryRunRouterRequest, context: object
    ) -> routers_pb2.DryRunRouterResponse:
        """Which attempts a request would get."""
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            return await dry_run(connection, customer_id, request)


async def create_router(
    connection: Connection, customer_id: str, request: routers_pb2.CreateRouterRequest
) -> Router:
    """A new router with its rules, in the caller's transaction."""
    sent = request.router
    await lock_customer(connection, customer_id)
    check_granting(customer_id, sent)
    name = checked_name(sent.name)
    if request.number_taken_name:
        name = await store.free_router_name(connection, customer_id, name, MAX_NAME_CHARS)
    values = {
        "granted_to_all": sent.granted_to_all,
        "retries": retries_row(sent.retries),
        "deadlines": deadlines_row(sent.deadlines),
        "cache_ttl_s": checked_cache_ttl_s(sent.cache_ttl_s),
    }
    row = await store.insert_router(connection, customer_id, name, values)
    await _replace_rules(connection, customer_id, row["router_id"], sent.rules)
    if sent.granted_customer_ids:
        await _grant(connection, row["router_id"], sent.granted_customer_ids)
    message = await shown(connection, customer_id, row)
    await record_change(connection, customer_id, None, message)
    await tell_edges(connection, customer_id, ())
    return message


async def _lock(connection: Connection, customer_id: str, router: str) -> tuple[Row, Sequence[str]]:
    """A live router, ready to be changed by this customer, and the others whose grants hold it."""
    await lock_customer(connection, customer_id)
    router_id = resource_id("router", router)
    row = await store.load_router(connection, customer_id, router_id)
    check_may_change("router", row, customer_id)
    if row["delete_time"] is not None:
        raise not_found("router", router_id)
    users = await store.lock_users(connection, router_id) if is_platform(customer_id) else ()
    return row, users


async def _change(connection: Connection, row: Row, sent: Router, fields: frozenset[str]) -> Row:
    if "rules" in fields:
        await _replace_rules(connection, row["customer_id"], row["router_id"], sent.rules)
    if "granted_customer_ids" in fields and is_platform(row["customer_id"]):
        await _grant(connection, row["router_id"], sent.granted_customer_ids)
    values: dict[str, object] = {"name": checked_name(sent.name)} if "name" in fields else {}
    if "granted_to_all" in fields:
        values["granted_to_all"] = sent.granted_to_all
    if "retries" in fields:
        values["retries"] = retries_row(sent.retries)
    if "deadlines" in fields:
        values["deadlines"] = deadlines_row(sent.deadlines)
    if "cache_ttl_s" in fields:
        values["cache_ttl_s"] = checked_cache_ttl_s(sent.cache_ttl_s)
    return await store.update_router(connection, row, values)


async def _grant(connection: Connection, router_id: str, customer_ids: Sequence[str]) -> None:
    await resource_grants.set_granted_customers(connection, Kind.ROUTER, router_id, customer_ids)


async def _withdraw(
    connection: Connection, row: Row, fields: frozenset[str], users: Sequence[str], force: bool
) -> bool:
    """Whether customers that use the router lose it. Their keys go on naming it, and are served again with
    another router or another grant. Raises IN_USE."""
    if not is_platform(row["customer_id"]) or not fields.intersection(GRANT_FIELDS):
        return False
    router_id = row["router_id"]
    losers = await resource_grants.without_grant(connection, Kind.ROUTER, router_id, users)
    if losers and not force:
        await _check_unused(connection, row, losers, "leaves them without rules")
    return bool(losers)


async def _replace_rules(
    connection: Connection, customer_id: str, router_id: str, rules: Sequence[routers_pb2.RoutingRule]
) -> None:
    """Stores rules once all of them are sound. A rule that was there before keeps its id."""
    rows = await check_rules(connection, customer_id, rules)
    router = {"customer_id": customer_id, "router_id": router_id}
    present = await store.load_rules(connection, [router])
    keepable = {row["rule_id"] for row in present[router_id]}
    for row in rows:
        if row["rule_id"] in keepable:
            keepable.discard(row["rule_id"])
        else:
            row["rule_id"] = ""
    await store.replace_rules(connection, customer_id, router_id, rows)


async def check_rules(
    connection: Connection, customer_id: str, rules: Sequence[routers_pb2.RoutingRule]
) -> list[dict[str, Any]]:
    """Rules as they are stored, over providers the customer may use. Raises INVALID_ARGUMENT, NOT_FOUND."""
    rows = rule_rows(rules)
    wanted = [row["provider_id"] for row in rows]
    live = await resource_grants.usable(connection, Kind.PROVIDER, customer_id, wanted)
    for provider_id in wanted:
        if provider_id not in live:
            raise not_found("provider", provider_id)
    return rows


async def _check_unused(
    connection: Connection, row: Row, customer_ids: Sequence[str] | None, effect: str
) -> None:
    """Raises IN_USE while keys name the router or customers have it as default; of these customers, where
    given."""
    router_id = row["router_id"]
    key_count = await store.count_keys(connection, router_id, customer_ids)
    default_count = await store.count_defaults(connection, router_id, customer_ids)
    if not key_count and not default_count:
        return
    raise TollkeeperError(
        Reason.IN_USE,
        f"{key_count} keys use the router{', and it is the default' if default_count else ''};"
        f" force {effect}.",
        {
            "resource": "router",
            "resource_id": router_id,
            "keys": str(key_count),
            "default": str(bool(default_count)).lower(),
        },
    )
