"""What a template gives a customer that is made with it, in the transaction that makes the customer."""

from typing import Any

from control.domain.budgets import Scope
from control.services.routers import create_router
from control.services.templates import template_message
from control.store import resource_grants
from control.store import templates as store
from control.store.database import Connection
from control.store.resource_grants import Kind
from control.store.tables import PLATFORM_CUSTOMER_ID
from tollkeeper.errors import not_found
from tollkeeper.v1.customers_pb2 import Customer
from tollkeeper.v1.routers_pb2 import CreateRouterRequest, Router
from tollkeeper.v1.templates_pb2 import Template

ROUTER_NAME = "default"
# Where the maker of a customer says nothing, its template does.
_FIELDS = (
    "plan",
    "allowed_models",
    "requests_per_minute",
    "tokens_per_minute",
    "max_concurrent_requests",
    "default_output_limit",
    "key_defaults",
    "price_plan_id",
)


async def load(connection: Connection, id_or_name: str) -> Template:
    """The live template of this id or name. Raises NOT_FOUND."""
    return template_message(await store.load_live_template(connection, id_or_name))


def fill_in(customer: Customer, template: Template) -> None:
    """Gives a new customer what its maker left to the template."""
    said = {field.name for field, _ in customer.ListFields()}
    chosen = {name: getattr(template, name) for name in _FIELDS if name not in said}
    if not template.HasField("key_defaults"):
        chosen.pop("key_defaults", None)
    customer.MergeFrom(Customer(**chosen))


def budget_rows(template: Template, customer_id: str) -> list[dict[str, Any]]:
    """The template's budgets, on the customer."""
    return [
        {
            "scope": Scope.SCOPE_CUSTOMER,
            "scope_id": customer_id,
            "limit_nanousd": budget.limit_nanousd,
            "period": budget.period,
            "soft": budget.soft,
            "thresholds": list(budget.thresholds),
        }
        for budget in template.budgets
    ]


async def give_router(connection: Connection, customer_id: str, template: Template) -> str | None:
    """The customer's default router: one of the platform's, or a new one over the platform's providers.

    What it names of the platform is granted to the customer. None where the template has neither. Raises
    NOT_FOUND for what isn't there any more.
    """
    if template.router_id:
        await _grant(connection, Kind.ROUTER, [template.router_id], customer_id)
        return template.router_id
    if not template.rules:
        return None
    await _grant(connection, Kind.PROVIDER, [rule.provider_id for rule in template.rules], customer_id)
    router = Router(customer_id=customer_id, name=ROUTER_NAME, rules=template.rules)
    made = await create_router(connection, customer_id, CreateRouterRequest(router=router))
    return made.router_id


async def _grant(connection: Connection, kind: Kind, resource_ids: list[str], customer_id: str) -> None:
    live = await resource_grants.usable(connection, kind, PLATFORM_CUSTOMER_ID, resource_ids)
    for resource_id in resource_ids:
        if resource_id not in live:
            raise not_found(kind.value, resource_id)
    await resource_grants.grant_to(connection, kind, resource_ids, customer_id)
