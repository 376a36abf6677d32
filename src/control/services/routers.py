"""RoutersService: ordered rules, written and replaced as a whole."""

from collections.abc import Sequence

from control.domain.models import check_allowed_models, check_model
from control.services.audit import record_change
from control.services.convert import check_etag, checked_name, etag, masked_fields, resource_id, timestamp
from control.services.once import once
from control.services.paging import page_of
from control.services.scope import scoped_customer
from control.store import routers as store
from control.store.database import Connection, Database
from control.store.resources import lock_customer, transaction_time
from control.store.rows import Row
from control.store.versions import customer_changed
from tollkeeper.errors import Reason, TollkeeperError, invalid, not_found
from tollkeeper.ids import is_uuid
from tollkeeper.v1 import routers_pb2, routers_pb2_grpc

Router = routers_pb2.Router

MAX_RULES = 100
MAX_PRIORITY = 1_000_000
DEFAULT_PRIORITY = 1
DEFAULT_CONDITION = "primary"


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
                lambda: _create(connection, customer_id, request.router),
            )

        return await self._database.write_again(work)

    async def GetRouter(self, request: routers_pb2.GetRouterRequest, context: object) -> routers_pb2.Router:
        """A router with its rules, deleted ones too."""
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            router_id = resource_id("router", request.router_id)
            row = await store.load_router(connection, customer_id, router_id)
            return await _with_rules(connection, row)

    async def ListRouters(
        self, request: routers_pb2.ListRoutersRequest, context: object
    ) -> routers_pb2.ListRoutersResponse:
        """Live routers with their rules, oldest first."""
        page = page_of(request)
        async with self._database.read() as connection:
            customer_id = await scoped_customer(connection, request.customer_id)
            rows = await store.list_routers(connection, customer_id, page.after, page.size + 1)
            shown = rows[: page.size]
            rules = await store.load_rules(connection, customer_id, [row["router_id"] for row in shown])
        return routers_pb2.ListRoutersResponse(
            routers=[_message(row, rules[row["router_id"]]) for row in shown],
            next_page_token=page.next_token(rows, shown[-1]["router_id"]) if shown else "",
        )

    async def UpdateRouter(
        self, request: routers_pb2.UpdateRouterRequest, context: object
    ) -> routers_pb2.Router:
        """Changes the name, the rules as a whole, or both."""
        sent = request.router
        fields = masked_fields(request.update_mask, sent, ("name", "rules"))

        async def work(connection: Connection) -> Router:
            customer_id = await scoped_customer(connection, sent.customer_id)
            await lock_customer(connection, customer_id)
            router_id = resource_id("router", sent.router_id)
            row = await store.load_live_router(connection, customer_id, router_id)
            check_etag(sent.etag, row["revision"])
            before = await _with_rules(connection, row)
            if "rules" in fields:
                await _replace_rules(connection, customer_id, router_id, sent.rules)
            values = {"name": checked_name(sent.name)} if "name" in fields else {}
            changed = await store.update_router(connection, customer_id, router_id, values)
            message = await _with_rules(connection, changed)
            await record_change(connection, customer_id, before, message)
            await customer_changed(connection, customer_id)
            return message

        return await self._database.write_again(work)

    async def DeleteRouter(
        self, request: routers_pb2.DeleteRouterRequest, context: object
    ) -> routers_pb2.Router:
        """Ends a router; when forced, also the keys that use it."""

        async def work(connection: Connection) -> Router:
            customer_id = await scoped_customer(connection, request.customer_id)
            await lock_customer(connection, customer_id)
            router_id = resource_id("router", request.router_id)
            row = await store.load_live_router(connection, customer_id, router_id)
            check_etag(request.etag, row["revision"])
            if not request.force:
                await _check_unused(connection, customer_id, router_id)
            before = await _with_rules(connection, row)
            now = await transaction_time(connection)
            message = _message(await store.delete_router(connection, customer_id, router_id, now), ())
            await record_change(connection, customer_id, before, message)
            await customer_changed(connection, customer_id, urgent=True)
            return message

        return await self._database.write_again(work)


async def _create(connection: Connection, customer_id: str, sent: Router) -> Router:
    await lock_customer(connection, customer_id)
    row = await store.insert_router(connection, customer_id, checked_name(sent.name))
    await _replace_rules(connection, customer_id, row["router_id"], sent.rules)
    message = await _with_rules(connection, row)
    await record_change(connection, customer_id, None, message)
    await customer_changed(connection, customer_id)
    return message


async def _replace_rules(
    connection: Connection, customer_id: str, router_id: str, rules: Sequence[routers_pb2.RoutingRule]
) -> None:
    """Stores rules once all of them are sound. A rule that was there before keeps its id."""
    if len(rules) > MAX_RULES:
        raise invalid(f"A router has at most {MAX_RULES} rules.", field="rules")
    present = await store.load_rules(connection, customer_id, [router_id])
    keepable = {row["rule_id"] for row in present[router_id]}
    rows = []
    for rule in rules:
        rule_id = rule.rule_id.lower()
        rows.append(_rule_row(rule, rule_id if rule_id in keepable else ""))
        keepable.discard(rule_id)
    wanted = [row["provider_id"] for row in rows]
    live = await store.live_providers(connection, customer_id, wanted)
    for provider_id in wanted:
        if provider_id not in live:
            raise not_found("provider", provider_id)
    await store.replace_rules(connection, customer_id, router_id, rows)


def _rule_row(rule: routers_pb2.RoutingRule, rule_id: str) -> Row:
    if not is_uuid(rule.provider_id):
        raise not_found("provider", rule.provider_id)
    if not 0 <= rule.priority <= MAX_PRIORITY:
        raise invalid(f"A priority is from 1 to {MAX_PRIORITY}.", field="rules.priority")
    return {
        "rule_id": rule_id,
        "priority": rule.priority or DEFAULT_PRIORITY,
        "condition": checked_name(rule.condition, "condition") if rule.condition else DEFAULT_CONDITION,
        "provider_id": rule.provider_id.lower(),
        "allowed_models": check_allowed_models(rule.allowed_models),
        "model_rewrite": check_model(rule.model_rewrite) if rule.model_rewrite else "",
    }


async def _check_unused(connection: Connection, customer_id: str, router_id: str) -> None:
    key_count = await store.count_keys(connection, customer_id, router_id)
    default = await store.is_default(connection, customer_id, router_id)
    if key_count or default:
        raise TollkeeperError(
            Reason.IN_USE,
            f"{key_count} keys use the router{', and it is the default' if default else ''};"
            " force revokes those keys with it.",
            {
                "resource": "router",
                "resource_id": router_id,
                "keys": str(key_count),
                "default": str(default).lower(),
            },
        )


async def _with_rules(connection: Connection, row: Row) -> Router:
    rules = await store.load_rules(connection, row["customer_id"], [row["router_id"]])
    return _message(row, rules[row["router_id"]])


def _message(row: Row, rules: Sequence[Row]) -> Router:
    return Router(
        router_id=row["router_id"],
        customer_id=row["customer_id"],
        name=row["name"],
        rules=[
            routers_pb2.RoutingRule(
                rule_id=rule["rule_id"],
                priority=rule["priority"],
                condition=rule["condition"],
                provider_id=rule["provider_id"],
                allowed_models=rule["allowed_models"],
                model_rewrite=rule["model_rewrite"],
            )
            for rule in rules
        ],
        etag=etag(row["revision"]),
        create_time=timestamp(row["create_time"]),
        delete_time=timestamp(row["delete_time"]),
    )
