"""grpc.health.v1 for each service: NOT_SERVING while the database is away, SERVING when it is back."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from control import postgres
from control.store.database import Database
from tests.control.contract.methods import SERVICES
from tests.control.harness import RunningControl

Status = health_pb2.HealthCheckResponse.ServingStatus


async def statuses(health: Any) -> set[str]:
    """What all services are said to be."""
    names = ["", *(f"tollkeeper.v1.{service}" for service in SERVICES)]
    answers = [await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5) for name in names]
    return {Status.Name(answer.status) for answer in answers}


async def until(health: Any, expected: str) -> None:
    """Waits for it. Raises TimeoutError."""
    async with asyncio.timeout(15):
        while await statuses(health) != {expected}:  # noqa: ASYNC110 - it is asked from outside
            await asyncio.sleep(0.1)


async def test_health_follows_the_database(
    control: RunningControl, cluster_dir: Path, database_url: str
) -> None:
    """A database that takes no connections, and takes them again; a watcher hears both."""
    name = database_url.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(
        host=str(postgres.socket_dir(cluster_dir)),
        user=postgres.SUPERUSER,
        dbname="postgres",
        autocommit=True,
    ) as admin:
        async with grpc.aio.insecure_channel(control.addresses[0]) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            await until(health, "SERVING")
            watched = health.Watch(health_pb2.HealthCheckRequest(service="tollkeeper.v1.TeamsService"))
            assert (await watched.read()).status == Status.SERVING

            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')  # type: ignore[arg-type]
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
            await until(health, "NOT_SERVING")
            assert (await asyncio.wait_for(watched.read(), 20)).status == Status.NOT_SERVING

            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')  # type: ignore[arg-type]
            await until(health, "SERVING")
            assert (await asyncio.wait_for(watched.read(), 20)).status == Status.SERVING


async def test_a_busy_pool_is_no_lost_database(
    control: RunningControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Health has a connection of its own: load must not take a replica out of service."""
    replica = control.replicas[0]
    busy: Database = replica.database
    async with grpc.aio.insecure_channel(control.addresses[0]) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        held = [await busy.engine.connect() for _ in range(15)]
        try:
            await asyncio.sleep(2.5)
            assert await statuses(health) == {"SERVING"}
        finally:
            for connection in held:
                await connection.close()


async def test_an_unknown_service(control: RunningControl) -> None:
    """NOT_FOUND, as the protocol says."""
    async with grpc.aio.insecure_channel(control.addresses[0]) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await health.Check(health_pb2.HealthCheckRequest(service="tollkeeper.v1.Nothing"), timeout=5)
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
