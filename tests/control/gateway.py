"""What tests of gateway resources have in common: making them through gRPC, and expecting refusals."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from clients.control import ControlClient
from control.store.tables import customers
from tests.control.harness import RunningControl
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.key_format import secret_hash
from tollkeeper.v1 import edge_pb2
from tollkeeper.v1.budgets_pb2 import InitialBudget
from tollkeeper.v1.keys_pb2 import CreateKeyRequest, CreateKeyResponse, Key
from tollkeeper.v1.providers_pb2 import CreateProviderRequest, Provider
from tollkeeper.v1.routers_pb2 import CreateRouterRequest, Router, RoutingRule


@dataclass
class Refusal:
    """The error of a block that must be refused, once it was."""

    error: TollkeeperError | None = None

    @property
    def metadata(self) -> dict[str, str]:
        """The error's metadata."""
        assert self.error is not None
        return self.error.metadata


@contextmanager
def refused(reason: Reason) -> Iterator[Refusal]:
    """The block must end in a TollkeeperError with this reason."""
    refusal = Refusal()
    with pytest.raises(TollkeeperError) as caught:
        yield refusal
    refusal.error = caught.value
    assert caught.value.reason_name == Reason.Name(reason)


async def make_provider(
    client: ControlClient, customer: str, name: str = "openai", **fields: Any
) -> Provider:
    """A provider of type openai, unless told otherwise."""
    given: dict[str, Any] = {"provider_type": "openai", "credential": "sk-secret", **fields}
    provider = Provider(customer_id=customer, name=name, **given)
    return await client.providers.CreateProvider(CreateProviderRequest(provider=provider))


async def make_router(client: ControlClient, customer: str, *provider_ids: str, name: str = "main") -> Router:
    """A router with a rule for each provider."""
    rules = [RoutingRule(provider_id=provider_id) for provider_id in provider_ids]
    return await client.routers.CreateRouter(
        CreateRouterRequest(router=Router(customer_id=customer, name=name, rules=rules))
    )


async def make_key(
    client: ControlClient, customer: str, limit_nanousd: int | None = None, **fields: Any
) -> CreateKeyResponse:
    """A key, without a budget of its own unless a limit is given."""
    key = Key(customer_id=customer, **{"name": "app", **fields})
    budget = InitialBudget(limit_nanousd=limit_nanousd)
    return await client.keys.CreateKey(CreateKeyRequest(key=key, budget=budget))


async def authorize(client: ControlClient, raw_key: str) -> edge_pb2.Grant:
    """The grant of a key, as an edge gets it."""
    request = edge_pb2.AuthorizeRequest(key_hash=secret_hash(raw_key))
    return (await client.edge.Authorize(request)).grant


@asynccontextmanager
async def changes(control: RunningControl, customer_id: str) -> AsyncIterator[dict[str, bool]]:
    """Tells of the block whether it raised the customer's version, and whether urgently."""
    before = await versions(control, customer_id)
    told: dict[str, bool] = {}
    yield told
    after = await versions(control, customer_id)
    told["changed"], told["urgent"] = after[0] > before[0], after[1] > before[1]


async def versions(control: RunningControl, customer_id: str) -> tuple[int, int]:
    """The customer's version and urgent version."""
    async with control.database.read() as connection:
        found = await connection.execute(
            select(customers.c.version, customers.c.urgent_version).where(
                customers.c.customer_id == customer_id
            )
        )
        row = found.one()
        return row.version, row.urgent_version
