"""An operator's hands: tenants with keys, and what the ledger says about them, over gRPC."""

import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from google.protobuf.field_mask_pb2 import FieldMask

from clients.control import SyncControlClient
from tollkeeper.v1 import budgets_pb2, customers_pb2, keys_pb2, prices_pb2, providers_pb2, routers_pb2
from tollkeeper.v1.usage_pb2 import GetUsageRequest, ListUsageRequest, UsageEntry

SETTLED_WITHIN_S = 15.0


@dataclass(frozen=True)
class VirtualKey:
    """A key's id, and the secret that apps send."""

    key_id: str
    secret: str


class Admin(SyncControlClient):
    """Stubs of every service, and the few calls that most tests make."""

    def __init__(self, address: str, secret: str) -> None:
        super().__init__([address], secret)

    def customer(self, budget_nanousd: int | None = None, **fields: Any) -> "Tenant":
        """A new customer; without an amount it has no budget."""
        name = f"t{uuid4().hex[:12]}"
        request = customers_pb2.CreateCustomerRequest(
            customer=customers_pb2.Customer(name=name, slug=name, **fields),
            budget=budgets_pb2.InitialBudget(
                limit_nanousd=budget_nanousd, period=budgets_pb2.Period.PERIOD_NONE
            ),
        )
        return Tenant(self, self.customers.CreateCustomer(request).customer_id)

    def tenant(self, budget_nanousd: int | None = None, **fields: Any) -> "Tenant":
        """A new customer whose default router leads to OpenAI through the gateway."""
        tenant = self.customer(budget_nanousd, **fields)
        tenant.route(tenant.provider("openai", credential="sk-vendor"))
        return tenant


@dataclass
class Tenant:
    """One customer."""

    admin: Admin
    customer_id: str
    router_id: str = ""

    def provider(self, provider_type: str, **fields: Any) -> str:
        """The id of a new provider, named as its type unless a name is given; a number follows the second
        time."""
        fields = {"name": provider_type, **fields}
        provider = providers_pb2.Provider(customer_id=self.customer_id, provider_type=provider_type, **fields)
        request = providers_pb2.CreateProviderRequest(provider=provider, number_taken_name=True)
        return str(self.admin.providers.CreateProvider(request).provider_id)

    def route(self, *rules: str | routers_pb2.RoutingRule) -> str:
        """A new router, for keys made from now on; a provider's id is a rule that takes all models."""
        given = [
            routers_pb2.RoutingRule(provider_id=rule, priority=place) if isinstance(rule, str) else rule
            for place, rule in enumerate(rules, 1)
        ]
        router = routers_pb2.Router(customer_id=self.customer_id, name=f"r{uuid4().hex[:8]}", rules=given)
        request = routers_pb2.CreateRouterRequest(router=router)
        self.router_id = self.admin.routers.CreateRouter(request).router_id
        return self.router_id

    def key(
        self,
        budget_nanousd: int | None = None,
        period: budgets_pb2.Period = budgets_pb2.Period.PERIOD_NONE,
        **fields: Any,
    ) -> VirtualKey:
        """A new key over the tenant's newest router."""
        key = keys_pb2.Key(
            **{"customer_id": self.customer_id, "router_id": self.router_id, "name": "key", **fields}
        )
        budget = budgets_pb2.InitialBudget(limit_nanousd=budget_nanousd, period=period)
        request = keys_pb2.CreateKeyRequest(key=key, budget=budget)
        answer = self.admin.keys.CreateKey(request)
        return VirtualKey(answer.key.key_id, answer.raw_key)

    def update_key(self, key: VirtualKey, **fields: Any) -> None:
        """Changes these fields of a key."""
        changed = keys_pb2.Key(key_id=key.key_id, customer_id=self.customer_id, **fields)
        mask = FieldMask(paths=list(fields))
        self.admin.keys.UpdateKey(keys_pb2.UpdateKeyRequest(key=changed, update_mask=mask))

    def update(self, **fields: Any) -> None:
        """Changes these fields of the customer."""
        customer = customers_pb2.Customer(customer_id=self.customer_id, **fields)
        mask = FieldMask(paths=list(fields))
        request = customers_pb2.UpdateCustomerRequest(customer=customer, update_mask=mask)
        self.admin.customers.UpdateCustomer(request)

    def update_provider(self, provider_id: str, **fields: Any) -> None:
        """Changes these fields of a provider."""
        provider = providers_pb2.Provider(provider_id=provider_id, customer_id=self.customer_id, **fields)
        mask = FieldMask(paths=list(fields))
        request = providers_pb2.UpdateProviderRequest(provider=provider, update_mask=mask)
        self.admin.providers.UpdateProvider(request)

    def price(self, provider_id: str, model: str, **rates: Any) -> None:
        """The customer's own price of a model; rates in nano-dollars per million."""
        price = prices_pb2.Price(
            customer_id=self.customer_id,
            provider_id=provider_id,
            model=model,
            rates=prices_pb2.Rates(**rates),
        )
        self.admin.prices.CreatePrice(prices_pb2.CreatePriceRequest(price=price))

    def spend(self, key: VirtualKey) -> int:
        """Nano-dollars, as `keys show` tells."""
        request = keys_pb2.GetKeyRequest(customer_id=self.customer_id, key_id=key.key_id)
        return int(self.admin.keys.GetKey(request).spend_nanousd)

    def usage(self, key: VirtualKey | None = None) -> list[UsageEntry]:
        """What was settled, newest first."""
        found: list[UsageEntry] = []
        request = ListUsageRequest(
            customer_id=self.customer_id,
            key_id=key.key_id if key else "",
            page_size=1000,
            without_refused=True,
        )
        while True:
            answer = self.admin.usage.ListUsage(request)
            found += answer.usage
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    def settled(self, count: int, key: VirtualKey | None = None) -> list[UsageEntry]:
        """The usage once it holds `count` requests, newest first. Raises AssertionError otherwise."""
        deadline_s = time.monotonic() + SETTLED_WITHIN_S
        while len(usage := self.usage(key)) < count:
            assert time.monotonic() < deadline_s, f"{len(usage)} of {count} requests were settled"
            time.sleep(0.05)
        assert len(usage) == count
        return usage

    def request(self, usage_id: str) -> UsageEntry:
        """All of one request, its attempts and entries too."""
        request = GetUsageRequest(customer_id=self.customer_id, usage_id=usage_id)
        return self.admin.usage.GetUsage(request)

    def entries(self, usage_id: str) -> list[tuple[str, int]]:
        """Label and nano-dollars of each ledger entry of a request."""
        return [(entry.label, entry.amount_nanousd) for entry in self.request(usage_id).entries]
