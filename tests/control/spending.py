"""An edge as the ledger knows it: leases, records and pushes of one key, through real gRPC."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from clients.control import ControlClient
from tests.control.gateway import authorize
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2
from tollkeeper.v1.prices_pb2 import CreatePriceRequest, Price, Rates

# One nano-dollar a model token.
UNIT = Rates(input=1_000_000, output=1_000_000)


async def unit_price(cli: ControlClient, model: str = "unit", rates: Rates = UNIT) -> Price:
    """A global price, of a nano-dollar a model token unless told otherwise."""
    price = Price(provider_type="openai", model=model, rates=rates)
    return await cli.prices.CreatePrice(CreatePriceRequest(price=price))


class Spender:
    """One edge worker that serves one key."""

    def __init__(self, edge: ControlClient, raw_key: str) -> None:
        self._edge = edge
        self._raw_key = raw_key
        self.incarnation_id = str(uuid7())
        self.lease_id = str(uuid7())
        self._sequence = 0

    async def acquire(self, hold: int) -> edge_pb2.AcquireLeaseResponse:
        """A lease of its own for one hold."""
        grant = await authorize(self._edge, self._raw_key)
        self.lease_id = str(uuid7())
        return await self._edge.edge.AcquireLease(
            edge_pb2.AcquireLeaseRequest(
                incarnation_id=self.incarnation_id,
                customer_id=grant.customer_id,
                key_id=grant.key_id,
                lease_id=self.lease_id,
                top_up=1,
                chain_version=grant.chain_version,
                holds_nanousd=[hold],
            )
        )

    async def record(self, price: Price, cost: int = 0, **attempt: Any) -> edge_pb2.UsageRecord:
        """A reported record on the lease in hand: so many input tokens as `cost` says, unless told
        otherwise."""
        grant = await authorize(self._edge, self._raw_key)
        self._sequence += 1
        given: dict[str, Any] = {
            "usage": edge_pb2.Usage(input_tokens=cost),
            "cost_nanousd": cost,
            "state": edge_pb2.USAGE_STATE_REPORTED,
            **attempt,
        }
        return edge_pb2.UsageRecord(
            usage_id=str(uuid7()),
            incarnation_id=self.incarnation_id,
            sequence=self._sequence,
            customer_id=grant.customer_id,
            key_id=grant.key_id,
            team_id=grant.team_id,
            user_id=grant.user_id,
            lease_id=self.lease_id,
            state=given["state"],
            cost_nanousd=given["cost_nanousd"],
            requested_model=price.model,
            attempts=[
                edge_pb2.Attempt(
                    number=1,
                    provider_type=price.provider_type,
                    provider_id=price.provider_id,
                    model=price.model,
                    status=200,
                    price_id=price.price_id,
                    hold_nanousd=given["cost_nanousd"],
                    **given,
                )
            ],
        )

    async def settle(self, *records: edge_pb2.UsageRecord) -> list[int]:
        """Books records; one outcome for each."""
        request = edge_pb2.SettleRequest(incarnation_id=self.incarnation_id, records=records)
        return list((await self._edge.edge.Settle(request)).outcomes)

    async def spend(self, price: Price, cost: int) -> str:
        """One request from hold to posted record; returns its usage id."""
        await self.acquire(cost)
        record = await self.record(price, cost)
        assert await self.settle(record) == [edge_pb2.POSTED]
        return record.usage_id


@asynccontextmanager
async def pushes(edge: ControlClient) -> AsyncIterator["asyncio.Queue[edge_pb2.WatchResponse]"]:
    """What an edge that watches hears, from after its greeting on; heartbeats left out."""
    heard: asyncio.Queue[edge_pb2.WatchResponse] = asyncio.Queue()
    stream = edge.edge.Watch(edge_pb2.WatchRequest(incarnation_id=str(uuid7())))
    greeted = asyncio.Event()

    async def listen() -> None:
        async for message in stream:
            if message.HasField("hello"):
                greeted.set()
            elif not message.HasField("heartbeat"):
                heard.put_nowait(message)

    task = asyncio.create_task(listen())
    await asyncio.wait_for(greeted.wait(), 20)
    yield heard
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
