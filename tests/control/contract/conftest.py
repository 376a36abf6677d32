"""Tests over the whole contract call nobody outside."""

import httpx
import pytest


@pytest.fixture(autouse=True)
def no_vendors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Providers that are tested can't be reached."""

    async def unreachable(*arguments: object) -> tuple[int, bytes]:
        raise httpx.ConnectError("no vendors here")

    monkeypatch.setattr("control.probe.Probe._send", unreachable)
