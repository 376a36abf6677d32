"""What the control plane has of one customer, as a part of a tenants file, with the ids behind the names."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import Message

from clients.services import SyncServices
from clients.tenants import messages, schema
from clients.tenants.messages import Ids
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import (
    budgets_pb2,
    customers_pb2,
    keys_pb2,
    price_plans_pb2,
    providers_pb2,
    routers_pb2,
    teams_pb2,
    users_pb2,
)

PAGE_SIZE = 1000
Item = TypeVar("Item")


class AmbiguousName(Exception):
    """Two resources of the control plane have the name that a file would call them by."""


@dataclass(slots=True)
class Present:
    """One customer as it is. Keys come in the order they were made; `key_ids` go with them."""

    part: schema.Customer
    ids: Ids
    key_ids: list[str] = field(default_factory=list)


def find(stubs: SyncServices, slug: str) -> customers_pb2.Customer | None:
    """The customer with this slug, if it is there and may be seen."""
    try:
        return stubs.customers.GetCustomer(customers_pb2.GetCustomerRequest(customer_id=slug))
    except TollkeeperError as error:
        if error.reason == Reason.NOT_FOUND:
            return None
        raise


def all_customers(stubs: SyncServices) -> Iterable[customers_pb2.Customer]:
    """Live customers, oldest first."""
    return _all(
        lambda token: stubs.customers.ListCustomers(
            customers_pb2.ListCustomersRequest(page_size=PAGE_SIZE, page_token=token)
        ),
        lambda answer: answer.customers,
    )


def read(stubs: SyncServices, customer: customers_pb2.Customer) -> Present:
    """The customer with all that a file says of it. Raises AmbiguousName."""
    customer_id = customer.customer_id
    named = _Named(stubs, customer_id)
    ids = named.ids()
    budgets = _budgets(stubs, customer_id)
    default_router = messages.name_of(ids.routers, customer.default_router_id)
    keys = list(_keys(stubs, customer_id))
    taken: set[str] = set()
    part = messages.customer_part(
        customer,
        default_router,
        _price_plan(stubs, customer),
        budgets=budgets.get(customer_id, []),
        teams=[messages.team_part(each, budgets.get(each.team_id, [])) for each in named.teams],
        users=[messages.user_part(each, ids.teams, budgets.get(each.user_id, [])) for each in named.users],
        providers=[
            messages.provider_part(each, _reference(customer.slug, each, taken))
            for each in named.providers
            if each.customer_id == customer_id
        ],
        routers=[
            messages.router_part(each, ids.providers)
            for each in named.routers
            if each.customer_id == customer_id
        ],
        keys=[messages.key_part(each, ids, default_router, budgets.get(each.key_id, [])) for each in keys],
    )
    return Present(part, ids, [each.key_id for each in keys])


def read_ids(stubs: SyncServices, customer_id: str) -> Ids:
    """Ids by name, those of the platform with its prefix. Raises AmbiguousName."""
    return _Named(stubs, customer_id).ids()


class _Named:
    """What has a name to be referred to by."""

    def __init__(self, stubs: SyncServices, customer_id: str) -> None:
        self.customer_id = customer_id
        self.teams = list(_teams(stubs, customer_id))
        self.users = list(_users(stubs, customer_id))
        self.providers = list(_providers(stubs, customer_id))
        self.routers = list(_routers(stubs, customer_id))

    def ids(self) -> Ids:
        """Raises AmbiguousName."""
        own = self.customer_id
        return Ids(
            own,
            teams=_by_name("teams", [(each.name, each.team_id) for each in self.teams]),
            users={each.email: each.user_id for each in self.users},
            providers=_by_name(
                "providers", [(_shown(each, own), each.provider_id) for each in self.providers]
            ),
            routers=_by_name("routers", [(_shown(each, own), each.router_id) for each in self.routers]),
        )


def price_plans(stubs: SyncServices) -> dict[str, str]:
    """Ids of price plans by name."""
    plans = _all(
        lambda token: stubs.price_plans.ListPricePlans(
            price_plans_pb2.ListPricePlansRequest(page_size=PAGE_SIZE, page_token=token)
        ),
        lambda answer: answer.price_plans,
    )
    return {each.name: each.price_plan_id for each in plans}


def _price_plan(stubs: SyncServices, customer: customers_pb2.Customer) -> str | None:
    if not customer.price_plan_id:
        return None
    request = price_plans_pb2.GetPricePlanRequest(price_plan_id=customer.price_plan_id)
    return stubs.price_plans.GetPricePlan(request).name


def _shown(resource: providers_pb2.Provider | routers_pb2.Router, customer_id: str) -> str:
    return resource.name if resource.customer_id == customer_id else schema.PLATFORM_PREFIX + resource.name


def _by_name(kind: str, named: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, resource_id in named:
        if name in found:
            raise AmbiguousName(f"two {kind} are called {name!r}: rename one of them")
        found[name] = resource_id
    return found


def _reference(slug: str, provider: providers_pb2.Provider, taken: set[str]) -> str | None:
    """The variable that an export names for a credential, which nobody can read back."""
    if not provider.has_credential:
        return None
    text = f"{slug}_{provider.name}_CREDENTIAL".upper()
    name = wanted = "".join(char if char.isascii() and char.isalnum() else "_" for char in text)
    number = 2
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    taken.add(name)
    return f"env:{name}"


def _budgets(stubs: SyncServices, customer_id: str) -> dict[str, list[schema.Budget]]:
    """By what they are on."""
    found: dict[str, list[schema.Budget]] = {}
    for budget in list_budgets(stubs, customer_id):
        found.setdefault(budget.scope_id, []).append(messages.budget_part(budget))
    return found


def list_budgets(stubs: SyncServices, customer_id: str, scope_id: str = "") -> Iterable[budgets_pb2.Budget]:
    """Live budgets of a customer, or of one of its scopes, oldest first."""
    return _all(
        lambda token: stubs.budgets.ListBudgets(
            budgets_pb2.ListBudgetsRequest(
                customer_id=customer_id, scope_id=scope_id, page_size=PAGE_SIZE, page_token=token
            )
        ),
        lambda answer: answer.budgets,
    )


def _teams(stubs: SyncServices, customer_id: str) -> Iterable[teams_pb2.Team]:
    return _all(
        lambda token: stubs.teams.ListTeams(
            teams_pb2.ListTeamsRequest(customer_id=customer_id, page_size=PAGE_SIZE, page_token=token)
        ),
        lambda answer: answer.teams,
    )


def _users(stubs: SyncServices, customer_id: str) -> Iterable[users_pb2.User]:
    return _all(
        lambda token: stubs.users.ListUsers(
            users_pb2.ListUsersRequest(customer_id=customer_id, page_size=PAGE_SIZE, page_token=token)
        ),
        lambda answer: answer.users,
    )


def _providers(stubs: SyncServices, customer_id: str) -> Iterable[providers_pb2.Provider]:
    return _all(
        lambda token: stubs.providers.ListProviders(
            providers_pb2.ListProvidersRequest(customer_id=customer_id, page_size=PAGE_SIZE, page_token=token)
        ),
        lambda answer: answer.providers,
    )


def _routers(stubs: SyncServices, customer_id: str) -> Iterable[routers_pb2.Router]:
    return _all(
        lambda token: stubs.routers.ListRouters(
            routers_pb2.ListRoutersRequest(customer_id=customer_id, page_size=PAGE_SIZE, page_token=token)
        ),
        lambda answer: answer.routers,
    )


def _keys(stubs: SyncServices, customer_id: str) -> Iterable[keys_pb2.Key]:
    return _all(
        lambda token: stubs.keys.ListKeys(
            keys_pb2.ListKeysRequest(customer_id=customer_id, page_size=PAGE_SIZE, page_token=token)
        ),
        lambda answer: answer.keys,
    )


def _all(page: Callable[[str], Message], items: Callable[..., Iterable[Item]]) -> Iterable[Item]:
    token = ""
    while True:
        answer = page(token)
        yield from items(answer)
        token = answer.next_page_token  # type: ignore[attr-defined]
        if not token:
            return
