"""A real worker in the test's own loop, in front of a real control plane."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr
from sanic import Sanic

from edge.config import load
from edge.sockets import listen
from edge.worker import Worker
from tests.control.harness import RunningControl, running_control

# Sanic rewrites its own methods for each application; in this mode it keeps the originals for the next one.
Sanic.test_mode = True


@pytest.fixture
async def control(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningControl]:
    """A control plane; passwords are hashed in the cheapest way."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("control.domain.passwords._hasher", cheap)
    async with running_control(database_url, tmp_path) as running:
        yield running


@asynccontextmanager
async def serving(control: RunningControl, data_dir: Path, **settings: object) -> AsyncIterator[str]:
    """The URL of a worker of that control plane."""
    Sanic._app_registry.clear()
    loaded = load(
        data_dir=data_dir,
        control_addresses=tuple(control.addresses),
        edge_credential=SecretStr(control.edge_secret),
        drain_s=0.2,
        **settings,
    )
    listener = listen("127.0.0.1", 0)
    async with Worker(loaded, "test/0").running(listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
async def edge_url(control: RunningControl, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a running edge."""
    async with serving(control, tmp_path / "edge") as url:
        yield url


@asynccontextmanager
async def signed_in(url: str, secret: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client that shows a session's secret, or nothing."""
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False) as http:
        yield http
