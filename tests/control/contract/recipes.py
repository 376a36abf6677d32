"""What a request needs that its descriptor doesn't tell. Keep it short: the test of a new RPC says what it
misses."""

from collections.abc import Mapping

from tests.control.contract.build import Ids, Recipe, nothing, unique
from tollkeeper.v1.budgets_pb2 import Scope
from tollkeeper.v1.prices_pb2 import Rates
from tollkeeper.v1.routers_pb2 import RoutingRule
from tollkeeper.v1.users_pb2 import Role


def _key(ids: Ids) -> str | None:
    return ids.get("key")


RECIPES: Mapping[str, Recipe] = {
    # A new customer has no router yet.
    "tollkeeper.v1.Customer.default_router_id": nothing,
    "tollkeeper.v1.Customer.cf_gateway_id": nothing,
    # Only operators may set it.
    "tollkeeper.v1.Customer.price_plan_id": nothing,
    "tollkeeper.v1.CreateCustomerRequest.template": nothing,
    # The platform's only.
    "tollkeeper.v1.Template.router_id": nothing,
    "tollkeeper.v1.Template.rules": nothing,
    "tollkeeper.v1.Template.price_plan_id": nothing,
    "tollkeeper.v1.User.role": lambda ids: Role.ROLE_MEMBER,
    "tollkeeper.v1.Provider.provider_type": lambda ids: "openai",
    # Only what the platform owns is granted.
    "tollkeeper.v1.Provider.granted_customer_ids": nothing,
    "tollkeeper.v1.Router.granted_customer_ids": nothing,
    "tollkeeper.v1.Router.rules": lambda ids: RoutingRule(provider_id=ids["provider"]),
    "tollkeeper.v1.Price.model": lambda ids: unique("model"),
    "tollkeeper.v1.Price.rates": lambda ids: Rates(input=1, output=1),
    "tollkeeper.v1.Budget.scope": lambda ids: Scope.SCOPE_KEY,
    "tollkeeper.v1.Budget.scope_id": lambda ids: ids["key"],
    "tollkeeper.v1.AcquireLeaseRequest.top_up": lambda ids: 1,
    "tollkeeper.v1.ListBudgetsRequest.scope": lambda ids: Scope.SCOPE_KEY,
    "tollkeeper.v1.ListBudgetsRequest.scope_id": _key,
}
