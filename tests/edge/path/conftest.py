"""The whole request path in the test's own loop: Sanic, routing, transport and relay, against the simulator.

Only the ledger is a stand-in (tests.edge.fake_ledger), so that what it is told can be looked at.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
import uvloop
from sanic import Sanic

from edge import metrics
from edge.admission import UsageState
from edge.app import create_app
from edge.client_connection import EdgeProtocol
from edge.config import EdgeSettings, OnHangup, load
from edge.hangup import HangupPolicy
from edge.pipeline import Pipeline
from edge.planning import Planner
from edge.sockets import listen
from edge.upstream.breakers import Breakers, BreakerSettings
from edge.upstream.cloudflare import Gateway, split_url
from edge.upstream.forwarder import Forwarder
from edge.upstream.transport import Timeouts, Transport
from simulator import Settings, Simulator
from tests.edge.fake_ledger import KEY, FakeLedger, grant, price, rule
from tollkeeper.cost import UsageCounts

# Sanic rewrites its own methods for each application; in this mode it keeps the originals for the next one.
Sanic.test_mode = True
ACCOUNT = "0123456789abcdef0123456789abcdef"


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run on the loop that is shipped."""
    return {"uvloop": uvloop.new_event_loop}


async def until(condition: Callable[[], object]) -> None:
    """Waits for something that nothing announces."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Edge:
    """One running application and what stands around it."""

    def __init__(self, simulator: Simulator, ledger: FakeLedger, settings: EdgeSettings) -> None:
        self.simulator = simulator
        self.ledger = ledger
        self.settings = settings
        self.transport = Transport()
        timeouts = Timeouts(
            settings.connect_timeout_s, settings.first_byte_timeout_s, settings.idle_timeout_s
        )
        self.later_s = 0.0
        """How far the breakers' clock is ahead."""
        self.breakers = Breakers(
            BreakerSettings(settings.breaker_failures, settings.breaker_window_s, settings.breaker_open_s),
            lambda: monotonic() + self.later_s,
        )
        forwarder = Forwarder(
            self.transport,
            self.transport,
            timeouts,
            settings.max_response_bytes,
            b"cache secret",
            self.breakers,
            settings.total_timeout_s,
        )
        origin, _ = split_url(simulator.url)
        drains = settings.hangup_drain_max if settings.on_hangup is OnHangup.DRAIN else 0
        self.hangups = HangupPolicy(settings.hangup_drain_s, drains, metrics.hung_up)
        gateway = Gateway(origin, ACCOUNT, "cf-token", "default")
        planner = Planner(
            ledger,  # type: ignore[arg-type]
            gateway,
            self.breakers,
            settings.fallback_output_tokens,
        )
        self.pipeline = Pipeline(settings, ledger, planner, forwarder, self.hangups)  # type: ignore[arg-type]
        Sanic._app_registry.clear()
        self.app = create_app(settings, ledger, planner, self.pipeline)  # type: ignore[arg-type]
        self.url = ""
        self.port = 0

    async def start(self) -> "Edge":
        listener = listen("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        server = await self.app.create_server(
            sock=listener,
            protocol=EdgeProtocol,
            return_asyncio_server=True,
            asyncio_server_kwargs={"start_serving": False},
        )
        assert server is not None
        self._server = server
        await server.startup()
        await server.start_serving()
        return self

    async def stop(self) -> None:
        self._server.close()
        for connection in list(self._server.connections):
            connection.abort()
        await self.transport.close()
        await asyncio.sleep(0.01)

    async def idle(self) -> None:
        """Until no request is in flight."""
        await until(lambda: not self.pipeline.in_flight)

    @property
    def connections(self) -> set[object]:
        """Those of clients."""
        return set(self._server.connections)

    @property
    def client(self) -> httpx.AsyncClient:
        """A client that shows the key."""
        return httpx.AsyncClient(
            base_url=self.url, headers={"authorization": f"Bearer {KEY}"}, timeout=10, trust_env=False
        )


Start = Callable[..., "asyncio.Future[Edge]"]


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    """A simulator that accepts everyone."""
    async with Simulator(Settings(port=0, bill=tmp_path / "bill.jsonl", drain_s=0.2)) as running:
        yield running


@pytest.fixture
async def start(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Callable[..., object]]:
    """Starts an edge with these rules, prices and settings; stops it after the test."""
    running: list[Edge] = []

    async def begin(ledger: FakeLedger | None = None, **settings: object) -> Edge:
        if ledger is None:
            ledger = FakeLedger(grant(rule("primary")), price("gpt-4o-mini"))
        values = {"forward_headers": ("x-sim",)} | settings
        loaded = load(data_dir=tmp_path, **values)
        running.append(await Edge(simulator, ledger, loaded).start())
        return running[-1]

    yield begin
    for edge in running:
        await edge.stop()
        await edge.idle()
        for opened in edge.ledger.opened:
            assert opened.finished, "every admitted request is finished"
            assert opened.ended, "and the end of its last attempt was told"


@pytest.fixture
async def edge(start: Callable[..., object]) -> Edge:
    """An edge with one rule that leads to OpenAI through the gateway."""
    made = await start()  # type: ignore[misc]
    assert isinstance(made, Edge)
    return made


def reported(edge: Edge, model: str) -> UsageCounts:
    """The usage of the only request, which must have been booked as the vendor reported it."""
    [opened] = edge.ledger.opened
    [ended] = opened.ended
    assert (ended.state, opened.response_model) == (UsageState.USAGE_STATE_REPORTED, model)
    assert ended.usage is not None
    return ended.usage


async def captured(edge: Edge) -> dict[str, Any]:
    """The last request that the vendor got, its body parsed, names of headers in small letters."""
    async with edge.client as client:
        last = (await client.get(f"{edge.simulator.url}/_sim/requests/last?n=1")).json()[0]
    return last | {"body": json.loads(last["body"]), "headers": dict(last["headers"])}
