"""A simulator in the test's own loop, with its bill in a file, and an HTTP client to it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import httpx
import pytest
import uvloop

from simulator import Settings, Simulator

GATEWAY_PATH = "/v1/0123456789abcdef0123456789abcdef/default"


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run on the loop that is shipped: transports differ in how they write, cut and reset."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    """A simulator that accepts everyone."""
    async with Simulator(Settings(port=0, bill=tmp_path / "bill.jsonl", drain_s=0.2)) as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose base URL is the simulator's."""
    async with httpx.AsyncClient(base_url=simulator.url, timeout=10) as opened:
        yield opened


@pytest.fixture
def gateway() -> str:
    """Path of a gateway, in front of a provider's slug."""
    return GATEWAY_PATH
