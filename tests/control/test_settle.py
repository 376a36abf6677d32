"""Settle over real gRPC, of many customers in one call."""

from pathlib import Path

from tests.control.harness import running_control
from tests.factories.tenants import create_tenant
from tollkeeper.ids import uuid7
from tollkeeper.v1 import edge_pb2

CUSTOMERS = 60


async def test_a_call_over_many_customers_waits_for_its_turns(database_url: str, tmp_path: Path) -> None:
    """Far more customers than connections, none of them known to the replica: each record is posted."""
    async with running_control(database_url, tmp_path, database_pool_size=2) as control:
        tenants = [await create_tenant(control.database, {}) for _ in range(CUSTOMERS)]
        records = [tenant.record(str(uuid7()), 5) for tenant in tenants for _ in range(2)]
        edge = await control.edge()
        request = edge_pb2.SettleRequest(incarnation_id=str(uuid7()), records=records)
        answer = await edge.edge.Settle(request)
        assert set(answer.outcomes) == {edge_pb2.POSTED}
        assert len(answer.outcomes) == 2 * CUSTOMERS
