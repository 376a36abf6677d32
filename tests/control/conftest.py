"""A running control plane for each test that asks for one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tests.control.harness import RunningControl, running_control


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same algorithm with less of everything: tests hash often, attackers aren't here."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("control.domain.passwords._hasher", cheap)


@pytest.fixture
async def control(database_url: str, tmp_path: Path) -> AsyncIterator[RunningControl]:
    """One replica, or as many as TOLLKEEPER_TEST_REPLICAS says, behind every client."""
    async with running_control(database_url, tmp_path) as running:
        yield running
