"""Routers as messages, with their rules and who was granted them."""

from collections.abc import Sequence

from control.services.convert import etag, timestamp
from control.services.resource_grants import is_platform, shown_grants
from control.store import resource_grants
from control.store import routers as store
from control.store.database import Connection
from control.store.resource_grants import Kind
from control.store.rows import Row
from tollkeeper.v1 import routers_pb2

Router = routers_pb2.Router


async def shown(connection: Connection, customer_id: str, row: Row) -> Router:
    """A router with its rules as the customer may see it."""
    return (await all_shown(connection, customer_id, [row]))[0]


async def all_shown(connection: Connection, customer_id: str, rows: Sequence[Row]) -> list[Router]:
    """Routers with their rules as the customer may see them, in two queries for any number of them."""
    rules = await store.load_rules(connection, rows)
    platform = [row["router_id"] for row in rows if is_platform(row["customer_id"])]
    granted = await resource_grants.granted_customers(connection, Kind.ROUTER, platform)
    return [
        _message(row, rules[row["router_id"]], customer_id, granted.get(row["router_id"], ())) for row in rows
    ]


def _message(row: Row, rules: Sequence[Row], customer_id: str, granted: Sequence[str]) -> Router:
    return Router(
        router_id=row["router_id"],
        customer_id=row["customer_id"],
        name=row["name"],
        rules=[
            routers_pb2.RoutingRule(
                rule_id=rule["rule_id"],
                priority=rule["priority"],
                condition=rule["condition"],
                statuses=rule["statuses"],
                when=rule["when"],
                provider_id=rule["provider_id"],
                allowed_models=rule["allowed_models"],
                model_rewrite=rule["model_rewrite"],
                weight=rule["weight"],
            )
            for rule in rules
        ],
        retries=routers_pb2.Retries(**row["retries"]) if row["retries"] else None,
        deadlines=routers_pb2.Deadlines(**row["deadlines"]) if row["deadlines"] else None,
        cache_ttl_s=row["cache_ttl_s"],
        etag=etag(row["revision"]),
        create_time=timestamp(row["create_time"]),
        delete_time=timestamp(row["delete_time"]),
        **shown_grants(row, customer_id, granted),
    )
